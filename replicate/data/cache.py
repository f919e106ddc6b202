"""The cache of decoded images: one folder an entry, whole or absent, opened by many processes.

<data set>-<source>-<fit><size>-<signature>/{train,test}-{images,labels}.npy and entry.json
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
from filelock import FileLock

from replicate.data import checks
from replicate.data.arrays import SPLITS, Fingerprint, ImageData, Images, Split, fit, moments
from replicate.data.find import find, obtain
from replicate.data.source import Contents, Source
from replicate.errors import UserError
from replicate.files import atomic
from replicate.files.checksums import file_sha256
from replicate.specs.spec import Dataset, Spec

FORMAT = 2
"""To be raised with every change of what is stored, so that older entries are left alone."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a damaged entry can end in."""


def prepare(spec: Spec, data_dir: Path | None, cache_dir: Path) -> Path:
    """The cache entry of a spec's images, built if it is missing or damaged, or its files changed.

    Without a source at hand, an entry of the pinned images serves as well; else it may download.
    The entry is read through once, so call it once a data set, not once a run.
    Raises UserError where the images cannot be had or are not those of the spec.
    """
    dataset = spec.dataset
    source = find(dataset, spec.generated, data_dir)
    if source is None and (entry := kept(dataset, cache_dir)):
        _check_counts(spec, str(entry), _labels(entry))
        return entry
    source = source or obtain(dataset, data_dir)
    if spec.pretraining and source.kind == "folder" and dataset.fingerprint is None:
        checks.check_fine_classes(source.place, source.read("train"))
    entry = entry_path(dataset, source, cache_dir)
    if damage(entry):
        _build_once(spec, source, entry)
    if source.kind != "generated":
        _check_identity(dataset, source.place, entry)
    return entry


def _check_identity(dataset: Dataset, place: str, entry: Path) -> None:
    """Refuse images, or an order of the classes, other than the pinned ones."""
    found = read_meta(entry)["fingerprint"]
    if dataset.fingerprint not in (None, found):
        checks.check_order(dataset, place, load(entry))
        checks.check_fingerprint(dataset, place, found)


def load(entry: Path) -> ImageData:
    """Open an entry's memory maps; any number of processes may do so at once.

    Raises UserError for an entry that is missing or cut short; `verify` also compares every byte.
    """
    try:
        meta = read_meta(entry)
        train, test = (_load_split(entry, split, meta) for split in SPLITS)
    except UNREADABLE as error:
        raise UserError(
            f"cache entry {entry} is missing or damaged ({error}): run `replicate data prepare`"
        ) from None
    return ImageData(
        train,
        test,
        meta["source"],
        meta["fingerprint"],
        tuple(meta["mean"]),
        tuple(meta["std"]),
        meta["files"]["test-images.npy"]["sha256"],
    )


def verify(entry: Path) -> None:
    """Hash an entry again; UserError where it is not what was written."""
    if problem := damage(entry):
        raise UserError(f"cache entry {entry} is damaged ({problem}): run `replicate data prepare`")


def entries(cache_dir: Path) -> list[Path]:
    """All entries, sorted by name."""
    return sorted(path.parent for path in cache_dir.glob("[!.]*/entry.json"))


def entry_path(dataset: Dataset, source: Source, cache_dir: Path) -> Path:
    """Where the images of a source go: another name whenever files, recipe or data set change."""
    facts = dataset.model_dump_json(exclude={"title", "fingerprint"} | dataset.unused)
    key = hashlib.sha256(f"{FORMAT} {facts} {source.signature}".encode()).hexdigest()[:12]
    return cache_dir / f"{dataset.name}-{source.kind}-{dataset.fit}{dataset.size}-{key}"


def kept(dataset: Dataset, cache_dir: Path) -> Path | None:
    """A sound entry of the pinned images, whatever source they came from; None without one."""
    pattern = f"{dataset.name}-*-{dataset.fit}{dataset.size}-*/entry.json"
    for path in sorted(cache_dir.glob(pattern)):
        if _is_pinned(path.parent, dataset) and not damage(path.parent):
            return path.parent
    return None


def damage(entry: Path) -> str | None:
    """What is wrong with an entry, None where every byte is as it was written."""
    try:
        for name, stored in read_meta(entry)["files"].items():
            if file_sha256(entry / name) != stored["sha256"]:
                return f"{name} has another checksum"
    except UNREADABLE as error:
        return str(error)
    return None


