import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.data import cache, download, entries, files, load, prepare, verify
from replicate.errors import UserError
from replicate.specs.spec import Spec


def test_class_folders_end_as_arrays(spec, data_dir: Path, cache_dir: Path, pixels) -> None:
    data = load(prepare(spec, data_dir, cache_dir))
    order = [0, 3, 6, 9, 1, 10, 4, 7, 11, 2, 5, 8]  # by class, then by name: "10" before "4"
    assert data.source == "folder"
    np.testing.assert_array_equal(data.train.images, pixels[order])
    assert data.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.test.images.shape == (6, 8, 8, 3)
    assert data.train.labels.dtype == np.int64
    np.testing.assert_allclose(data.mean, (pixels[:12] / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(data.std, (pixels[:12] / 255).std((0, 1, 2)), rtol=1e-12)


def test_arrays_are_read_only_memory_maps(spec, data_dir: Path, cache_dir: Path) -> None:
    data = load(prepare(spec, data_dir, cache_dir))
    for array in (data.train.images, data.train.labels, data.test.images, data.test.labels):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


def test_fit_changes_the_images_but_not_the_fingerprint(
    spec, data_dir: Path, cache_dir: Path, pixels
) -> None:
    small = spec.model_copy(
        update={"dataset": spec.dataset.model_copy(update={"fit": "average", "size": 4})}
    )
    stored, fitted = (load(prepare(s, data_dir, cache_dir)) for s in (spec, small))
    assert fitted.fingerprint == stored.fingerprint
    assert fitted.test.images.shape == (6, 4, 4, 3)
    block = pixels[12, :2, :2, 0].astype(int).sum()
    assert fitted.test.images[0, 0, 0, 0] == (block + 2) // 4
    assert len(entries(cache_dir)) == 2


def test_second_time_decodes_nothing(spec, data_dir: Path, cache_dir: Path, monkeypatch) -> None:
    entry = prepare(spec, data_dir, cache_dir)
    monkeypatch.setattr(files, "decode", pytest.fail)
    assert prepare(spec, data_dir, cache_dir) == entry


@pytest.mark.parametrize("change", ["content", "time", "name"])
def test_changed_folder_is_read_again(spec, data_dir: Path, cache_dir: Path, change: str) -> None:
    entry = prepare(spec, data_dir, cache_dir)
    path = data_dir / "pets" / "train" / "cat" / "0.png"
    match change:
        case "content":
            path.write_bytes((path.parent / "3.png").read_bytes())
        case "time":
            os.utime(path, ns=(1, 1))
        case "name":
            path.rename(path.with_name("00.png"))
    again = prepare(spec, data_dir, cache_dir)
    assert again != entry
    assert (load(again).fingerprint == load(entry).fingerprint) == (change != "content")


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip_last_byte, cut, Path.unlink])
@pytest.mark.parametrize("name", ["train-images.npy", "test-labels.npy"])
def test_damaged_entry_is_noticed_and_built_again(
    spec, data_dir: Path, cache_dir: Path, damage, name: str
) -> None:
    entry = prepare(spec, data_dir, cache_dir)
    verify(entry)
    whole = (entry / name).read_bytes()
    damage(entry / name)
    with pytest.raises(UserError, match=rf"{name}.*run `replicate data prepare`"):
        verify(entry)
    assert prepare(spec, data_dir, cache_dir) == entry
    assert (entry / name).read_bytes() == whole


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_load_refuses_an_entry_cut_short(spec, data_dir: Path, cache_dir: Path, damage) -> None:
    entry = prepare(spec, data_dir, cache_dir)
    damage(entry / "train-images.npy")
    with pytest.raises(UserError, match="damaged"):
        load(entry)


def test_load_refuses_another_shape(spec, data_dir: Path, cache_dir: Path) -> None:
    entry = prepare(spec, data_dir, cache_dir)
    np.save(entry / "test-images.npy", np.zeros((6, 8, 8, 1), np.uint8))
    with pytest.raises(UserError, match=r"test-images.npy has shape \(6, 8, 8, 1\)"):
        load(entry)


def test_load_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing or damaged"):
        load(tmp_path / "entry")


@pytest.fixture
def kept(spec, data_dir: Path, cache_dir: Path) -> Path:
    """An entry of `pinned`'s images under a key that no source at hand leads to."""
    entry = prepare(spec, data_dir, cache_dir)
    return entry.rename(cache_dir / "pets-official-none8-elsewhere")


@pytest.fixture
def pinned(spec, kept: Path) -> Callable[..., Spec]:
    """`spec` with the fingerprint of its images, and other changes of its data set."""
    fingerprint = load(kept).fingerprint

    def make(**changes: Any) -> Spec:
        dataset = spec.dataset.model_copy(update={"fingerprint": fingerprint, **changes})
        return spec.model_copy(update={"dataset": dataset})

    return make


