from pathlib import Path

import pytest

from replicate.data import checks, describe, load, prepare


def row(dataset, data_dir: Path | None, cache_dir: Path):
    (found,) = describe([dataset], data_dir, cache_dir)
    return found


def test_before_and_after_prepare(spec, data_dir: Path, cache_dir: Path) -> None:
    before = row(spec.dataset, data_dir, cache_dir)
    assert (before.source, before.state, before.entry) == ("folder", "not read yet", None)
    assert before.place == str(data_dir / "pets")
    assert before.images == (12, 6)
    assert not cache_dir.exists()
    entry = prepare(spec, data_dir, cache_dir)
    after = row(spec.dataset, data_dir, cache_dir)
    assert (after.state, after.entry) == ("not pinned", entry)


@pytest.mark.parametrize("state", ["agrees", "differs"])
def test_pinned_fingerprint(spec, data_dir: Path, cache_dir: Path, state: str) -> None:
    found = load(prepare(spec, data_dir, cache_dir)).fingerprint
    pinned = found if state == "agrees" else "0" * 64
    dataset = spec.dataset.model_copy(update={"fingerprint": pinned})
    assert row(dataset, data_dir, cache_dir).state == state


def test_pinned_images_in_the_cache_alone(spec, data_dir: Path, cache_dir: Path) -> None:
    entry = prepare(spec, data_dir, cache_dir)
    pinned = spec.dataset.model_copy(update={"fingerprint": load(entry).fingerprint})
    for nothing in (None, cache_dir / "nothing"):
        found = row(pinned, nothing, cache_dir)
        assert (found.source, found.state, found.entry) == (None, "agrees", entry)
        assert found.place == f"needs no files: {entry}"
    assert "pets is missing: put pets there" in row(spec.dataset, cache_dir, cache_dir).place


def test_what_is_wrong_stands_in_the_row(spec, paper_spec, data_dir: Path, cache_dir: Path) -> None:
    (data_dir / "pets" / "train" / "cat" / "notes.txt").touch()
    cifar10 = paper_spec("cifar10").dataset
    broken, absent = describe([spec.dataset, cifar10], data_dir, cache_dir)
    assert broken.source is absent.source is None
    assert "notes.txt is no PNG or JPEG" in broken.place
    assert absent.place == f"not in {data_dir}: will be downloaded"
    assert "needs real images" in row(cifar10, None, cache_dir).place


MEANS = {
    "cifar10": (0.4914, 0.4822, 0.4465),
    "cifar100": (0.5071, 0.4865, 0.4409),
    "fashion-mnist": (0.2860,),
}


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("name", MEANS)
def test_real_images_are_the_pinned_ones(
    paper_spec, real_data: Path, real_cache: Path, name: str
) -> None:
    """And their means are those that others publish."""
    spec = paper_spec(name)
    data = load(prepare(spec, real_data, real_cache))
    assert data.fingerprint == spec.dataset.fingerprint
    assert checks.unlabelled(data) in checks.UNLABELLED
    assert data.mean == pytest.approx(MEANS[name], abs=1e-4)
