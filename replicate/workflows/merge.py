"""Takes the runs of another machine or person into a campaign: nothing is overwritten."""

from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

from replicate.errors import UserError
from replicate.files import atomic
from replicate.plan.campaign import (
    Campaign,
    begin_or_extend,
    refuse_twins,
    results_folder,
    save_campaign,
)
from replicate.plan.request import FILE, Request, load_request
from replicate.plan.runs import Run
from replicate.records.record import CorruptRecord, Record, read_record, read_status
from replicate.records.run_folder import (
    CHECKPOINT,
    POOLS,
    PROGRESS,
    RECORD,
    claimed,
    drop_training,
    is_claimed,
    read_attempts,
    write_attempts,
)
from replicate.results import predictions
from replicate.text import many
from replicate.workflows.conclude import conclude

FOREIGN = "another spec than here, or not its campaign's"


@dataclass
class Merged:
    """What became of the runs of the folders."""

    taken: int = 0
    begun: int = 0
    """Runs that have not ended, whose checkpoints were taken."""
    known: int = 0
    """That the campaign has already, with the same bytes."""
    conflicts: list[str] = field(default_factory=list)
    """A line for each record or checkpoint that was left where it is, and why."""

    def __str__(self) -> str:
        begun = f" and {many(self.begun, 'checkpoint')}" if self.begun else ""
        return (
            f"{many(self.taken, 'record')}{begun} taken, {self.known} known already,"
            f" {many(len(self.conflicts), 'conflict')}"
        )


def merge(root: Path, folders: list[Path], name: str | None) -> Merged:
    """Copy what is new to a campaign, which grows to hold it, then aggregate and report. A run that has not
    ended is gone on with from its checkpoint; what was predicted of runs comes along.

    Args:
        folders: results/<campaign> of elsewhere, each with its campaign.json and runs/.
        name: of the campaign; by default that of the first folder.

    Raises:
        UserError: a folder that is no campaign's, or one of another protocol or other settings; nothing has
            been copied then.
    """
    requests = [_request(folder) for folder in folders]
    name = name or requests[0].name
    for folder in folders:
        if folder.resolve() == results_folder(root, name).resolve():
            raise UserError(f"{folder}: is campaign {name} itself")
    done = Merged()
    campaigns = [begin_or_extend(root, one.model_copy(update={"name": name})) for one in requests]
    for campaign, folder in zip(campaigns, folders, strict=True):
        refuse_twins(campaign)
        save_campaign(campaign)
        _take(campaign, folder, done)
        _take_begun(campaign, folder, done)
        predictions.take(campaign.results, folder, campaign.runs)
    conclude(campaigns[-1])
    return done


def _request(folder: Path) -> Request:
    request = load_request(folder)
    if request is None:
        raise UserError(
            f"{folder / FILE}: not there: name a folder such as elsewhere/results/short"
        )
    return request


def _take(campaign: Campaign, folder: Path, done: Merged) -> None:
    runs = {run.folder_name: run for run in campaign.runs}
    for path in sorted((folder / "runs").glob(f"*/{RECORD}")):
        try:
            record = read_record(path.parent)
        except CorruptRecord as error:
            done.conflicts.append(str(error))
            continue
        assert record is not None  # its file has just been found
        problem = _problem(record, path.parent, runs.get(path.parent.name))
        if problem:
            done.conflicts.append(f"{path.parent}: {problem}")
        else:
            _copy(path.parent, campaign.runs_folder / path.parent.name, record, done)


def _problem(record: Record, folder: Path, run: Run | None) -> str | None:
    """Why a sound record is not one of the campaign's runs."""
    if run is None or (record.cell, record.seed, record.id) != (run.cell, run.seed, run.id):
        return FOREIGN
    if read_status(folder) is None:
        return f"its {POOLS} is damaged or missing"
    return None


def _copy(source: Path, target: Path, record: Record, done: Merged) -> None:
    """The pools first: with the record, a run has ended."""
    atomic.make_folder(target)
    with claimed(target) as mine:
        if not mine:
            done.conflicts.append(f"{source}: {target} is being trained")
        elif (target / RECORD).exists():
            _compare(source, target, record, done)
        else:
            _write(source, target, POOLS, RECORD)
            drop_training(target)
            done.taken += 1


def _write(source: Path, target: Path, *names: str) -> None:
    for name in names:
        if (source / name).exists():
            atomic.write_bytes(target / name, atomic.read(source / name))


def _compare(source: Path, target: Path, record: Record, done: Merged) -> None:
    try:
        own = read_record(target)
    except CorruptRecord as error:
        done.conflicts.append(f"{source}: {error}")
        return
    if own == record:
        done.known += 1
    else:
        done.conflicts.append(f"{source}: {_said(record)}, but here {_said(own)}: kept as here")


def _take_begun(campaign: Campaign, folder: Path, done: Merged) -> None:
    """Runs that have ended neither there nor here."""
    names = {run.folder_name for run in campaign.runs}
    for path in sorted(folder.glob(f"runs/*/{CHECKPOINT}")):
        source, target = path.parent, campaign.runs_folder / path.parent.name
        if (source / RECORD).exists() or (target / RECORD).exists():
            continue
        if source.name not in names:
            done.conflicts.append(f"{source}: {FOREIGN}")
        elif is_claimed(source):
            done.conflicts.append(f"{source}: is being trained")
        else:
            _copy_begun(source, target, done)


def _copy_begun(source: Path, target: Path, done: Merged) -> None:
    """The checkpoint last: with it, a run has begun."""
    atomic.make_folder(target)
    with claimed(target) as mine:
        if not mine:
            done.conflicts.append(f"{source}: {target} is being trained")
        elif not (target / CHECKPOINT).exists():
            attempts = read_attempts(target) + read_attempts(source)
            write_attempts(target, sorted(attempts, key=itemgetter("started")))
            _write(source, target, PROGRESS, CHECKPOINT)
            done.begun += 1
        elif atomic.read(source / CHECKPOINT) == atomic.read(target / CHECKPOINT):
            done.known += 1
        else:
            done.conflicts.append(f"{source}: has begun here, too: kept as here")


def _said(record: Record | None) -> str:
    if record is None:
        return "nothing"
    accuracy = f" {record.accuracy:.2f} %" if record.accuracy is not None else ""
    made = record.provenance
    return f"{record.status}{accuracy} ({made.device}, {made.precision}, {made.started})"