def test_pinned_images_in_the_cache_need_no_source(
    pinned, kept: Path, tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "download", pytest.fail)
    for data_dir in (None, tmp_path / "nothing"):
        assert prepare(pinned(), data_dir, cache_dir) == kept
        assert prepare(pinned(official="CIFAR10"), data_dir, cache_dir) == kept


def test_a_source_at_hand_goes_first(pinned, kept: Path, data_dir: Path, cache_dir: Path) -> None:
    entry = prepare(pinned(), data_dir, cache_dir)
    assert entry != kept
    (data_dir / "pets" / "train" / "cat" / "notes.txt").touch()
    with pytest.raises(UserError, match=r"notes.txt is no PNG or JPEG"):
        prepare(pinned(), data_dir, cache_dir)


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": None},
        {"fingerprint": "0" * 64},
        {"fit": "average", "size": 4},
        {"fit": "resize"},
        {"name": "pet"},
    ],
)
def test_other_images_in_the_cache_do_not_serve(pinned, cache_dir: Path, changes) -> None:
    with pytest.raises(UserError, match="needs real images: give --data-dir"):
        prepare(pinned(**changes), None, cache_dir)


def in_another_format(entry: Path) -> None:
    meta = cache.read_meta(entry) | {"format": cache.FORMAT + 1}
    text = json.dumps(meta | {"checksum": cache._checksum(meta)}, indent=1) + "\n"
    (entry / "entry.json").write_text(text)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda entry: flip_last_byte(entry / "train-images.npy"),
        lambda entry: flip_last_byte(entry / "entry.json"),
        in_another_format,
    ],
)
def test_a_spoilt_entry_does_not_serve(pinned, kept: Path, cache_dir: Path, spoil) -> None:
    spoil(kept)
    with pytest.raises(UserError, match="needs real images: give --data-dir"):
        prepare(pinned(), None, cache_dir)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"train_images": 9}, "12 images, pets has 9"), ({"classes": 2}, "labels from 0 to 2")],
)
def test_an_entry_from_elsewhere_is_counted(
    pinned, kept: Path, cache_dir: Path, changes, message: str
) -> None:
    with pytest.raises(UserError, match=f"{kept}: train has {message}"):
        prepare(pinned(**changes), None, cache_dir)


def test_the_same_number_in_another_spelling_is_damage(
    spec, data_dir: Path, cache_dir: Path
) -> None:
    """As a flipped bit of its last digit may leave it."""
    entry = prepare(spec, data_dir, cache_dir)
    path = entry / "entry.json"
    first = repr(load(entry).mean[0])
    path.write_text(path.read_text().replace(first, f"{first}0"))
    with pytest.raises(UserError, match=r"entry.json has another checksum"):
        verify(entry)


def test_interrupted_build_leaves_no_entry(
    spec, data_dir: Path, cache_dir: Path, monkeypatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "moments", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(spec, data_dir, cache_dir)
    assert entries(cache_dir) == []
    verify(prepare(spec, data_dir, cache_dir))
    assert [p.name for p in cache_dir.iterdir() if p.name.endswith(".tmp")] == []


def test_cache_folder_that_cannot_be_written(spec, data_dir: Path, cache_dir: Path) -> None:
    cache_dir.write_text("a file")
    with pytest.raises(UserError, match="cannot take the decoded images"):
        prepare(spec, data_dir, cache_dir)


def prepare_and_report(queue, spec, data_dir: Path, cache_dir: Path) -> None:
    entry = prepare(spec, data_dir, cache_dir)
    queue.put((entry, load(entry).fingerprint))


def test_three_processes_at_once(spec, data_dir: Path, cache_dir: Path, pixels) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [
        context.Process(target=prepare_and_report, args=(queue, spec, data_dir, cache_dir))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    seen = {queue.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
    assert len(seen) == 1
    (entry,) = entries(cache_dir)
    verify(entry)


def test_lock_holds_back_the_second_process(
    spec, data_dir: Path, cache_dir: Path, monkeypatch
) -> None:
    """Another process that finishes while this one waits for the lock leaves nothing to build."""
    entry = prepare(spec, data_dir, cache_dir)
    aside = entry.with_name("aside")
    entry.rename(aside)

    class SlowLock:
        def __init__(self, path: Path) -> None: ...
        def __enter__(self) -> None:
            aside.rename(entry)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(cache, "FileLock", SlowLock)
    monkeypatch.setattr(files, "decode", pytest.fail)
    assert prepare(spec, data_dir, cache_dir) == entry
