"""The state of the code that a run's record names: a digest of what trains, and the checkout beside it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from replicate.dispatch import code as provenance
from replicate.dispatch.code import read_code
from replicate.records.origin import Origin

TRAINS, BESIDE = "replicate/training/trainer.py", "replicate/report.py"
SPEC, PROFILE = "experiments/table1/cell.yaml", "experiments/clusters/one-gpu.yaml"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in (TRAINS, BESIDE, SPEC, PROFILE, "README.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("one = 1")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    commit(tmp_path)
    return tmp_path


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", "-C", root, *who, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(root: Path) -> str:
    git(root, "commit", "--quiet", "--all", "--message", "a change")
    return git(root, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["README.md", BESIDE, PROFILE])
def test_what_does_not_train_leaves_the_code_as_it_was(repository: Path, name: str) -> None:
    before = read_code(repository)
    assert before == Origin(commit=git(repository, "rev-parse", "HEAD"), dirty=False)
    (repository / name).write_text("two")
    assert read_code(repository) == before
    commit(repository)
    assert read_code(repository) == before


@pytest.mark.parametrize("name", ["notes.txt", "experiments/clusters/mine.yaml", "docs/a.md"])
def test_untracked_files_elsewhere_change_nothing(repository: Path, name: str) -> None:
    before = read_code(repository)
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("new")
    assert read_code(repository) == before


@pytest.mark.parametrize("name", [TRAINS, SPEC])
def test_what_trains_is_another_code_once_committed(repository: Path, name: str) -> None:
    before = read_code(repository)
    (repository / name).write_text("two = 2")
    assert read_code(repository) == Origin(commit=before.commit, dirty=True)
    now = commit(repository)
    assert read_code(repository) == Origin(commit=now, dirty=False) != before


def test_a_merge_of_text_leaves_the_code_as_it_was(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "text")
    (repository / "README.md").write_text("two")
    commit(repository)
    git(repository, "checkout", "--quiet", "-")
    (repository / TRAINS).write_text("two = 2")
    now = commit(repository)
    git(repository, "merge", "--quiet", "--no-edit", "text")
    assert git(repository, "rev-parse", "HEAD") != now
    assert read_code(repository) == Origin(commit=now, dirty=False)


def test_no_repository_and_one_without_the_code(tmp_path: Path) -> None:
    assert read_code(tmp_path) == Origin()
    git(tmp_path, "init", "--quiet")
    assert read_code(tmp_path) == Origin()
    (tmp_path / "other").write_text("one")
    git(tmp_path, "add", ".")
    commit(tmp_path)
    assert read_code(tmp_path) == Origin()


def test_an_archive_of_a_checkout_knows_its_commit(tmp_path: Path) -> None:
    """By the project's own .gitattributes; a folder that is neither names none."""
    root, unpacked = tmp_path / "project", tmp_path / "unpacked"
    root.mkdir()
    for name in (".commit", ".gitattributes"):
        shutil.copy(Path(__file__).parents[2] / name, root / name)
    assert read_code(root) == Origin()
    git(root, "init", "--quiet")
    git(root, "add", ".")
    now = commit(root)
    unpacked.mkdir()
    archive = subprocess.run(
        ["git", "-C", root, "archive", "HEAD"], check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", unpacked], input=archive, check=True)
    assert read_code(unpacked) == Origin(commit=now)


@pytest.mark.root
def test_a_checkout_of_another_owner_names_its_commit(repository: Path) -> None:
    now = git(repository, "rev-parse", "HEAD")
    subprocess.run(["chown", "-R", "nobody", repository], check=True)
    refused = subprocess.run(["git", "-C", repository, "log"], capture_output=True, text=True)
    assert "dubious ownership" in refused.stderr
    assert read_code(repository) == Origin(commit=now, dirty=False)


def test_the_commit_is_this_checkouts_whatever_git_dir_is_set_to(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As inside a hook of another repository."""
    now = git(repository, "rev-parse", "HEAD")
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert read_code(repository) == Origin(commit=now, dirty=False)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the real one."""
    copied = tmp_path / "replicate"
    shutil.copytree(provenance.PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    return copied


def digest(package: Path) -> str:
    return provenance.code_digest.__wrapped__(package)


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(package: Path) -> None:
        text = (package / name).read_text()
        assert old in text
        (package / name).write_text(text.replace(old, new, 1))

    return change


def move(package: Path) -> None:
    """As a reorganisation does: the module, and all imports of it."""
    (package / "models" / "resnet.py").rename(package / "models" / "networks_for_small_images.py")
    edit("models/classifier.py", "models.resnet import", "models.networks_for_small_images import")(
        package
    )


def fold(package: Path) -> None:
    """The statements of one module into another, imports from outside the package included."""
    folded = package / "training" / "optimisation.py"
    kept = package / "training" / "trainer.py"
    kept.write_text(folded.read_text() + kept.read_text())
    folded.unlink()


SILENT: dict[str, Callable[[Path], None]] = {
    "a comment": edit("training/trainer.py", "import math\n", "import math  # needed below\n"),
    "a docstring": edit(
        "training/trainer.py", '"""One spec with one seed.', '"""A spec and a seed.'
    ),
    "a module's docstring": edit("training/trainer.py", '"""A run in memory', '"""Of a run'),
    "another order": edit("models/pools.py", "\n\n\nclass ", "\n\n\n\n\nclass "),
    "a report": edit("report/render.py", "import", "import "),
    "a moved module": move,
    "a module folded into another": fold,
    "a file of bytecode": lambda package: (package / "models/__pycache__").mkdir(),
}
LOUD: dict[str, Callable[[Path], None]] = {
    "a constant": edit("training/trainer.py", "_EVALUATION_BATCH = 1000", "_EVALUATION_BATCH = 999"),
    "an operator": edit("models/flexpool.py", "/ (height * width)", "/ (height + width)"),
    "an argument": edit("training/optimisation.py", "fused=True", "fused=False"),
    "a library's name": edit("training/augment.py", "import torch.nn.functional as F", "import f as F"),
    "a new module": lambda package: (package / "models/other.py").write_text("x = 1"),
    "a table of labels": lambda package: next((package / "data").glob("*.csv")).write_text("0"),
    "the spec": edit("specs/spec.py", "1 + self.training.epochs", "2 + self.training.epochs"),
}  # fmt: skip


@pytest.mark.parametrize("change", SILENT)
def test_a_digest_does_not_see(package: Path, change: str) -> None:
    before = digest(package)
    assert before == provenance.code_digest()
    SILENT[change](package)
    assert digest(package) == before


@pytest.mark.parametrize("change", LOUD)
def test_a_digest_sees(package: Path, change: str) -> None:
    before = digest(package)
    LOUD[change](package)
    assert digest(package) != before
