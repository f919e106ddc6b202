"""One run's share of the CSV files, made from its folder. Free of pandas, so that processes start quickly."""

import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, reduce
from io import BytesIO
from itertools import count, repeat
from multiprocessing import get_context
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from isal import igzip
from numpy.lib.format import read_array_header_1_0, read_magic

from replicate import machine
from replicate.files import atomic
from replicate.records import run_folder
from replicate.records.record import Answers, CorruptRecord, Record, read_record

if TYPE_CHECKING:
    from replicate.specs.spec import Spec

_CHUNK = 250
"""Folders for a process at a time; fewer in all are read without a second process."""
_MAX_BYTES = 256 * 1024**2
"""Of a run's weights: a thousand times what the largest network here has."""
_BEFORE = attrgetter("epoch", "learning_rate", "loss")
_AFTER = attrgetter("penalty", "train_accuracy", "accuracy", "seconds", "images_per_second")
"""What epochs.csv.gz has of an epoch before and after the losses of its heads."""


@dataclass(frozen=True)
class RunRows:
    """What the CSV files hold of a run."""

    folder: Path
    cell: str
    seed: int
    id: str
    spec: bytes
    """As the record has it, in JSON: a cell's seeds have the same one, which is then judged once."""
    run: dict[str, Any]
    """Its row of runs.csv, but for `stale`."""
    provenance: dict[str, Any]
    epochs: bytes
    """Its rows of epochs.csv.gz, compressed."""
    pools: bytes
    """Its rows of pools.csv.gz, compressed; empty without FlexPool."""
    maps: list[np.ndarray]
    """FlexPool's weights of each head, first stage first, mean over the channels: (H, W) float64."""
    oddities: dict[str, float]
    """Its accuracy measured in odd ways; empty where its spec asks for none."""
    answers: Answers | None
    """Which test images it got right; None where that was not noted."""


NAMES = ("dataset", "method", "protocol")
"""Of a spec, in runs.csv."""


def names(spec: "Spec") -> dict[str, str]:
    """What a spec calls its parts today: a name changes no run."""
    return {part: getattr(spec, part).name for part in NAMES}


def rows_of_runs(runs_folder: Path) -> Iterator[RunRows | CorruptRecord]:
    """Of every record below a campaign's runs folder, by folder name; a corrupt one as its error."""
    folders = list(runs_folder.iterdir()) if runs_folder.is_dir() else []
    folders.sort(key=lambda folder: folder.name)  # paths compare slowly
    chunks = [folders[i : i + _CHUNK] for i in range(0, len(folders), _CHUNK)]
    if len(chunks) < 2:
        yield from read_folders(folders)
        return
    # Not forked: whoever calls may have threads, which would not survive it.
    workers = min(len(chunks), machine.cores())
    with ProcessPoolExecutor(workers, get_context("spawn")) as processes:
        for chunk in processes.map(read_folders, chunks):
            yield from chunk


def member(rows: Iterable[Sequence[object]], *key: object) -> bytes:
    """CSV rows as a gzip member, each behind the key: files of many members are one after the other.

    For numbers, and text without quotes and brackets. A JSON array of such is a CSV row, and msgspec
    prints floats seven times as fast as `repr`, and ISA-L compresses them thrice as fast as zlib: most
    of the time of aggregation. The same bytes for the same rows: there is no time stamp.
    """
    begin = b"".join(msgspec.json.encode(one) + b"," for one in key)
    text = msgspec.json.encode(list(rows))[2:-2].replace(b"],[", b"\n" + begin)
    return igzip.compress(begin + text + b"\n", mtime=0)


def read_folders(folders: Sequence[Path]) -> list[RunRows | CorruptRecord]:
    """Of every record in these folders of runs; a corrupt one as its error."""
    return [found for folder in folders if (found := _of_folder(folder)) is not None]


def _of_folder(folder: Path) -> RunRows | CorruptRecord | None:
    try:
        found = read_record(folder)
        return None if found is None else _rows(folder, found)
    except CorruptRecord as error:
        return error


def _rows(folder: Path, found: Record) -> RunRows:
    key = found.cell, found.seed, found.id
    weights = _weights(folder, found)
    return RunRows(
        folder,
        *key,
        msgspec.json.encode(found.spec),
        run=_run(found),
        provenance=_provenance(found),
        epochs=member(_epochs(found), *key) if found.epochs else b"",
        pools=member(_pools(weights), *key) if weights else b"",
        maps=[mean(head.astype(np.float64)) for head in weights],
        oddities=found.oddities,
        answers=found.answers,
    )


