"""A copy of the code and the specs, so that later edits reach neither jobs nor workers."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from replicate.dispatch.code import PACKAGE, source_files
from replicate.files import atomic
from replicate.plan.campaign import Campaign

LENGTH = 12  # hexadecimal digits of the folder's name


def take_snapshot(campaign: Campaign) -> Path:
    """Copy replicate/ and experiments/ into results/<campaign>/code/<hash of the content>."""
    files = _files(campaign.root.resolve())
    target = snapshot_folder(campaign)
    with atomic.alone(campaign.results):
        for left in target.parent.glob(".*.tmp"):  # by a process that was killed
            shutil.rmtree(left)
        if not target.exists():
            _copy(files, target)
    return target


def _copy(files: dict[str, Path], target: Path) -> None:
    partial = target.with_name(f".{target.name}.tmp")
    for name, path in files.items():
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, partial / name)
    # At the end and in one step: a copy that is there is whole.
    partial.replace(target)


def make_project(copy: Path, campaign: Campaign) -> Path:
    """Have a copy serve as a project folder, for jobs that aggregate and report from it.

    Its results/ and reports/ are links to the project's, which still hold where that has been moved.
    """
    root = campaign.root.resolve()
    for name in ("results", "reports"):
        (root / name).mkdir(exist_ok=True)
        with suppress(FileExistsError):
            (copy / name).symlink_to(os.path.relpath(root / name, copy))
    return copy


@dataclass(frozen=True)
class Copied:
    """Work that ends at once where it finds itself in other code than the copy."""

    code: Path
    work: Callable[..., None]

    def __call__(self, *arguments: object) -> None:
        insist_on(self.code)
        self.work(*arguments)


def insist_on(code: Path) -> None:
    """End here unless this is the code that was copied."""
    here = PACKAGE.resolve()
    if not here.is_relative_to(code.resolve()):
        sys.exit(f"this job runs {here}, not what was submitted, {code}")


def snapshot_folder(campaign: Campaign) -> Path:
    """Where `take_snapshot` would copy to."""
    return campaign.results.resolve() / "code" / _digest(_files(campaign.root.resolve()))


def _digest(files: dict[str, Path]) -> str:
    total = hashlib.sha256()
    for name, path in files.items():
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()[:LENGTH]


def _files(root: Path) -> dict[str, Path]:
    """Every file of the copy by its path in it, sorted."""
    return {
        f"{name}/{path.relative_to(source).as_posix()}": path
        for name, source in (
            ("experiments", root / "experiments"),
            ("replicate", PACKAGE.resolve()),
        )
        for path in source_files(source)
    }
