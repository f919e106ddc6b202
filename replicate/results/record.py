"""The record of a run: the truth. Written whole or not at all, and checked whenever it is read.

A run's folder holds record.json when the run has ended, and until then progress.json,
checkpoint.pt and attempts.jsonl.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from replicate import atomic
from replicate.spec import Part
from replicate.training.outcome import Epoch

RECORD = "record.json"
PROGRESS = "progress.json"
CHECKPOINT = "checkpoint.pt"
ATTEMPTS = "attempts.jsonl"
POOLS = "pools.npz"
LOCK = "lock"

Status = Literal["done", "diverged", "failed"]


class Provenance(Part):
    """Where the numbers come from."""

    commit: str | None
    dirty: bool | None
    """Whether the checkout had changes that the commit lacks."""
    python: str
    torch: str
    torchvision: str
    numpy: str
    device: str
    precision: str
    threads: int
    started: str
    """UTC, of the first attempt."""
    seconds: float
    """In training and evaluation, over all attempts that counted."""
    attempts: int


class Record(Part):
    """How a run ended."""

    format: Literal[1] = 1
    cell: str
    seed: Annotated[int, Field(ge=0)]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    status: Status
    spec: dict[str, Any]
    source: str | None
    fingerprint: str | None
    epochs: list[Epoch]
    error: str | None
    """One line; for failed and diverged runs."""
    trace: str | None
    provenance: Provenance

    @property
    def accuracy(self) -> float | None:
        """Test accuracy of the last epoch, the headline (A12); None unless the run is done."""
        return self.epochs[-1].accuracy if self.status == "done" else None

    @property
    def best(self) -> Epoch | None:
        """The epoch with the highest test accuracy: selection on the test set, so optimistic."""
        return max(self.epochs, key=lambda epoch: epoch.accuracy, default=None)


class CorruptRecord(Exception):
    """A record.json that is truncated, altered or not one of ours."""


def write(folder: Path, record: Record) -> None:
    """Write record.json: the record behind the SHA-256 of its text."""
    body = record.model_dump_json()
    atomic.write_text(folder / RECORD, f"{_head(body)}{body}}}\n")


def read(folder: Path) -> Record | None:
    """The record of a run's folder; None where there is none.

    Raises:
        CorruptRecord: the checksum or the content is wrong.
    """
    path = folder / RECORD
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptRecord(f"{path}: {error}") from None
    start = text.find('"record": ') + len('"record": ')
    body = text[start:].removesuffix("}\n")
    if text != f"{_head(body)}{body}}}\n":
        raise CorruptRecord(f"{path}: its checksum is wrong")
    try:
        return Record.model_validate_json(body)
    except ValidationError as error:
        raise CorruptRecord(f"{path}: {error.errors()[0]['msg']}") from None


def set_aside(folder: Path, why: str) -> None:
    """Keep a record that no longer counts under another name, so that the run can be done again."""
    path = folder / RECORD
    if path.exists():
        number = len(list(folder.glob(f"record-{why}-*.json"))) + 1
        path.replace(folder / f"record-{why}-{number}.json")


def status(folder: Path) -> Status | None:
    """The status of a run with a sound record; None for no record or a corrupt one."""
    try:
        found = read(folder)
    except CorruptRecord:
        return None
    return found.status if found else None


def read_all(runs_folder: Path) -> Iterator[tuple[Path, Record | CorruptRecord]]:
    """Every record below a campaign's runs folder, by folder name; a corrupt one as its error."""
    if not runs_folder.is_dir():
        return
    for folder in sorted(runs_folder.iterdir()):
        try:
            found = read(folder)
        except CorruptRecord as error:
            yield folder, error
        else:
            if found is not None:
                yield folder, found


def progress(folder: Path) -> dict[str, Any] | None:
    """The latest epoch of a run under way, as far as it can be read."""
    try:
        found = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _head(body: str) -> str:
    return f'{{"checksum": "{hashlib.sha256(body.encode()).hexdigest()}", "record": '