def _run(found: Record) -> dict[str, Any]:
    last = found.epochs[-1] if found.epochs else None
    best = found.best
    published = found.spec["published"]
    return {
        **_key(found),
        "table": str(published["table"]) if published else None,
        **{part: found.spec[part]["name"] for part in NAMES},
        "status": found.status,
        "accuracy": found.accuracy,
        "best_accuracy": best.accuracy if best else None,
        "best_epoch": best.epoch if best else None,
        "epochs": len(found.epochs),
        "train_loss": last.loss if last else None,
        "penalty": last.penalty if last else None,
        "source": found.source,
        "fingerprint": found.fingerprint,
        "precision": found.provenance.precision,
        "parameters": found.parameters,
        "flops": found.flops,
        "right": found.answers.count if found.answers else None,
        "error": found.error,
    }


def _provenance(found: Record) -> dict[str, Any]:
    origin = msgspec.structs.asdict(found.provenance) | {"within": "; ".join(found.within)}
    seen = sum(epoch.images_per_second for epoch in found.epochs)
    speed = seen / len(found.epochs) if found.epochs else None
    return {**_key(found), **origin, "images_per_second": speed}


def _epochs(found: Record) -> Iterator[tuple[object, ...]]:
    """Rows of epochs.csv.gz, without their key."""
    losses = msgspec.json.encode([one.head_losses for one in found.epochs]).decode()
    each = losses[2:-2].replace(",", ";").split("];[")
    for one, heads in zip(found.epochs, each, strict=True):
        yield (*_BEFORE(one), heads, *_AFTER(one))


def _pools(weights: Sequence[np.ndarray]) -> Iterator[tuple[object, ...]]:
    """Rows of pools.csv.gz, without their key."""
    for head, own in enumerate(weights):
        channels = own.reshape(len(own), -1)
        negative = (channels < 0).mean(axis=1).tolist()
        # One after the other, as in `mean`, in float64.
        sums = np.cumsum(channels, axis=-1, dtype=np.float64)[:, -1].tolist()
        yield from zip(repeat(head), count(), sums, negative)


def mean(arrays: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Of arrays of one shape, added one after the other: every processor gives the same digits."""
    return reduce(np.add, arrays) / len(arrays)


def deviation(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Sample standard deviation of arrays of one shape, as `mean`; nan of a single one."""
    if len(arrays) < 2:
        return np.full_like(arrays[0], np.nan)
    middle = mean(arrays)
    squares = mean([(one - middle) ** 2 for one in arrays])
    found: np.ndarray = np.sqrt(squares * len(arrays) / (len(arrays) - 1))
    return found


def _weights(folder: Path, found: Record) -> list[np.ndarray]:
    """FlexPool's weights (C, H, W) of each head, first stage first; the archive has checksums."""
    path = folder / run_folder.POOLS
    if found.status == "failed" or not (found.pools or path.exists()):
        return []
    try:
        atomic.require_regular(path)
        with zipfile.ZipFile(path) as archive:
            _refuse_bombs(archive)
            weights = [_array(archive.read(name)) for name in archive.namelist()]
        if not all(one.ndim == 3 and one.size and np.isfinite(one).all() for one in weights):
            raise ValueError("not (C, H, W) arrays of finite numbers")
    except Exception as error:  # a damaged or foreign archive can fail in any way
        reason = " ".join(str(error).split())
        raise CorruptRecord(path, f"no whole file of weights ({reason})") from None
    return weights


def _array(content: bytes) -> np.ndarray:
    """An .npy file as `np.load` reads it, which takes three times as long: it parses every header anew."""
    end = 10 + int.from_bytes(content[8:10], "little")
    shape, fortran, dtype = _header(content[:end])
    flat = np.frombuffer(content, dtype, math.prod(shape), end)  # refuses objects
    return flat.reshape(shape, order="F" if fortran else "C")


@lru_cache(maxsize=64)
def _header(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    file = BytesIO(head)
    if read_magic(file) != (1, 0):
        raise ValueError("not the first version of the format")
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = read_array_header_1_0(file)
    return found


def _refuse_bombs(archive: zipfile.ZipFile) -> None:
    """A few bytes can be packed that fill any memory; what the zip file says of its size is kept to."""
    size = sum(member.file_size for member in archive.infolist())
    if size > _MAX_BYTES:
        raise ValueError(f"it unpacks to {size} bytes, at most {_MAX_BYTES}")


def _key(found: Record) -> dict[str, Any]:
    return {"cell": found.cell, "seed": found.seed, "run_id": found.id}
