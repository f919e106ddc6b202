"""Super-classing: coarse classes, new dense layers, fine classes; and taking it up in either phase."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from replicate.data import ImageData, Split
from replicate.data.coarse import coarse, names
from replicate.records.epoch import Epoch
from replicate.specs.spec import Spec
from replicate.training import checkpoint, engine
from replicate.training.loop import phases_of, train
from replicate.training.outcome import Outcome
from replicate.training.trainer import Trainer
from tests.training.test_loop import Stop, equal, numbers, stop_after

# coarse_labels of the official training batch, by fine label
OFFICIAL = """
4 1 14 8 0 6 7 7 18 3 3 14 9 18 7 11 3 9 7 11 6 11 5 10 7 6 13 15 3 15 0 11 1 10 12 14 16 9 11 5
5 19 8 8 15 13 14 17 18 10 16 4 17 4 2 0 17 4 18 17 10 3 2 12 12 16 12 1 9 19 2 10 0 1 16 12 9 13
15 13 16 19 2 4 6 19 5 5 8 19 18 1 2 15 6 0 17 8 14 13
"""


def test_coarse_labels_are_those_of_the_official_files() -> None:
    official = np.array(OFFICIAL.split(), dtype=np.int64)
    assert coarse(np.arange(100)).tolist() == official.tolist()
    assert coarse(np.array([99, 0, 99])).tolist() == [13, 4, 13]
    assert np.bincount(official).tolist() == [5] * 20
    assert list(names()) == sorted(names())


def changed(spec: Spec, **parts: Any) -> Spec:
    """Not a copy: a copy would keep the identity."""
    return Spec.model_validate({**spec.model_dump(), **parts})


@pytest.fixture(scope="module")
def hundred() -> ImageData:
    """Two training images and one test image of each of 100 classes."""
    random = np.random.default_rng(0)

    def images(each: int) -> Split:
        labels = np.repeat(np.arange(100), each)
        return Split(random.integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8), labels)

    return ImageData(images(2), images(1), "generated", "f" * 64, (0.5,) * 3, (0.25,) * 3)


@pytest.fixture(scope="module")
def super_spec(make_spec: Callable[..., Spec]) -> Spec:
    """Two coarse epochs and two fine ones, three heads, Reg and Dropout."""
    spec = make_spec(
        sac=True, dropout=0.25, penalty_weight=1.0, official="CIFAR100", classes=100,
        train_images=200, test_images=100, epochs=2,
    )  # fmt: skip
    return changed(spec, pretraining={"classes": "coarse", "epochs": 2})


@pytest.fixture(scope="module")
def undisturbed(
    super_spec: Spec, hundred: ImageData, tmp_path_factory: pytest.TempPathFactory
) -> Outcome:
    file = tmp_path_factory.mktemp("whole") / "checkpoint.pt"
    return train(super_spec, 0, hundred, checkpoint=file)


def test_the_history_shows_both_phases(undisturbed: Outcome, super_spec: Spec) -> None:
    assert [epoch.epoch for epoch in undisturbed.epochs] == [-1, 0, 1, 2]
    assert (super_spec.epochs, super_spec.first_epoch) == (4, -1)
    assert super_spec.images_to_train == 4 * 200
    rates = [epoch.learning_rate for epoch in undisturbed.epochs]
    assert rates[:2] == rates[2:], "each phase has a schedule of its own"
    # at first every class is as likely as another: the losses are near log 20 and log 100
    first, fine = undisturbed.epochs[0], undisturbed.epochs[2]
    assert first.head_losses[-1] == pytest.approx(np.log(20), rel=0.15)
    assert fine.head_losses[-1] == pytest.approx(np.log(100), rel=0.15)


@pytest.mark.parametrize("after", [-1, 0, 1])
def test_interrupted_in_either_phase_it_ends_bit_for_bit_the_same(
    super_spec: Spec, hundred: ImageData, undisturbed: Outcome, tmp_path: Path, after: int
) -> None:
    file = tmp_path / "checkpoint.pt"
    with pytest.raises(Stop):
        train(
            super_spec, 0, hundred, checkpoint=file, on_epoch=stop_after(after),
            checkpoint_seconds=0,
        )  # fmt: skip
    torch.rand(5)
    seen: list[Epoch] = []
    resumed = train(
        super_spec, 0, hundred, checkpoint=file, on_epoch=seen.append, checkpoint_seconds=0
    )
    assert [epoch.epoch for epoch in seen] == list(range(after + 1, 3))
    assert resumed.resumed_from == [after + 2]
    assert equal(resumed, undisturbed)


def test_a_state_belongs_to_the_whole_run(
    super_spec: Spec, hundred: ImageData, tmp_path: Path
) -> None:
    """In both phases the checkpoint names the run, not the phase."""
    file = tmp_path / "checkpoint.pt"
    found: list[int] = []

    def look(epoch: Epoch) -> None:
        state = checkpoint.load(file, super_spec.run_id(0), hundred.fingerprint)
        assert state is not None
        found.append(state["model"]["heads.2.linear.weight"].shape[0])

    train(super_spec, 0, hundred, checkpoint=file, on_epoch=look, checkpoint_seconds=0)
    assert found == [20, 20, 100, 100]


def test_all_but_the_dense_layers_are_taken_over(super_spec: Spec, hundred: ImageData) -> None:
    first, second = phases_of(super_spec, hundred)
    chosen = engine.choose("float32", 1)
    old = Trainer(first.spec, 0, first.data, chosen)
    old.train_epoch(-1)
    fresh = Trainer(second.spec, 0, second.data, chosen).model.state_dict()
    new = Trainer(second.spec, 0, second.data, chosen, start_from=old.model).model.state_dict()
    kept = old.model.state_dict()
    for name, value in new.items():
        expected = fresh if ".linear." in name else kept
        assert torch.equal(value, expected[name]), name
    changed = [name for name in new if not torch.equal(new[name], fresh[name])]
    assert any(name.startswith("trunk") for name in changed)
    assert any(name.endswith("pool.weight") for name in changed)


def test_pretraining_sees_coarse_labels_and_training_the_fine_ones(
    super_spec: Spec, hundred: ImageData
) -> None:
    first, second = phases_of(super_spec, hundred)
    assert first.data.train.labels.tolist() == coarse(hundred.train.labels).tolist()
    assert first.data.test.labels.tolist() == coarse(hundred.test.labels).tolist()
    assert first.data.train.images is hundred.train.images
    assert second.data is hundred
    assert (first.spec.dataset.classes, second.spec.dataset.classes) == (20, 100)


def test_without_pretraining_nothing_changes(
    super_spec: Spec, hundred: ImageData, undisturbed: Outcome, tmp_path: Path
) -> None:
    alone = changed(super_spec, pretraining=None)
    outcome = train(alone, 0, hundred, checkpoint=tmp_path / "checkpoint.pt")
    assert [epoch.epoch for epoch in outcome.epochs] == [1, 2]
    assert numbers(outcome.epochs) != numbers(undisturbed.epochs[2:])
    assert alone.run_id(0) != super_spec.run_id(0)


def test_a_pretraining_that_diverges_ends_the_run(
    super_spec: Spec, hundred: ImageData, tmp_path: Path
) -> None:
    training = {**super_spec.training.model_dump(), "learning_rate": 1e30}
    spec = changed(super_spec, training=training)
    outcome = train(spec, 0, hundred, checkpoint=tmp_path / "checkpoint.pt")
    assert outcome.status == "diverged"
    assert all(epoch.epoch < 1 for epoch in outcome.epochs)


def test_only_cifar100_has_coarse_classes(make_spec: Callable[..., Spec]) -> None:
    with pytest.raises(ValueError, match="pretraining needs CIFAR-100's classes, not CIFAR-10's"):
        changed(make_spec(), pretraining={"classes": "coarse", "epochs": 1})


def test_oddities_are_measured_beside_the_accuracy(
    make_spec: Callable[..., Spec], data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """70 test images in batches of 50 and 20, the first 50 right: 5/7, but half by batch means."""
    spec = changed(make_spec(epochs=1), oddities=["batch-means", "training-images"])
    right = np.concatenate([np.ones(50, bool), np.zeros(20, bool)])
    run = Trainer(spec, 0, data, engine.choose("float32", 1))
    monkeypatch.setattr(
        run, "_correct", lambda images, labels: torch.from_numpy(right)[: len(labels)]
    )
    assert run.evaluate() == pytest.approx(500 / 7)
    odd = run.oddities()
    assert odd["batch-means"] == 50.0
    assert odd["training-images"] == pytest.approx(500 / 7)

    outcome = train(spec, 0, data, checkpoint=tmp_path / "a.pt")
    assert outcome.oddities.keys() == {"batch-means", "training-images"}
    plain = changed(spec, oddities=None)
    undisturbed = train(plain, 0, data, checkpoint=tmp_path / "b.pt")
    assert undisturbed.oddities == {}
    assert equal(outcome, undisturbed), "measuring them changes nothing"
    same = replace(data, test=data.train)
    wanted = train(plain, 0, same, checkpoint=tmp_path / "c.pt").epochs[-1].accuracy
    assert outcome.oddities["training-images"] == wanted
