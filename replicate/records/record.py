"""The record of a run: the truth. Written whole or not at all, and checked whenever it is read."""

import hashlib
import os
import re
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta, Struct

from replicate.files import atomic
from replicate.records.epoch import Epoch
from replicate.records.origin import Attempt, differing
from replicate.records.run_folder import POOLS, RECORD

Status = Literal["done", "diverged", "failed"]
Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]

_BEGINNING = re.compile(
    rb'\{"checksum": "[0-9a-f]{64}", "record": '
    rb'\{"format":1,"cell":"[^"]*","seed":\d+,"id":"[0-9a-f]{12}","status":"(done|diverged|failed)",'
    rb'(?:"pools":(?:null|"([0-9a-f]{64})"),)?'
)
_MAX_BEGINNING = 1000  # bytes
_END = b"}}\n"
_CRLF = b"\r\n"
"""What a checkout or a transfer may have made of the only line end: no text in JSON holds one."""


class Provenance(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where the numbers come from: of the last attempt, where there were several."""

    code: str | None = None
    """Digest of the code that trained; None where that was not noted."""
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
    compiled: bool | None = None
    """Whether the network was compiled; None where that was not noted."""
    started: str
    """UTC, of the first attempt."""
    seconds: float
    """In training and evaluation, over all attempts that counted."""
    attempts: int


class Answers(Struct, frozen=True, forbid_unknown_fields=True):
    """Which test images the network of the last epoch got right."""

    images: str
    """SHA-256 of the file of test images, in whose order the bits are."""
    right: bytes
    """A bit an image, most significant first, filled up with zeros (np.packbits)."""

    @property
    def count(self) -> int:
        """Of the images that it got right."""
        return int.from_bytes(self.right).bit_count()

    def accuracy(self, images: int) -> float:
        """In percent; raises ValueError where the bits are not those of so many images."""
        spare = 8 * len(self.right) - images
        if not 0 <= spare < 8 or int.from_bytes(self.right[-1:]) & ((1 << spare) - 1):
            raise ValueError(f"{len(self.right)} bytes of answers to {images} test images")
        return 100 * self.count / images


class Record(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How a run ended."""

    format: Literal[1] = 1
    cell: str
    seed: Annotated[int, Meta(ge=0, le=10**9)]
    id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{12}\Z")]
    status: Status
    pools: str | None = None
    """SHA-256 of pools.npz; None without FlexPool, and where that was not noted."""
    spec: dict[str, Any]
    """As it was then: it may lack keys of today's, but not those that the CSV files show."""
    source: str | None
    fingerprint: str | None
    epochs: list[Epoch]
    error: str | None
    """One line; for failed and diverged runs."""
    trace: str | None
    parameters: Whole | None = None
    """Of the network; None for failed runs, and where that was not noted."""
    flops: Whole | None = None
    """Floating-point operations of a forward pass of one image; None as above."""
    provenance: Provenance
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    """Whose epochs these are, in order; none for failed runs, and where that was not noted."""
    oddities: dict[str, float] = msgspec.field(default_factory=dict)
    """Accuracy measured in the spec's odd ways: beside the accuracy, never in its place."""
    answers: Answers | None = None
    """None for runs that are not done, and where that was not noted."""

    def __post_init__(self) -> None:
        if self.status == "done" and not self.epochs:
            raise ValueError("done without an epoch")
        for part in ("dataset", "method", "protocol"):
            own = self.spec.get(part)
            if not (isinstance(own, dict) and isinstance(own.get("name"), str)):
                raise ValueError(f"a spec without {part}.name")
        self._check_answers()
        published = self.spec.get("published", "none")
        if published is not None and not (isinstance(published, dict) and "table" in published):
            raise ValueError("a spec without published.table")

    def _check_answers(self) -> None:
        if self.answers is None:
            return
        images = (self.spec.get("generated") or self.spec["dataset"]).get("test_images")
        if not isinstance(images, int) or self.answers.accuracy(images) != self.accuracy:
            raise ValueError("its answers to the test images do not give its accuracy")

    @property
    def within(self) -> tuple[str, ...]:
        """In what the attempts that made its epochs differ."""
        return differing(self.attempts)

    @property
    def accuracy(self) -> float | None:
        """Test accuracy of the last epoch, the headline (A12); None unless the run is done."""
        return self.epochs[-1].accuracy if self.status == "done" else None

    @property
    def best(self) -> Epoch | None:
        """The epoch with the highest test accuracy: selection on the test set, so optimistic."""
        trained = (one for one in self.epochs if one.epoch > 0)  # pretraining has other classes
        return max(trained, key=attrgetter("accuracy"), default=None)


_DECODER = msgspec.json.Decoder(Record)


class CorruptRecord(Exception):
    """A record.json that is truncated, altered or not one of ours, or a pools.npz that is not its own."""

    def __init__(self, path: Path, why: object) -> None:
        super().__init__(path, str(why))
        self.path, self.why = path, str(why)

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


def write_record(folder: Path, record: Record) -> None:
    """Write record.json: the record behind the SHA-256 of its text.

    Raises msgspec.ValidationError for one that could not be read again, NaN as an accuracy for instance.
    """
    body = msgspec.json.encode(record)
    _DECODER.decode(body)
    atomic.write_bytes(folder / RECORD, _head(body) + body + b"}\n")


def read_record(folder: Path) -> Record | None:
    """The record of a run's folder; None where there is none.

    Raises:
        CorruptRecord: the checksum or the content is wrong.
    """
    path = folder / RECORD
    content = _content(path)
    if content is None:
        return None
    try:
        return _DECODER.decode(_body(content))
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(path, error) from None


def sound_record(folder: Path) -> Record | None:
    """As `read_record`; None for a corrupt one too."""
    try:
        return read_record(folder)
    except CorruptRecord:
        return None


def read_status(folder: Path) -> Status | None:
    """The status of a run whose record has its checksum, and its pools theirs; None for no record or a
    corrupt one."""
    try:
        content = _content(folder / RECORD)
    except CorruptRecord:
        return None
    found = _BEGINNING.match(content) if content else None
    if found is None or not _are_pools(folder / POOLS, found[2]):
        return None
    return _named(found)


def glance(folder: Path) -> Status | None:
    """The status by the two ends of a record alone, for looking at many: only `read_status` sees it all.

    None for no record, or one whose beginning or end is missing.
    """
    try:
        file = os.open(f"{folder}/{RECORD}", os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait
    except FileNotFoundError:
        return None
    try:
        beginning = os.read(file, _MAX_BEGINNING)
        os.lseek(file, -len(_END) - 1, os.SEEK_END)
        whole = os.read(file, len(_END) + 1).replace(_CRLF, b"\n").endswith(_END)
    except OSError:
        return None
    finally:
        os.close(file)
    found = _BEGINNING.match(beginning) if whole else None
    return _named(found) if found else None


def _content(path: Path) -> bytes | None:
    """All of a record's file, its checksum verified; None where there is no file."""
    try:
        content = atomic.read(path).replace(_CRLF, b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CorruptRecord(path, error.strerror or error) from None
    body = _body(content)
    if content != _head(body) + body + b"}\n":
        raise CorruptRecord(path, "its checksum is wrong")
    return content


def _body(content: bytes) -> bytes:
    _, _, rest = content.partition(b'"record": ')
    return rest.removesuffix(b"}\n")


def _head(body: bytes) -> bytes:
    return f'{{"checksum": "{hashlib.sha256(body).hexdigest()}", "record": '.encode()


def _named(beginning: re.Match[bytes]) -> Status:
    return cast(Status, beginning[1].decode())


def _are_pools(path: Path, digest: bytes | None) -> bool:
    """Whether a file is the one that a record noted; True where it noted none."""
    if digest is None:
        return True
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest().encode() == digest
    except OSError:
        return False
