"""A copy of the code and the specs, so that later edits do not reach what has been submitted."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import replicate
from replicate.campaign import Campaign

LENGTH = 12  # hexadecimal digits of the folder's name


def take(campaign: Campaign) -> Path:
    """Copy replicate/ and experiments/ into results/<campaign>/code/<hash of the content>.

    The copy serves as a project folder: its results/ and reports/ are links to the project's, which
    still hold where the project has been moved.
    """
    root = campaign.root.resolve()
    files = dict(_files(root))
    target = folder(campaign)
    if not target.exists():
        partial = target.with_name(f".{uuid.uuid4().hex}.tmp")
        for name, path in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, partial / name)
        for name in ("results", "reports"):
            (root / name).mkdir(exist_ok=True)
            (partial / name).symlink_to(os.path.relpath(root / name, target))
        partial.replace(target)
    return target


def folder(campaign: Campaign) -> Path:
    """Where `take` would copy to."""
    return campaign.results.resolve() / "code" / digest(dict(_files(campaign.root.resolve())))


def digest(files: dict[str, Path]) -> str:
    total = hashlib.sha256()
    for name, path in files.items():
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()[:LENGTH]


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Every file of the copy by its path in it, sorted."""
    package = Path(replicate.__file__).resolve().parent
    for name, source in (("experiments", root / "experiments"), ("replicate", package)):
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{name}/{path.relative_to(source).as_posix()}", path
