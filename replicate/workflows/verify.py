"""Whether the numbers of a campaign are real: every step from records to report again, and some training."""

import gzip
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from replicate.dispatch.precision import lacking
from replicate.errors import UserError
from replicate.files import checksums
from replicate.plan.campaign import Campaign, open_campaign
from replicate.plan.runs import Run
from replicate.records import run_folder
from replicate.records.record import CorruptRecord, Record, read_record, read_status
from replicate.results import discrepancies
from replicate.specs.spec import Spec
from replicate.text import many
from replicate.workflows.remove import refuse_while_busy
from replicate.workflows.retrain import Retraining, retrain

BEFORE_THE_RUNS = "forecast.csv"
"""Nothing gives it again."""
PAGES = ("report.md", "report.html", "tables.tex", "claims.json")


@dataclass
class Step:
    """One comparison: of what, with which outcome."""

    title: str
    compared: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)


Comparison = Callable[[Campaign, Campaign, Step], None]
"""Of a campaign with its copy; the step takes down what it finds."""


def verify(root: Path, name: str, retraining: Retraining) -> int:
    """Print what every step found; returns 1 if anything differs, else 0.

    Raises:
        UserError: no such campaign, one that is being trained, runs to train again whose images are not
            to be had, or none but how to train them.
    """
    if not retraining.runs and (retraining.epochs, retraining.seed) != (1, None):
        raise UserError(
            "--epochs and --seed are of runs to train again: add --runs, such as --runs 2"
        )
    campaign = open_campaign(root, name)
    refuse_while_busy(campaign)
    count = 0
    for number, step in enumerate(steps(campaign, retraining), start=1):
        print(f"{number}. {step.title}: {'; '.join(step.compared) or 'nothing compared'}")
        for line in step.not_compared:
            print(f"   not compared: {line}")
        for line in step.different:
            print(f"   DIFFERENT: {line}")
        count += len(step.different)
    print(f"{name}: {many(count, 'difference') if count else 'no difference'}")
    return int(count > 0)


def steps(campaign: Campaign, retraining: Retraining) -> Iterator[Step]:
    """Every comparison, in order; raises as `verify`."""
    records, step = _checksums(campaign)
    yield step
    yield _made_again("CSV files from the records", campaign, _csv_files)
    yield _made_again("Report from the CSV files", campaign, _report)
    yield _answers(records)
    yield _training(campaign, records, retraining)


def _checksums(campaign: Campaign) -> tuple[list[Record], Step]:
    """The sound records, and what is wrong with files and records by themselves."""
    step, noted = Step("Checksums"), checksums.noted(campaign.results)
    for name in noted:
        path = campaign.results / name
        if not path.is_file():
            step.different.append(f"{path}: is not there")
        elif checksums.damaged(path):
            step.different.append(f"{path}: is not as it was written")
    if not noted:
        step.not_compared.append(f"{campaign.results} has no {checksums.FILE}")
    records = list(_records(campaign, step))
    weights = sum(record.pools is not None for record in records)
    step.compared = [
        many(len(noted), "file"),
        f"{many(len(records), 'record')} and the weights of {weights}",
    ]
    return records, step


def _records(campaign: Campaign, step: Step) -> Iterator[Record]:
    unnoted, missing = 0, 0
    for run in campaign.runs:
        folder = campaign.runs_folder / run.folder_name
        try:
            record = read_record(folder)
        except CorruptRecord as error:
            step.different.append(str(error))
            continue
        if record is None:
            missing += 1
            continue
        unnoted += record.pools is None and (folder / run_folder.POOLS).exists()
        if problems := list(_problems(run, record, folder)):
            step.different += problems
        else:
            yield record
    if missing:
        step.not_compared.append(f"{missing} of {many(len(campaign.runs), 'run')}: no record")
    if unnoted:
        step.not_compared.append(f"the weights of {many(unnoted, 'run')}: no checksum is recorded")


def _problems(run: Run, record: Record, folder: Path) -> Iterator[str]:
    """What is wrong with a record that is whole."""
    path = folder / run_folder.RECORD
    if (record.cell, record.seed, record.id) != (run.cell, run.seed, run.id):
        yield f"{path}: is of another run"
    if read_status(folder) is None:
        yield f"{folder / run_folder.POOLS}: is not the record's"
    try:
        if Spec.model_validate(record.spec).run_id(record.seed) != record.id:
            yield f"{path}: its spec has another id"
    except ValidationError as error:
        yield f"{path}: its spec is none: {error.errors()[0]['msg']}"


