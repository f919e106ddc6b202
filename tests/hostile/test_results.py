"""Records and CSV files that were damaged, or made by somebody, before they are read."""

import csv
import gzip
import hashlib
import io
import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from replicate.dispatch.slurm import queue, submission
from replicate.plan.campaign import open_campaign
from replicate.records import run_folder
from replicate.results.read import read_results
from tests import making
from tests.hostile.cases import (
    ODD,
    call,
    contents,
    damaged,
    each,
    judge,
    mutated,
    refused_or,
    restore,
)
from tests.making import Records

ROOT = Path(__file__).parents[2]
CELLS = ["table1/cifar10/avgpool", "table2/cifar10/flexpool"]
CSV = ("runs.csv", "cells.csv", "provenance.csv", "epochs.csv.gz", "pools.csv.gz", "maps.csv.gz")
JUDGED = ("gains.csv", "overall.csv", "claims.csv")
CSV_FILES = (*CSV, *JUDGED, "oddities.csv", "forecast.csv")
SUBMITTED = "slurm-20260101-000000-abcd"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign of two cells and two seeds: three runs done, one failed, with all of its files."""
    folder = tmp_path_factory.mktemp("results")
    wanted = [
        *CELLS,
        "../protocols/*",
        "../paper/*",
        "../datasets/*",
        "../methods/*",
        "../classifiers/*",
    ]
    for pattern in (f"{name}.yaml" if "*" not in name else name[3:] for name in wanted):
        for path in (ROOT / "experiments").glob(pattern):
            place = folder / "experiments" / path.relative_to(ROOT / "experiments")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    records = Records(folder)
    campaign = records.begin(CELLS)
    sent = submission.Submission(
        name=SUBMITTED,
        user="nobody",
        code=str(folder),
        submitted="2026",
        tasks=[],
        report=None,
        cancelled=False,
    )
    submission.logs_folder(campaign, SUBMITTED).mkdir(parents=True)
    submission.write_submission(campaign, sent)
    weights = [np.full((2, side, side), 1 / side**2, np.float32) for side in (4, 2, 1)]
    odd = {"batch-means": 90.5, "training-images": 95.0}
    for seed in (0, 1):
        pools = [one + seed / 100 for one in weights]
        records.leave(campaign, CELLS[1], seed, 91.0 + seed, pools=pools, oddities=odd)
    failed = records.leave(campaign, CELLS[0], 0, None)
    begun = {"started": "2026-01-01T00:00:00+00:00", "worker": "worker-1", "pid": 1}
    (failed / run_folder.ATTEMPTS).write_text(json.dumps(begun) + "\n")
    under_way = making.reach(campaign, campaign.runs[2], 1)
    (under_way / run_folder.LOCK).touch()
    making.predict(campaign, dict.fromkeys(campaign.runs, 60.0))
    assert judge(call("aggregate", "made", "--root", str(folder)))
    making.unsealed(folder, "made")  # as whoever makes something up leaves it
    return folder


@pytest.fixture(scope="module", autouse=True)
def no_cluster() -> Iterator[None]:
    """SLURM knows nothing of any job."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "read_queue", lambda user, name: {})
        patch.setattr(queue, "read_history", lambda ids, name: {})
        yield


@contextmanager
def as_before(root: Path) -> Iterator[dict[str, bytes | str]]:
    before = contents(root)
    try:
        yield before
    finally:
        restore(before, root)