def read_meta(entry: Path) -> dict[str, Any]:
    """entry.json: format, source, fingerprint, mean, std, and each file's shape and SHA-256.

    Raises ValueError where its checksum is not the one that it states, or the text is another
    spelling of the same values: a float has many.
    """
    text = atomic.read(entry / "entry.json")
    meta = cast(dict[str, Any], json.loads(text))
    spelt = _as_text(meta).encode()
    if not isinstance(meta, dict) or meta.pop("checksum", None) != _checksum(meta) or text != spelt:
        raise ValueError("entry.json has another checksum")
    return meta


def _as_text(meta: dict[str, Any]) -> str:
    return json.dumps(meta, indent=1) + "\n"


def _is_pinned(entry: Path, dataset: Dataset) -> bool:
    """Whether an entry says that it holds the pinned images, as this version stores them."""
    try:
        meta = read_meta(entry)
        # entries of format 2 may not name it
        return (meta.get("format", 2), meta["fingerprint"]) == (FORMAT, dataset.fingerprint)
    except UNREADABLE:
        return False


def _labels(entry: Path) -> dict[str, Contents]:
    """Enough to count an entry's images, whose fingerprint agrees."""
    data = load(entry)
    splits = zip(SPLITS, (data.train, data.test), strict=True)
    return {name: Contents(split.labels, iter(())) for name, split in splits}


def _checksum(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _load_split(entry: Path, split: str, meta: dict[str, Any]) -> Split:
    images, labels = (np.load(entry / name, mmap_mode="r") for name in _names(split))
    for name, array in zip(_names(split), (images, labels), strict=True):
        if list(array.shape) != meta["files"][name]["shape"]:
            raise ValueError(f"{name} has shape {array.shape}")
    return Split(images, labels)


def _build_once(spec: Spec, source: Source, entry: Path) -> None:
    """Build the entry unless another process does so first; the lock ends with its process."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(entry.parent / f".{entry.name}.lock"):
            if damage(entry):
                _build(spec, source, entry)
    except OSError as error:
        raise UserError(
            f"{entry.parent} cannot take the decoded images ({error.strerror}):"
            " free some space there or choose another cache folder"
        ) from None


def _build(spec: Spec, source: Source, entry: Path) -> None:
    contents = {split: source.read(split) for split in SPLITS}
    _check_counts(spec, source.place, contents)
    temporary = entry.with_name(f".{entry.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a process that was killed
    temporary.mkdir()
    _write(spec.dataset, source, contents, temporary)
    if entry.exists():
        shutil.rmtree(entry)
    temporary.rename(entry)
    atomic.flush(entry.parent)


def _check_counts(spec: Spec, place: str, contents: dict[str, Contents]) -> None:
    expected = {"train": spec.train_images, "test": spec.test_images}
    checks.check_counts(spec.dataset, place, expected, contents)


def _write(dataset: Dataset, source: Source, contents: dict[str, Contents], folder: Path) -> None:
    fingerprint = Fingerprint()
    for split, content in contents.items():
        images, labels = (folder / name for name in _names(split))
        np.save(labels, content.labels.astype(np.int64))
        _write_images(images, dataset, len(content.labels), _counted(content, split, fingerprint))
    mean, std = moments(np.load(folder / "train-images.npy", mmap_mode="r"))
    meta = {
        "format": FORMAT,
        "source": source.kind,
        "fingerprint": fingerprint.hexdigest(),
        "mean": mean,
        "std": std,
        "files": {name: _describe(folder / name) for split in SPLITS for name in _names(split)},
    }
    meta["checksum"] = _checksum(meta)
    atomic.write_text(folder / "entry.json", _as_text(meta))


def _counted(content: Contents, split: str, fingerprint: Fingerprint) -> Iterable[Images]:
    """The blocks of a split, each counted into the fingerprint on its way."""
    start = 0
    for block in content.blocks:
        fingerprint.add(split, block, content.labels[start : start + len(block)])
        start += len(block)
        yield block


def _write_images(path: Path, dataset: Dataset, count: int, blocks: Iterable[Images]) -> None:
    """An .npy file written block by block: Tiny ImageNet as stored need not fit into memory."""
    shape = (count, dataset.size, dataset.size, dataset.channels)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        for block in blocks:
            file.write(np.ascontiguousarray(fit(block, dataset)).data)


def _describe(path: Path) -> dict[str, Any]:
    atomic.flush(path)
    shape = np.load(path, mmap_mode="r").shape
    return {"shape": shape, "sha256": file_sha256(path)}


def _names(split: str) -> tuple[str, str]:
    return f"{split}-images.npy", f"{split}-labels.npy"
