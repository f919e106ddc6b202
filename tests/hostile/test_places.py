"""Names, links and permissions: files that are not what their place makes of them."""

import ctypes
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from replicate.data import load, prepare
from replicate.errors import UserError
from replicate.files import atomic
from replicate.records import record, run_folder
from replicate.specs import catalogue
from replicate.specs.spec import Spec
from replicate.workflows.export import ENVIRONMENT
from tests import making
from tests.faults import children
from tests.hostile.cases import call, contents, judge, undone
from tests.making import Records

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
ROOT = Path(__file__).parents[2]
CELL = "table1/cifar10/flexpool"
Line = Callable[..., str]


@pytest.fixture
def refusal(project: Path) -> Line:
    """The lines of a command that is refused and leaves the project as it is."""

    def refused(*arguments: str) -> str:
        before = contents(project)
        answer = call(*arguments, "--root", str(project))
        assert not judge(answer), answer.out
        assert contents(project) == before
        return answer.err

    return refused


# names


NAMES = [
    "a b",
    "a,b",
    'a"b',
    "a'b",
    "a\nb",
    "ü",
    "a@b",
    "<script>",
    "$(id)",
    "=1",
    "a\x1b[2J",
    "x" * 181,
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_cell_files_with_odd_names(
    project: Path, refusal: Line, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A cell's name is a folder's, a CSV field and a word of a command."""
    for module in ("prepare", "check"):  # the first has it from the second
        monkeypatch.setattr(f"replicate.workflows.{module}.unbuildable", lambda cells: [])
    (project / "experiments/extensions" / f"{name}.yaml").write_text(
        "extends: [../table1/cifar10/flexpool.yaml]\n"
    )
    assert "rename the file or its folder" in refusal("check")
    for command in (("list",), ("plan", "--protocol", "smoke")):
        answer = call(*command, "--root", str(project))
        assert judge(answer)
        assert ("rename the file or its folder" in answer.err) == (command == ("list",))


def test_a_plain_name_is_a_cell(project: Path) -> None:
    text = "extends: [../../table1/cifar10/flexpool.yaml]\npublished: null\n"
    path = project / "experiments/extensions/My_own.cells/A-1.2_b.yaml"
    path.parent.mkdir()
    path.write_text(text)
    answer = call("show", "extensions/My_own.cells/A-1.2_b", "--root", str(project))
    assert judge(answer)


def photos(classes: int = 2) -> Spec:
    return making.spec(
        "table1/cifar10/avgpool", name="photos", official=None, fingerprint=None, split_seed=1,
        classes=classes, stored_size=8, size=8, train_images=3 * classes, test_images=classes,
    )  # fmt: skip


def write_photos(root: Path, classes: tuple[str, ...] = ("a", "b")) -> Path:
    return making.photos(root / "photos", classes).parent


ODD = [
    "a b",
    "a'b\"c",
    "ü—☃",
    "<script>alert(1)</script>"[:8],
    "$(id)",
    "-rf",
    "=1+1",
    "%s{0}",
    "\u202e",
    "x" * 255,
]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_class_folders_images_and_data_folders_may_have_any_plain_name(
    tmp_path: Path, name: str
) -> None:
    root = write_photos(tmp_path / name, (name, "b"))
    (root / "photos/b/0.png").rename(root / "photos/b" / f"{name[:200]}.png")
    entry = prepare(photos(), root, tmp_path / "cache" / name)
    assert load(entry).train.images.shape == (6, 8, 8, 3)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "\x7f", "a\rb"], ids=ascii)
def test_control_characters_in_names_of_images(tmp_path: Path, name: str) -> None:
    """They would break a message into lines, or be a command to the terminal."""
    for place in ("photos", "photos/b"):
        root = write_photos(tmp_path / place.replace("/", "-"))
        (root / place / name).mkdir()
        with pytest.raises(UserError, match="rename it, without control characters") as caught:
            prepare(photos(), root, tmp_path / "cache")
        assert str(caught.value).isprintable()


def test_the_longest_cell_name_makes_a_folder(project: Path, records: Records) -> None:
    name = f"extensions/{'x' * (catalogue.MAX_NAME - len('extensions/'))}"
    (project / f"experiments/{name}.yaml").write_text(
        "extends: [../table1/cifar10/flexpool.yaml]\n"
    )
    folder = records.leave(records.begin([name]), name, 0)
    assert record.read_record(folder) is not None


def test_an_error_cannot_command_the_terminal(records: Records) -> None:
    evil = "\x1b]0;owned\x07\x1b[2Jnothing failed\x08\x9b31m"
    folder = records.leave(records.begin([CELL]), CELL, 0, None, error=evil)
    worker = {"started": "2026", "worker": "w", "pid": 1}
    (folder / run_folder.ATTEMPTS).write_text(str(worker).replace("'", '"') + "\n")
    log = folder.parents[1] / "logs/x/w/1_log.err"
    log.parent.mkdir(parents=True)
    log.write_text(evil)
    for command in (("status", "made"), ("logs", CELL, "made")):
        answer = call(*command, "--root", str(records.root))
        assert judge(answer)
        assert "\\x1b[2Jnothing failed" in " ".join(answer.out.split())
        assert answer.out.replace("\n", "").isprintable()


# links


def campaign_of(records: Records) -> Path:
    """A campaign with one finished run; returns the run's folder."""
    folder = records.leave(records.begin([CELL], seeds=1), CELL, 0)
    assert judge(call("aggregate", "made", "--root", str(records.root)))
    return folder


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `campaign_of`, for tests that leave everything as it was."""
    return campaign_of(Records(making.project(tmp_path_factory.mktemp("shared"))))


@pytest.mark.parametrize(
    "target", ["loop", "/nowhere", "/dev/zero", "/dev/null", "pipe", "/proc/self/mem", "."]
)
@pytest.mark.parametrize(
    "file", ["runs.csv", "cells.csv", "campaign.json", "record.json", "pools.npz", "spec"]
)
def test_links_in_the_place_of_files(shared_run: Path, file: str, target: str) -> None:
    """What has no end, or no reader, is not read: this test would never be done."""
    results, root = shared_run.parents[1], shared_run.parents[3]
    folder = shared_run if file in (run_folder.RECORD, run_folder.POOLS) else results
    place = root / "experiments/extensions/linked.yaml" if file == "spec" else folder / file
    with undone(root):
        place.unlink(missing_ok=True)
        if target == "pipe":
            os.mkfifo(place)
        else:
            place.symlink_to(place.name if target == "loop" else target)
        for command in ("status", "aggregate", "power"):
            judge(call(command, "made", "--root", str(root)))
        if file == "spec":
            judge(call("list", "--root", str(root)))


def test_a_lock_that_is_no_file(records: Records) -> None:
    """A pipe keeps nobody waiting; a link to the lock of another is no claim."""
    campaign = records.begin([CELL], seeds=2)
    pipe, link = (campaign.runs_folder / run.folder_name for run in campaign.runs)
    for folder in (pipe, link):
        folder.mkdir(parents=True)
        (folder / run_folder.ATTEMPTS).touch()
    os.mkfifo(pipe / run_folder.LOCK)
    assert judge(call("status", "made", "--root", str(records.root)))
    elsewhere = records.root / "lock"
    (link / run_folder.LOCK).symlink_to(elsewhere)
    with FileLock(elsewhere):
        answer = call("status", "made", "--root", str(records.root))
    assert not judge(answer)
    assert "symbolic links" in answer.err


@pytest.mark.usefixtures("undrawn")
def test_a_report_removes_nothing_behind_a_link(
    records: Records, tmp_path: Path, refusal: Line
) -> None:
    """It clears away figures of earlier reports: those of the user's own folder are not such."""
    campaign_of(records)
    own = tmp_path / "pictures/figures"
    own.mkdir(parents=True)
    (own / "holiday.png").touch()
    reports = records.root / "reports"
    (reports / "made").mkdir(parents=True)
    (reports / "made/figures").symlink_to(own)
    assert "remove the link" in refusal("report", "made")
    shutil.rmtree(reports / "made")
    (reports / "made").symlink_to(own.parent)
    assert "remove the link" in refusal("report", "made")
    assert [path.name for path in own.parent.rglob("*.png")] == ["holiday.png"]
    (reports / "made").unlink()
    assert judge(call("report", "made", "--root", str(records.root)))


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("place", ["results/made/secret.csv", "results/made/runs/x/pools.npz"])
def test_an_archive_holds_no_file_from_elsewhere(
    records: Records, tmp_path: Path, place: str
) -> None:
    campaign_of(records)
    for name in ENVIRONMENT:
        shutil.copy(ROOT / name, records.root)
    (tmp_path / "secret").write_text("secret")
    (records.root / place).parent.mkdir(parents=True, exist_ok=True)
    (records.root / place).symlink_to(tmp_path / "secret")
    line = ("export", "made", "--output", str(tmp_path / "a.tar.gz"), "--root", str(records.root))
    answer = call(*line)
    assert not judge(answer)
    assert "a link out of" in answer.err
    assert not (tmp_path / "a.tar.gz").exists()
    (records.root / place).unlink()
    assert judge(call(*line))
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert f"made/{place}" not in archive.getnames()


def test_nothing_is_written_through_a_link(records: Records, tmp_path: Path) -> None:
    """CSV files, records and locks take the place of a link; its target stays as it is."""
    run = campaign_of(records)
    own = tmp_path / "own"
    for name in ("runs.csv", "cells.csv", "maps.csv.gz"):
        own.write_text("mine")
        (run.parents[1] / name).unlink()
        (run.parents[1] / name).symlink_to(own)
        call("aggregate", "made", "--root", str(records.root))
        assert own.read_text() == "mine"
        (run.parents[1] / name).unlink()
    assert judge(call("aggregate", "made", "--root", str(records.root)))
    (run / run_folder.RECORD).unlink()
    (run / run_folder.ATTEMPTS).write_text("")
    (run / run_folder.LOCK).symlink_to(own)
    judge(call("status", "made", "--root", str(records.root)))
    assert own.read_text() == "mine"


@pytest.mark.parametrize("place", ["/dev/null", "/dev/zero", "/proc"])
def test_only_regular_files_are_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to(place)
    with pytest.raises(OSError, match="not a regular file"):
        atomic.require_regular(tmp_path / "link")


@pytest.mark.usefixtures("undrawn")
def test_a_results_folder_on_another_disk(records: Records, tmp_path: Path) -> None:
    """A link of the user's own is followed."""
    campaign_of(records)
    (records.root / "results").rename(tmp_path / "disk")
    (records.root / "results").symlink_to(tmp_path / "disk")
    for command in ("status", "aggregate", "report"):
        assert judge(call(command, "made", "--root", str(records.root)))


@pytest.mark.parametrize("target", ["loop", "nowhere", "..", "/dev/zero"])
@pytest.mark.parametrize("place", ["photos", "photos/a", "photos/a/0.png"])
def test_links_among_the_images(tmp_path: Path, place: str, target: str) -> None:
    root = write_photos(tmp_path / "data")
    path = root / place
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(path.name if target == "loop" else target)
    with pytest.raises(UserError) as caught:
        prepare(photos(), root, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("[!.]*"))


def test_images_may_be_linked(tmp_path: Path) -> None:
    root = write_photos(tmp_path / "data")
    (root / "photos/a").rename(tmp_path / "elsewhere")
    (root / "photos/a").symlink_to(tmp_path / "elsewhere")
    assert len(load(prepare(photos(), root, tmp_path / "cache")).train.labels) == 6


# permissions


def obeying(root: Path, *arguments: str) -> children.Death:
    """How a command ends that permissions bind."""

    def act() -> None:
        torch.set_num_threads(1)  # OpenMP's threads do not come along into a child
        _become_ordinary()
        children.command(root, *arguments)()

    return children.child(act, root)


def _become_ordinary() -> None:
    """Root reads and writes what it likes by CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, bits 1 and 2."""
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # of sets of 64 bits, and for this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    assert libc.capget(header, sets) == 0
    for place in range(3):
        sets[place] &= ~0b110
    assert libc.capset(header, sets) == 0


LOCKED = [
    ("results/made/campaign.json", 0o000, "status made"),
    ("results/made", 0o000, "status made"),
    ("results/made/runs", 0o000, "aggregate made"),
    ("results/made", 0o500, "aggregate made"),
    ("results/made/cells.csv", 0o000, "report made"),
    ("results", 0o500, f"run {CELL} --protocol smoke --campaign new"),
    ("experiments", 0o000, "list"),
    ("experiments/table1/cifar10/flexpool.yaml", 0o000, "check"),
]


@pytest.mark.parametrize(("place", "mode", "command"), LOCKED)
def test_what_may_not_be_read_or_written(
    records: Records, place: str, mode: int, command: str
) -> None:
    campaign_of(records)
    path, before = records.root / place, contents(records.root)
    usual = path.stat().st_mode
    path.chmod(mode)
    try:
        done = obeying(records.root, *command.split())
    finally:
        path.chmod(usual)
    assert done.code == 2, done.said
    lines = done.said.splitlines()
    assert lines
    assert all(line.startswith("error: ") and Path(place).name in line for line in lines), done.said
    assert contents(records.root) == before


def test_what_is_allowed_works_without_roots_powers(records: Records) -> None:
    """So that the refusals above come from the permissions."""
    campaign_of(records)
    for command in ("status made", "aggregate made", "power made"):
        done = obeying(records.root, *command.split())
        assert done.code == 0, done.said