def _made_again(title: str, campaign: Campaign, compare: Comparison) -> Step:
    """A comparison with what a copy of the campaign makes."""
    step = Step(title)
    with TemporaryDirectory() as folder:
        try:
            compare(campaign, _copy(campaign, Path(folder)), step)
        except UserError as error:
            # The reader looks at the campaign, not at its copy.
            lines = str(error).replace(folder, str(campaign.root)).splitlines()
            step.different += [f"cannot be made again: {line}" for line in lines]
    return step


def _copy(campaign: Campaign, folder: Path) -> Campaign:
    """With the campaign's specs and request, and nothing else."""
    name = campaign.request.name
    (folder / "experiments").symlink_to((campaign.root / "experiments").resolve())
    results = folder / "results" / name
    results.mkdir(parents=True)
    (results / "campaign.json").write_bytes((campaign.results / "campaign.json").read_bytes())
    return open_campaign(folder, name)


def _csv_files(campaign: Campaign, copy: Campaign, step: Step) -> None:
    from replicate.results.aggregate import aggregate
    from replicate.results.csv_files import COLUMNS

    copy.runs_folder.symlink_to(campaign.runs_folder.resolve())
    step.different += [
        line.replace(str(copy.runs_folder), str(campaign.runs_folder)) for line in aggregate(copy)
    ]
    for name in (one for one in COLUMNS if one != BEFORE_THE_RUNS):
        _compare(campaign.results / name, copy.results / name, step, _plain)
    step.not_compared.append(f"{BEFORE_THE_RUNS}: it was made before the runs")


def _report(campaign: Campaign, copy: Campaign, step: Step) -> None:
    from replicate.report.render import render
    from replicate.results.csv_files import COLUMNS

    for name in COLUMNS:
        if (campaign.results / name).exists():
            (copy.results / name).write_bytes((campaign.results / name).read_bytes())
    made = render(copy.root, copy.request.name).parent
    kept = campaign.root / "reports" / campaign.request.name
    for name in PAGES:
        _compare(kept / name, made / name, step, discrepancies.without_pictures)
    _figures(kept / "figures", made / "figures", step)


def _figures(kept: Path, made: Path, step: Step) -> None:
    """By name: their bytes are those of a version of matplotlib, which no file notes."""
    names = sorted(path.name for path in made.iterdir())
    there = [name for name in names if (kept / name).is_file()]
    step.different += [f"{kept / name}: is not there" for name in names if name not in there]
    same = sum((kept / name).read_bytes() == (made / name).read_bytes() for name in there)
    step.compared.append(f"{same} of {many(len(names), 'figure')}")
    if same < len(there):
        step.not_compared.append(
            f"{many(len(there) - same, 'figure')}: drawn with other bytes here"
        )


def _compare(kept: Path, made: Path, step: Step, content: Callable[[bytes], bytes]) -> None:
    """Of a file that both may have."""
    if kept.is_file() and made.is_file():
        try:
            old, new = (content(path.read_bytes()) for path in (kept, made))
        except (OSError, EOFError, zlib.error) as error:
            step.different.append(f"{kept}: {error}")
            return
        step.compared.append(kept.name)
        step.different += discrepancies.of_text(str(kept), old, new)
    elif kept.is_file() or made.is_file():
        step.different.append(
            f"{kept}: {'is not made again' if kept.is_file() else 'is not there'}"
        )


def _plain(content: bytes) -> bytes:
    """Without compression, whose bytes are the processor's."""
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def _answers(records: list[Record]) -> Step:
    """Reading a record has compared them already: one whose bits give another accuracy is corrupt."""
    step = Step("Accuracies from the bits of the test images")
    done = [record for record in records if record.status == "done"]
    known = sum(record.answers is not None for record in done)
    if known:
        step.compared.append(many(known, "record"))
    if known < len(done):
        step.not_compared.append(f"{many(len(done) - known, 'record')}: without such bits")
    return step


def _training(campaign: Campaign, records: list[Record], asked: Retraining) -> Step:
    """Some of the runs again, from their first epoch."""
    step = Step("Training")
    if not asked.runs:
        step.not_compared.append("no run was trained again: ask for it with --runs")
        return step
    lacks = lacking({record.spec["training"]["precision"] for record in records})
    trained = [record for record in records if record.epochs]
    able = [record for record in trained if record.spec["training"]["precision"] not in lacks]
    if lacks:
        step.not_compared.append(
            f"{many(len(trained) - len(able), 'run')}: {'; '.join(lacks.values())}"
        )
    if not able:
        return step
    seed = random.randrange(2**32) if asked.seed is None else asked.seed
    drawn = random.Random(seed).sample(able, min(asked.runs, len(able)))
    step.compared.append(f"{many(len(drawn), 'run')} of {len(able)}, drawn by --seed {seed}")
    for again in retrain(campaign, drawn, asked):
        step.compared.append(again.compared)
        step.different += again.different
    return step