def text_of(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def put(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


FIELDS = st.sampled_from(
    [
        str(value) if not isinstance(value, str) else value
        for value in ODD
        if isinstance(value, int | float | str)
    ]
) | st.sampled_from(
    [
        *CELLS,
        "-1",
        "0",
        "3",
        "done",
        "failed",
        "consistent",
        "1e5",
        "inf",
        "9" * 30,
        "\x1b]0;x\x07",
        "a\rb",
    ]
)
"""What may stand between two commas."""


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, str, Any]:
    """A CSV file, and what is done to it."""
    name = draw(st.sampled_from(CSV_FILES))
    what = draw(
        st.sampled_from(
            ["field", "field", "field", "field", "rows", "column", "bytes", "raw", "other"]
        )
    )
    places = draw(st.tuples(st.integers(0, 40), st.integers(0, 25)))
    if what == "field":
        return name, what, (*places, draw(FIELDS))
    if what in ("bytes", "raw"):
        return name, what, draw(st.integers(0, 2**32))
    return (
        name,
        what,
        (
            *places,
            draw(st.sampled_from(["drop", "twice", "swap"])),
            draw(st.sampled_from(CSV_FILES)),
        ),
    )


def change(path: Path, what: str, how: Any) -> None:
    """Carry out one of `tables`."""
    if what in ("bytes", "raw"):
        rng = np.random.default_rng(how)
        content = bytearray(path.read_bytes() if what == "raw" else text_of(path))
        for place in rng.integers(0, len(content), rng.integers(1, 6)):
            content[place] = rng.integers(0, 256)
        content = content[: rng.choice([len(content), rng.integers(0, len(content))])]
        path.write_bytes(content) if what == "raw" else put(path, bytes(content))
        return
    rows = list(csv.reader(io.StringIO(text_of(path).decode())))
    row, column = how[0] % len(rows), how[1] % len(rows[0])
    if what == "field":
        rows[row][column] = how[2]
    elif what == "rows":
        rows[row : row + 1] = {"drop": [], "twice": [rows[row]] * 2, "swap": [rows[row][::-1]]}[
            how[2]
        ]
    elif what == "column":
        for one in rows:
            one[column : column + 1] = {"drop": [], "twice": [one[column]] * 2, "swap": ["x"]}[
                how[2]
            ]
    else:
        rows = list(csv.reader(io.StringIO(text_of(path.with_name(how[3])).decode())))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    put(path, text.getvalue().encode(errors="surrogatepass"))


def report(root: Path, case: tuple[str, str, Any]) -> None:
    """`report` and `power` refuse a table, or show what it says."""
    name, what, how = case
    with as_before(root), warnings.catch_warnings(action="ignore"):
        change(root / "results/made" / name, what, how)
        written = refused_or(root, "report", "made", "--root", str(root))
        assert not written or (root / "reports/made/report.md").stat().st_size > 1000
        if name in ("cells.csv", "provenance.csv"):
            refused_or(root, "power", "made", "--root", str(root))


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_table(root: Path) -> None:
    each("csv", tables(), lambda case: report(root, case))


def test_a_damaged_table_and_its_figures(root: Path) -> None:
    each("drawn", tables(), lambda case: report(root, case))


def records_of(root: Path) -> st.SearchStrategy[tuple[str, bytes]]:
    """A file below runs/ or logs/, and its bytes after damage, or after a change with a sound checksum."""
    files = [path for path in sorted((root / "results/made").rglob("*")) if path.is_file()]
    own = [path for path in files if path.parent.parent.name in ("runs", "logs")]
    own = [path for path in own if path.name != run_folder.LOCK]
    many = [path for path in own for _ in range(4 if path.name == run_folder.RECORD else 1)]

    @st.composite
    def drawn(draw: st.DrawFn) -> tuple[str, bytes]:
        path = draw(st.sampled_from(many))
        content = path.read_bytes()
        if path.suffix == ".npz" or not draw(st.integers(0, 3)):
            return str(path), damaged(draw, content)
        if path.name == run_folder.RECORD:
            body = json.dumps(mutated(draw, json.loads(content)["record"]), separators=(",", ":"))
            head = hashlib.sha256(body.encode()).hexdigest()
            return str(path), f'{{"checksum": "{head}", "record": {body}}}\n'.encode()
        return str(path), json.dumps(mutated(draw, json.loads(content))).encode()

    return drawn()


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_record(root: Path) -> None:
    """Reported and left out, or counted; what is made of it can be read."""
    results, known = root / "results/made", set()

    def check(case: tuple[str, bytes]) -> None:
        with as_before(root), warnings.catch_warnings(action="ignore"):
            Path(case[0]).write_bytes(case[1])
            for line in (("status",), ("logs", "table*"), ("plan", "--campaign")):
                answer = refused_or(root, *line, "made", "--root", str(root))
                assert answer or "submission.json" in case[0]
            if refused_or(root, "aggregate", "made", "--root", str(root)):
                made = frozenset((path, path.read_bytes()) for path in results.glob("*.csv*"))
                if made not in known:
                    read_results(root, "made")
                known.add(made)

    each("records", records_of(root), check)


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_campaign(root: Path) -> None:
    path = root / "results/made/campaign.json"
    whole = json.loads(path.read_text())

    @st.composite
    def drawn(draw: st.DrawFn) -> bytes:
        if draw(st.booleans()):
            return damaged(draw, path.read_bytes())
        return json.dumps(mutated(draw, whole)).encode()

    def check(content: bytes) -> None:
        with as_before(root), warnings.catch_warnings(action="ignore"):
            path.write_bytes(content)
            status, power, plan = (
                refused_or(root, *line, "--root", str(root))
                for line in (("status", "made"), ("power", "made"), ("plan", "--campaign", "made"))
            )
            if status and open_campaign(root, "made").lost:
                assert not plan, "what has no spec cannot train"
            else:
                assert len({bool(answer) for answer in (status, power, plan)}) == 1
            aggregated = refused_or(root, "aggregate", "made", "--root", str(root))
            assert bool(aggregated) == bool(status)
            power = refused_or(root, "power", "made", "--root", str(root))
            assert bool(power) == bool(status), "once it is aggregated anew"
            if aggregated:
                read_results(root, "made")

    each("campaigns", drawn(), check)


def test_nothing_is_wrong_with_the_campaign_itself(root: Path) -> None:
    """So that what is refused above is refused for its damage."""
    with as_before(root):
        for line in ("status", "aggregate", "report", "power"):
            answer = call(line, "made", "--root", str(root))
            assert judge(answer)
            assert "left out" not in answer.err
        assert "epoch 1 of 100, 50.00 %" in call("status", "made", "--root", str(root)).out


def test_a_dollar_in_a_name_is_a_dollar(root: Path) -> None:
    r"""Between two of them matplotlib would read mathematics, and give up at $\bad$."""
    with as_before(root), warnings.catch_warnings(action="ignore"):
        request = root / "results/made/campaign.json"
        title = {"dataset.title": "'$\\bad$ and $'"}
        request.write_text(json.dumps({**json.loads(request.read_text()), "settings": title}))
        for command in ("aggregate", "report"):
            assert judge(call(command, "made", "--root", str(root)))


def test_a_submission_is_not_written_elsewhere(root: Path) -> None:
    """`cancel` writes it again, below the name that it gives itself."""
    with as_before(root):
        path = root / "results/made/logs" / SUBMITTED / submission.FILE
        path.write_text(path.read_text().replace(SUBMITTED, "../../../elsewhere"))
        for command in ("status", "cancel", "wait"):
            assert refused_or(root, command, "made", "--root", str(root)) is None


NONSENSE = [
    ("cells.csv", "mean", "1e308"),
    ("cells.csv", "mean", "inf"),
    ("cells.csv", "mean", "x"),
    ("cells.csv", "n", "9" * 30),
    ("cells.csv", "table", "3"),
    ("runs.csv", "cell", "x"),
    ("runs.csv", "status", "won"),
    ("runs.csv", "accuracy", "101"),
    ("provenance.csv", "seconds", "-5"),
    ("epochs.csv.gz", "accuracy", "-1"),
    ("pools.csv.gz", "head", "-1"),
    ("maps.csv.gz", "row", "1.5"),
    ("oddities.csv", "odd_accuracy", "nan"),
    ("forecast.csv", "predicted", "inf"),
]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("name", "column", "value"), NONSENSE)
def test_a_table_that_says_what_cannot_be(root: Path, name: str, column: str, value: str) -> None:
    path = root / "results/made" / name
    with as_before(root):
        rows = list(csv.reader(io.StringIO(text_of(path).decode())))
        rows[1][rows[0].index(column)] = value
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        put(path, text.getvalue().encode())
        answer = call("report", "made", "--root", str(root))
        assert not judge(answer)
        assert f"{name}: " in answer.err
        assert "make it again with `replicate aggregate made`" in answer.err


