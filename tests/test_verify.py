"""`replicate verify`: a sound campaign passes, and whatever is altered in it is found."""

import gzip
import hashlib
import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import pytest

from replicate.files import checksums
from replicate.plan.campaign import Campaign, open_campaign
from replicate.records.record import Record, read_record, write_record
from replicate.report import render as rendering
from replicate.results import discrepancies
from replicate.results.aggregate import aggregate
from replicate.workflows.retrain import Again, Retraining
from replicate.workflows.verify import Step, steps, verify
from tests import making
from tests.faults.children import child, command

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
ROOT = Path(__file__).parents[1]
CELLS = ("table1/cifar10/avgpool", "table1/cifar10/flexpool")
Alter = Callable[[Path], None]
Command = Callable[..., tuple[int, str, str]]
NONE = Retraining(0, 1, None, Path("data"), Path("cache"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which two short runs on generated images have been trained."""
    root = making.project(tmp_path_factory.mktemp("made"))
    arguments = ["run", *CELLS, "--protocol", "smoke", "--campaign", "smoke"]
    arguments += ["--workers", "1", "--threads", "1", "--cache-dir", str(root / "cache")]
    arguments += ["--set", "generated.train_images=400", "--set", "generated.test_images=100"]
    end = child(command(root, *arguments), root)
    assert end.code == 0, end.said
    return root


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture
def drawn_once(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that is the sound one: its drawing would take most of the time of these tests."""

    def render(root: Path, name: str) -> Path:
        folder = shutil.copytree(made / "reports" / name, root / "reports" / name)
        return Path(folder) / "report.md"

    monkeypatch.setattr(rendering, "render", render)


def results(root: Path) -> Path:
    return root / "results" / "smoke"


def record_of(root: Path, cell: str = "flexpool") -> Path:
    (path,) = results(root).glob(f"runs/*-{cell}-s0-*/record.json")
    return path


def altered(text: str, place: int) -> str:
    """With another digit at a place."""
    return f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}"


def with_its_checksum(path: Path, text: str) -> None:
    """As somebody would who knows how a record is written."""
    body = text.partition('"record": ')[2].removesuffix("}\n")
    digest = hashlib.sha256(body.encode()).hexdigest()
    path.write_text(f'{{"checksum": "{digest}", "record": {body}}}\n')


def note_again(path: Path) -> None:
    """The checksum of a file, in SHA256SUMS."""
    content = path.read_bytes()
    with checksums.replacing(path) as file:
        file.write(content)


def digits_of_epochs(record: str) -> list[int]:
    """Where the digits of the recorded epochs are, of each number but the last of its many: that one may
    be below what a float holds."""
    start = record.index('"epochs":[{')
    numbers = re.finditer(r"\d+(?:\.\d+)?(?:e-?\d+)?", record[start : record.index("}]", start)])
    return [
        start + one.start() + index
        for one in numbers
        for index, sign in enumerate(one[0])
        if sign.isdigit() and not (index == len(one[0]) - 1 and len(one[0]) > 15)
    ]


def test_a_sound_campaign_passes(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert verify(made, "smoke", NONE) == 0
    text = capsys.readouterr().out
    assert "1. Checksums: 10 files; 2 records and the weights of 1\n" in text
    assert "epochs.csv.gz; pools.csv.gz; maps.csv.gz\n" in text
    assert "report.md; report.html; tables.tex; " in text
    assert "bits of the test images: 2 records\n" in text
    assert "not compared: no run was trained again: ask for it with --runs" in text
    assert text.endswith("smoke: no difference\n")
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize(
    ("number", "forged"), [(0, False), (1, False), *((number, True) for number in range(20))]
)
def test_an_altered_digit_of_an_epoch_is_found(copy: Path, number: int, forged: bool) -> None:
    path = record_of(copy, random.Random(number).choice(["avgpool", "flexpool"]))
    text = path.read_text()
    changed = altered(text, random.Random(number).choice(digits_of_epochs(text)))
    with_its_checksum(path, changed) if forged else path.write_text(changed)
    assert any(step.different for step in steps(open_campaign(copy, "smoke"), NONE))


def in_record(old: str, new: str) -> Alter:
    def alter(root: Path) -> None:
        path = record_of(root)
        text = re.sub(old, new, path.read_text(), count=1)
        assert text != path.read_text()
        with_its_checksum(path, text)

    return alter


def in_csv(name: str, forged: bool = True) -> Alter:
    """The first digit behind a point in the last row."""

    def alter(root: Path) -> None:
        path = results(root) / name
        zipped = name.endswith(".gz")
        text = (gzip.decompress(path.read_bytes()) if zipped else path.read_bytes()).decode()
        changed = altered(text, text.rindex(".") + 1) if "." in text else f"{text}x"
        path.write_bytes(gzip.compress(changed.encode()) if zipped else changed.encode())
        if forged:
            note_again(path)

    return alter


def torn(name: str, *, middle: bool) -> Alter:
    """A compressed file that cannot be read to its end."""

    def alter(root: Path) -> None:
        path = results(root) / name
        content = path.read_bytes()
        half = len(content) // 2
        path.write_bytes(content[:half] + (bytes(8) + content[half + 8 :] if middle else b""))
        note_again(path)

    return alter


def in_report(name: str, number: int) -> Alter:
    """Of the digits behind points, one of many."""

    def alter(root: Path) -> None:
        path = root / "reports" / "smoke" / name
        text = discrepancies.without_pictures(path.read_bytes()).decode()
        places = [one.end() - 1 for one in re.finditer(r"\d\.\d", text)]
        path.write_text(altered(text, random.Random(number).choice(places)))

    return alter


def without(*patterns: str) -> Alter:
    def alter(root: Path) -> None:
        for path in (path for pattern in patterns for path in list(root.glob(pattern))):
            path.unlink()

    return alter


def another_spec(root: Path) -> None:
    record = read_record(record_of(root).parent)
    assert record is not None
    spec = record.spec | {"training": record.spec["training"] | {"learning_rate": 0.2}}
    write_record(record_of(root).parent, msgspec.structs.replace(record, spec=spec))


def one_answer_more(root: Path) -> None:
    """Its bits no longer give the accuracy."""
    path = record_of(root)
    outer = json.loads(path.read_text())
    right = msgspec.convert(outer["record"]["answers"]["right"], bytes)
    bits = np.unpackbits(np.frombuffer(right, np.uint8))
    bits[np.flatnonzero(bits[:100] == 0)[0]] = 1
    forged = msgspec.to_builtins(np.packbits(bits).tobytes())
    path.write_text(path.read_text().replace(outer["record"]["answers"]["right"], forged))
    with_its_checksum(path, path.read_text())


def other_weights(root: Path) -> None:
    path = record_of(root).with_name("pools.npz")
    with np.load(path) as archive:
        arrays = [archive[name] * 1.001 for name in archive.files]
    np.savez(path, *arrays)


def more_seeds(root: Path) -> None:
    path = results(root) / "campaign.json"
    path.write_text(path.read_text().replace('"seeds": 1', '"seeds": 3'))
    note_again(path)


def the_other_ones_record(root: Path) -> None:
    shutil.copy(record_of(root, "avgpool"), record_of(root, "flexpool"))


TABLES = ("runs.csv", "cells.csv", "provenance.csv", "epochs.csv.gz", "pools.csv.gz", "maps.csv.gz")
ALTERED: dict[str, Alter] = {
    "status": in_record('"status":"done"', '"status":"diverged"'),
    "parameters": in_record('"parameters":2', '"parameters":3'),
    "threads": in_record('"threads":1', '"threads":2'),
    "another spec": another_spec,
    "spec of no kind": in_record('"batch_size":100', '"batch_size":-1'),
    "one answer more": one_answer_more,
    "weights": other_weights,
    "weights gone": without("results/smoke/runs/*/pools.npz"),
    "record gone": without("results/smoke/runs/*-flexpool-*/record.json"),
    "all records gone": without("results/smoke/runs/*/record.json"),
    "another's record": the_other_ones_record,
    "seeds": more_seeds,
    **{f"{name} and its checksum": in_csv(name) for name in TABLES},
    **{f"{name} alone": in_csv(name, forged=False) for name in TABLES},
    "a table torn": torn("epochs.csv.gz", middle=False),
    "a table holed": torn("pools.csv.gz", middle=True),
    "a table gone": without("results/smoke/epochs.csv.gz"),
    "no checksums, and a table gone": without("results/smoke/SHA256SUMS", "results/smoke/runs.csv"),
    **{f"report.md {number}": in_report("report.md", number) for number in range(6)},
    **{f"report.html {number}": in_report("report.html", number) for number in range(4)},
    "tables.tex": in_report("tables.tex", 0),
    "a figure gone": without("reports/smoke/figures/curves.svg"),
    "report gone": without("reports/smoke/report.md"),
}


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("name", ALTERED)
def test_what_is_altered_is_found(
    copy: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ALTERED[name](copy)
    assert verify(copy, "smoke", NONE) == 1
    text = capsys.readouterr().out
    count = text.count("   DIFFERENT: ")
    assert count >= 1
    assert re.search(rf"smoke: {count} differences?\n$", text)
    assert "Traceback" not in text


def test_a_report_of_other_numbers_is_drawn_anew(copy: Path) -> None:
    """Without the stand-in for the report: a time altered in provenance.csv changes two pages."""
    path = results(copy) / "provenance.csv"
    frame = path.read_text().splitlines()
    seconds = frame[0].split(",").index("seconds")
    fields = frame[1].split(",")
    fields[seconds] = str(float(fields[seconds]) + 1000)
    path.write_text("\n".join([frame[0], ",".join(fields), *frame[2:], ""]))
    note_again(path)
    campaign = open_campaign(copy, "smoke")
    found = [line for step in steps(campaign, NONE) for line in step.different]
    for page in ("provenance.csv", "report.md", "report.html"):
        assert any(f"/{page}: line " in line for line in found), page


def forge(root: Path, factor: float, **origin: object) -> None:
    """Another loss of the first epoch, in the record and in all that is made of it."""
    folder = record_of(root).parent
    record = read_record(folder)
    assert record is not None
    first, *rest = record.epochs
    losses = {"loss": first.loss * factor, "head_losses": (first.head_losses[0] * factor,)}
    epochs = [msgspec.structs.replace(first, **losses), *rest]
    attempts = [
        msgspec.structs.replace(one, origin=msgspec.structs.replace(one.origin, **origin))
        for one in record.attempts
    ]
    write_record(folder, msgspec.structs.replace(record, epochs=epochs, attempts=attempts))
    aggregate(open_campaign(root, "smoke"))


def train_again(root: Path, epochs: int = 1) -> tuple[list[str], list[str]]:
    """What is compared and what differs, of both runs."""
    asked = Retraining(2, epochs, 7, root / "data", root / "cache")
    *others, training = steps(open_campaign(root, "smoke"), asked)
    assert [line for step in others for line in step.different] == []
    return training.compared, training.different


@pytest.mark.usefixtures("drawn_once")
def test_epochs_trained_again_are_the_recorded_ones(copy: Path) -> None:
    compared, different = train_again(copy, epochs=5)
    assert compared[0] == "2 runs of 2, drawn by --seed 7"
    assert sorted(compared[1:]) == [f"{cell} seed 0, 2 epochs: the same bits due" for cell in CELLS]
    assert different == []


class InThisProcess:
    """Stands in for a pool whose every job has a new interpreter, which imports torch."""

    def __init__(self, *_: object, **__: object) -> None:
        self.map = map

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicate.workflows.retrain.ProcessPoolExecutor", InThisProcess)


@pytest.mark.usefixtures("drawn_once", "here")
def test_numbers_that_were_never_trained_are_found(copy: Path) -> None:
    """However well they are forged."""
    forge(copy, 1 + 1e-6)
    _, lines = train_again(copy)
    found = r"table1/cifar10/flexpool seed 0: epoch 1: (loss|head_losses) \S+ recorded, \S+ again"
    assert [bool(re.fullmatch(found, line)) for line in lines] == [True, True]


@pytest.mark.usefixtures("drawn_once", "here")
@pytest.mark.parametrize(("factor", "count"), [(1.08, 0), (1.2, 1)])
def test_on_another_machine_losses_are_compared(copy: Path, factor: float, count: int) -> None:
    forge(copy, factor, device="Abacus", torch="0.1")
    compared, different = train_again(copy)
    (line,) = (line for line in compared if line.startswith(CELLS[1]))
    assert re.search(
        r"1 epoch: the first one's losses due within 10%, since torch was 0\.1, is \S+; "
        r"device was Abacus",
        line,
    )
    assert len(different) == count


def test_runs_are_drawn_by_the_seed(
    made: Path, replicate: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replicate.workflows.verify._made_again", lambda title, *_: Step(title))
    drawn: list[str] = []

    def retrain(campaign: Campaign, records: list[Record], asked: Retraining) -> list[Again]:
        assert asked == Retraining(1, 3, asked.seed, Path("d"), Path("c"))
        drawn.extend(record.cell for record in records)
        return []

    monkeypatch.setattr("replicate.workflows.verify.retrain", retrain)
    given = [
        "--root",
        str(made),
        "--runs",
        "1",
        "--epochs",
        "3",
        "--data-dir",
        "d",
        "--cache-dir",
        "c",
    ]
    for number in [*range(8), *range(8)]:
        code, out, _ = replicate("verify", "smoke", *given, "--seed", str(number))
        assert code == 0
        assert f"1 run of 2, drawn by --seed {number}\n" in out
    assert drawn[:8] == drawn[8:]
    assert set(drawn) == set(CELLS)
    _, out, _ = replicate("verify", "smoke", *given)
    printed = re.search(r"--seed (\d+)", out)[1]
    replicate("verify", "smoke", *given, "--seed", printed)
    assert drawn[-2] == drawn[-1]


@pytest.mark.parametrize("given", [["--epochs", "3"], ["--seed", "0"]])
def test_how_to_train_again_needs_runs(replicate: Command, given: list[str]) -> None:
    """Without them nothing would be trained, and "no difference" would say more than was looked at."""
    code, out, err = replicate("verify", "nothing", *given)
    assert (code, out) == (2, "")
    assert err.endswith("add --runs, such as --runs 2\n")


def test_a_campaign_that_is_none(replicate: Command) -> None:
    code, out, err = replicate("verify", "nothing")
    assert (code, out) == (2, "")
    assert "no campaign 'nothing'" in err


def test_a_long_list_of_differences_is_cut() -> None:
    old, new = (b"\n".join(b"%d,%d" % (row, row + add) for row in range(9)) for add in (0, 1))
    found = discrepancies.of_text("a.csv", old, new)
    assert found[0] == "a.csv: line 1: '0,0' there, '0,1' made again"
    assert found[5:] == ["a.csv: 4 more lines differ"]
    assert discrepancies.of_text("a.csv", b"1\r\n", b"1\n") == ["a.csv: its line ends differ"]
    assert discrepancies.of_text("a.csv", old, old) == []
