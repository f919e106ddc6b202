"""The state of the code that a run's record names, in a real git repository."""

import subprocess
from pathlib import Path

import pytest

from replicate.dispatch.provenance import Code, code


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("replicate/train.py", "experiments/cell.yaml", "README.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("one")
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


def test_a_commit_of_text_or_results_leaves_the_code_as_it_was(repository: Path) -> None:
    before = code(repository)
    assert before == Code(git(repository, "rev-parse", "HEAD"), dirty=False)
    (repository / "README.md").write_text("two")
    assert code(repository) == before
    commit(repository)
    assert code(repository) == before


@pytest.mark.parametrize("name", ["replicate/train.py", "experiments/cell.yaml"])
def test_what_trains_is_another_code_once_committed(repository: Path, name: str) -> None:
    before = code(repository)
    (repository / name).write_text("two")
    assert code(repository) == Code(before.commit, dirty=True)
    now = commit(repository)
    assert code(repository) == Code(now, dirty=False) != before


def test_a_merge_of_text_leaves_the_code_as_it_was(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "text")
    (repository / "README.md").write_text("two")
    commit(repository)
    git(repository, "checkout", "--quiet", "-")
    (repository / "replicate/train.py").write_text("two")
    now = commit(repository)
    git(repository, "merge", "--quiet", "--no-edit", "text")
    assert git(repository, "rev-parse", "HEAD") != now
    assert code(repository) == Code(now, dirty=False)


def test_no_repository_and_one_without_the_code(tmp_path: Path) -> None:
    assert code(tmp_path) == Code(None, None)
    git(tmp_path, "init", "--quiet")
    assert code(tmp_path) == Code(None, None)
    (tmp_path / "other").write_text("one")
    git(tmp_path, "add", ".")
    commit(tmp_path)
    assert code(tmp_path) == Code(None, None)