PROGRESS = [
    "",
    "{}",
    "[]",
    "1",
    "null",
    '{"epoch": "x", "accuracy": 1}',
    '{"epoch": 1, "accuracy": "x"}',
]
PROGRESS += [
    '{"epoch": 1}',
    f'{{"epoch": {"9" * 500}, "accuracy": 1}}',
    '{"epoch": 1',
    "[" * 10_000,
    "\\ud800",
]


@pytest.mark.parametrize("text", PROGRESS, ids=range(len(PROGRESS)))
def test_progress_that_cannot_be_told(root: Path, text: str) -> None:
    (path,) = (root / "results/made/runs").glob(f"*/{run_folder.PROGRESS}")
    with as_before(root):
        path.write_text(text)
        path.with_name(run_folder.ATTEMPTS).write_text(f"{text}\n{{}}\n")
        answer = call("status", "made", "--root", str(root))
        assert judge(answer)
        assert "interrupted, no epoch finished" in answer.out
        assert judge(call("logs", "table*", "made", "--root", str(root)))


def test_a_campaign_in_the_folder_of_another(root: Path) -> None:
    """What is asked of the one would be done to the other."""
    with as_before(root):
        other = root / "results/other"
        other.mkdir()
        shutil.copy(root / "results/made/campaign.json", other)
        for command in ("status", "aggregate", "report", "power"):
            answer = call(command, "other", "--root", str(root))
            assert not judge(answer)
            assert "a copy of campaign 'made'" in answer.err
