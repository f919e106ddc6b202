import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs

from replicate.data import ImageData
from replicate.errors import UserError
from replicate.records.epoch import Epoch
from replicate.records.origin import Origin, differing
from replicate.specs.spec import Spec
from replicate.training import checkpoint, engine, trainer
from replicate.training.loop import train
from replicate.training.outcome import Outcome, Stopped
from replicate.training.trainer import Trainer

MakeSpec = Callable[..., Spec]
TIMES = ("seconds", "images_per_second")


class Stop(Exception):
    pass


def numbers(epochs: list[Epoch]) -> list[dict[str, Any]]:
    """All that must be equal bit for bit: everything but the clock's."""
    return [{k: v for k, v in structs.asdict(e).items() if k not in TIMES} for e in epochs]


def equal(one: Outcome, other: Outcome) -> bool:
    pools = all(np.array_equal(a, b) for a, b in zip(one.pools, other.pools, strict=True))
    return numbers(one.epochs) == numbers(other.epochs) and pools


def stop_after(number: int) -> Callable[[Epoch], None]:
    def on_epoch(epoch: Epoch) -> None:
        if epoch.epoch == number:
            raise Stop

    return on_epoch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run" / "checkpoint.pt"


@pytest.mark.parametrize("sac", [False, True])
def test_learns_separable_images(
    make_spec: MakeSpec, data: ImageData, file: Path, sac: bool
) -> None:
    spec = make_spec(sac=sac, epochs=8, penalty_weight=1.0)
    seen: list[Epoch] = []
    outcome = train(spec, 0, data, checkpoint=file, on_epoch=seen.append)
    first, *_, last = outcome.epochs
    assert outcome.status == "done"
    assert seen == outcome.epochs
    assert [epoch.epoch for epoch in seen] == list(range(1, 9))
    assert last.accuracy >= 95
    assert last.train_accuracy >= 90
    assert last.loss < first.loss / 2
    assert [pool.shape for pool in outcome.pools] == (
        [(16, 8, 8), (32, 4, 4), (64, 2, 2)] if sac else [(64, 2, 2)]
    )
    assert not file.exists()  # quicker than the 30 s between two checkpoints


def test_same_seed_same_numbers_and_other_seed_others(
    make_spec: MakeSpec, data: ImageData, file: Path
) -> None:
    spec = make_spec(epochs=2, dropout=0.25)
    first = train(spec, 0, data, checkpoint=file)
    assert equal(first, train(spec, 0, data, checkpoint=file))
    assert not equal(first, train(spec, 1, data, checkpoint=file))


def test_each_use_of_randomness_follows_the_seed(make_spec: MakeSpec, data: ImageData) -> None:
    """Order, augmentation, initialisation and Dropout: two seeds differ in each of them."""
    spec = make_spec(dropout=0.25)
    runs = [Trainer(spec, seed, data, engine.choose("float32", 1)) for seed in (0, 0, 1)]
    for draw in (
        lambda run: next(run.model.parameters()),
        lambda run: torch.cat(run._batches(1)),
        lambda run: torch.rand(9, generator=run.engine.generator(run._seed("augmentation", 1))),
    ):
        same, again, other = map(draw, runs)
        assert torch.equal(same, again)
        assert not torch.equal(same, other)
    for purpose in ("order", "dropout", "augmentation"):
        seeds = {run._seed(purpose, epoch) for run in runs for epoch in (1, 2)}
        assert len(seeds) == 4  # two seeds, two epochs
    assert runs[0]._seed("order", 1) != runs[0]._seed("dropout", 1)


def test_epochs_differ_in_order(make_spec: MakeSpec, data: ImageData) -> None:
    run = Trainer(make_spec(), 0, data, engine.choose("float32", 1))
    first, second = torch.cat(run._batches(1)), torch.cat(run._batches(2))
    assert not torch.equal(first, second)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(110))


def test_dropout_does_not_use_the_callers_generator(
    make_spec: MakeSpec, data: ImageData, file: Path
) -> None:
    spec = make_spec(epochs=2, dropout=0.25)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train(spec, 0, data, checkpoint=file)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert equal(first, train(spec, 0, data, checkpoint=file, on_epoch=lambda _: torch.rand(9)))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupted_run_ends_bit_for_bit_as_an_undisturbed_one(
    make_spec: MakeSpec, data: ImageData, file: Path, precision: str, after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(engine, "_computes_bfloat16", lambda _: True)
    spec = make_spec(sac=True, dropout=0.25, penalty_weight=1.0, precision=precision)
    whole = file.with_name("whole.pt")
    undisturbed = train(spec, 0, data, checkpoint=whole, checkpoint_seconds=0)
    assert undisturbed.origin.precision == precision
    with pytest.raises(Stop):
        train(spec, 0, data, checkpoint=file, on_epoch=stop_after(after), checkpoint_seconds=0)
    torch.rand(5)  # whatever happens to the global generator in between
    seen: list[Epoch] = []
    resumed = train(spec, 0, data, checkpoint=file, on_epoch=seen.append, checkpoint_seconds=0)
    assert [epoch.epoch for epoch in seen] == list(range(after + 1, 4))
    assert resumed.resumed_from == [after]
    assert undisturbed.resumed_from == []
    assert equal(resumed, undisturbed)
    final, wanted = (
        checkpoint.load(path, spec.run_id(0), data.fingerprint) for path in (file, whole)
    )
    assert final is not None
    assert wanted is not None
    for name, tensor in wanted["model"].items():
        assert torch.equal(final["model"][name], tensor), name


def test_every_taking_up_is_recorded(make_spec: MakeSpec, data: ImageData, file: Path) -> None:
    spec = make_spec()
    for after in (1, 2):
        with pytest.raises(Stop):
            train(spec, 0, data, checkpoint=file, on_epoch=stop_after(after), checkpoint_seconds=0)
    assert train(spec, 0, data, checkpoint=file).resumed_from == [1, 2]


def test_the_state_is_saved_before_on_epoch(
    make_spec: MakeSpec, data: ImageData, file: Path
) -> None:
    spec = make_spec(epochs=2)
    saved: list[int] = []

    def on_epoch(epoch: Epoch) -> None:
        state = checkpoint.load(file, spec.run_id(0), data.fingerprint)
        assert state is not None
        saved.append(len(state["epochs"]))

    train(spec, 0, data, checkpoint=file, on_epoch=on_epoch, checkpoint_seconds=0)
    assert saved == [1, 2]


def test_other_threads_are_warned_of(
    make_spec: MakeSpec, data: ImageData, file: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    spec = make_spec(epochs=2)
    with pytest.raises(Stop):
        train(spec, 0, data, checkpoint=file, on_epoch=stop_after(1), checkpoint_seconds=0)
    chosen = engine.choose
    monkeypatch.setattr(engine, "choose", lambda *a: replace(chosen(*a), threads=99))
    outcome = train(spec, 0, data, checkpoint=file)
    assert "resumed after 1 epochs, and not as it began: threads" in caplog.text
    assert "→ 99; the run is mixed within" in caplog.text
    assert differing(outcome.attempts) == ("threads",)


def test_an_attempt_keeps_where_its_epochs_come_from(
    make_spec: MakeSpec, data: ImageData, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Edited between the first epoch and the second; what was trained after the last checkpoint is
    trained again, so who trained it first leaves nothing."""
    spec = make_spec(epochs=3)
    old, lost, new = (Origin(code=code, commit=code, torch="2.11.0") for code in ("a", "b", "c"))
    with pytest.raises(Stop):
        train(spec, 0, data, checkpoint=file, on_epoch=stop_after(1), checkpoint_seconds=0,
              origin=old)  # fmt: skip
    with pytest.raises(Stop):
        train(spec, 0, data, checkpoint=file, on_epoch=stop_after(2), origin=lost)
    caplog.clear()
    outcome = train(spec, 0, data, checkpoint=file, origin=new)
    assert [(one.epochs, one.origin.code) for one in outcome.attempts] == [(1, "a"), (2, "c")]
    assert differing(outcome.attempts) == ("code",)
    assert "resumed after 1 epochs, and not as it began: code a → c;" in caplog.text
    assert outcome.origin.torch == "2.11.0"
    assert outcome.origin.device


def test_another_commit_of_the_same_code_is_no_other_origin(
    make_spec: MakeSpec, data: ImageData, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = make_spec(epochs=2)
    with pytest.raises(Stop):
        train(spec, 0, data, checkpoint=file, on_epoch=stop_after(1), checkpoint_seconds=0,
              origin=Origin(code="a", commit="1", dirty=False))  # fmt: skip
    outcome = train(spec, 0, data, checkpoint=file, origin=Origin(code="a", commit="2", dirty=True))
    assert differing(outcome.attempts) == ()
    assert "not as it was begun" not in caplog.text


def test_stopped_loses_nothing(make_spec: MakeSpec, data: ImageData, file: Path) -> None:
    """Whatever the time between two checkpoints."""

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise Stopped

    spec = make_spec(epochs=3)
    with pytest.raises(Stopped):
        train(spec, 0, data, checkpoint=file, on_epoch=stop)
    assert train(spec, 0, data, checkpoint=file).resumed_from == [2]


def test_a_checkpoint_of_an_earlier_version_is_gone_on_with(
    make_spec: MakeSpec, data: ImageData, file: Path
) -> None:
    """It says how it was computed, but not by which code, nor what it got right."""
    spec = make_spec(epochs=2)
    with pytest.raises(Stop):
        train(spec, 0, data, checkpoint=file, on_epoch=stop_after(1), checkpoint_seconds=0)
    state = checkpoint.load(file, spec.run_id(0), data.fingerprint)
    assert state is not None
    (attempt,) = state.pop("attempts")
    del state["right"]
    setting = {key: attempt["origin"][key] for key in ("device", "threads", "compiled")}
    checkpoint.save(file, {**state, "resumed_from": [], "setting": setting})
    outcome = train(spec, 0, data, checkpoint=file, origin=Origin(code="a"))
    assert [(one.epochs, one.origin.code) for one in outcome.attempts] == [(1, None), (1, "a")]
    assert outcome.right is not None
    assert 100 * outcome.right.mean() == pytest.approx(outcome.epochs[-1].accuracy)


def test_the_last_epochs_answers_outlive_an_interruption(
    make_spec: MakeSpec, data: ImageData, file: Path
) -> None:
    """Also one after the last epoch, when nothing is evaluated any more."""
    spec = make_spec(epochs=2)
    with pytest.raises(Stop):
        train(spec, 0, data, checkpoint=file, on_epoch=stop_after(2), checkpoint_seconds=0)
    outcome = train(spec, 0, data, checkpoint=file)
    assert outcome.right is not None
    assert outcome.right.shape == (70,)
    assert 100 * outcome.right.sum() / 70 == outcome.epochs[-1].accuracy


@pytest.mark.parametrize(("began", "goes_on"), [(False, True), (True, False)])
def test_a_resumed_run_keeps_its_precision(
    make_spec: MakeSpec, data: ImageData, file: Path, monkeypatch: pytest.MonkeyPatch,
    began: bool, goes_on: bool,
) -> None:  # fmt: skip
    spec = make_spec(epochs=2, precision="auto")
    monkeypatch.setattr(engine, "_computes_bfloat16", lambda _: began)
    with pytest.raises(Stop):
        train(spec, 0, data, checkpoint=file, on_epoch=stop_after(1), checkpoint_seconds=0)
    monkeypatch.setattr(engine, "_computes_bfloat16", lambda _: goes_on)
    if goes_on:
        assert train(spec, 0, data, checkpoint=file).origin.precision == "float32"
    else:
        with pytest.raises(UserError, match="bfloat16"):
            train(spec, 0, data, checkpoint=file)


def test_a_loss_that_is_not_finite_ends_the_run_with_its_history(
    make_spec: MakeSpec, data: ImageData, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_epoch = Trainer.train_epoch

    def poisoned(self: Trainer, epoch: int, on_step: Callable[[float], None]) -> Any:
        if epoch == 3:
            next(self.model.parameters()).data.fill_(math.nan)
        return train_epoch(self, epoch, on_step)

    monkeypatch.setattr(Trainer, "train_epoch", poisoned)
    seen: list[Epoch] = []
    outcome = train(make_spec(epochs=5), 0, data, checkpoint=file, on_epoch=seen.append)
    assert outcome.status == "diverged"
    assert [epoch.epoch for epoch in outcome.epochs] == [1, 2]
    assert seen == outcome.epochs


def test_a_huge_learning_rate_diverges(make_spec: MakeSpec, data: ImageData, file: Path) -> None:
    outcome = train(make_spec(learning_rate=1e30), 0, data, checkpoint=file)
    assert outcome.status == "diverged"
    assert len(outcome.epochs) < 3


@pytest.mark.parametrize("sac", [False, True])
def test_the_parts_of_the_loss_sum_to_it(
    make_spec: MakeSpec, data: ImageData, file: Path, sac: bool
) -> None:
    spec = make_spec(sac=sac, penalty_weight=0.5)
    for epoch in train(spec, 0, data, checkpoint=file).epochs:
        parts = zip(spec.loss.head_weights, epoch.head_losses, strict=True)
        expected = sum(weight * loss for weight, loss in parts) + 0.5 * epoch.penalty
        assert epoch.penalty > 0
        assert epoch.loss == pytest.approx(expected, rel=1e-6)


@pytest.fixture
def batch_losses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, float]]]:
    """Size and cross-entropy of every batch, as they are computed."""
    seen: list[tuple[int, float]] = []
    weighted_loss = trainer.weighted_loss

    def spy(logits: Any, labels: Any, weights: Any) -> Any:
        loss, parts = weighted_loss(logits, labels, weights)
        seen.append((len(labels), loss.item()))
        return loss, parts

    monkeypatch.setattr(trainer, "weighted_loss", spy)
    return seen


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [50, 50, 10]), (True, [50, 50])])
def test_the_last_short_batch_counts_by_its_size(
    make_spec: MakeSpec, data: ImageData, file: Path,
    batch_losses: list[tuple[int, float]], drop_last: bool, sizes: list[int],
) -> None:  # fmt: skip
    spec = make_spec(epochs=1, drop_last=drop_last)
    (epoch,) = train(spec, 0, data, checkpoint=file).epochs
    assert [size for size, _ in batch_losses] == sizes
    mean = sum(size * loss for size, loss in batch_losses) / sum(sizes)
    assert epoch.loss == pytest.approx(mean, rel=1e-6)


def test_drop_last_that_leaves_nothing_is_refused(
    make_spec: MakeSpec, data: ImageData, file: Path
) -> None:
    spec = make_spec(drop_last=True, batch_size=111)
    with pytest.raises(UserError, match="drop_last leaves nothing of 110 images"):
        train(spec, 0, data, checkpoint=file)


def test_the_accuracy_counts_every_test_image_once(
    make_spec: MakeSpec, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """70 images in batches of 60 and 10, the last ten wrong: 60 of 70, not the mean of 1 and 0."""
    monkeypatch.setattr(trainer, "_EVALUATION_BATCH", 60)
    run = Trainer(make_spec(), 0, data, engine.choose("float32", 1))
    wrong = torch.cat([torch.zeros(60, dtype=torch.int64), torch.ones(10, dtype=torch.int64)])
    answers = iter(torch.split((run.test_labels + wrong) % 3, 60))
    monkeypatch.setattr(
        run.model, "predict", lambda _: torch.nn.functional.one_hot(next(answers), 3)
    )
    assert run.evaluate() == pytest.approx(100 * 60 / 70, abs=1e-12)


def test_evaluation_leaves_the_model_as_it_was(make_spec: MakeSpec, data: ImageData) -> None:
    run = Trainer(make_spec(dropout=0.25), 0, data, engine.choose("float32", 1))
    before = copy.deepcopy(run.model.state_dict())
    assert run.evaluate() == run.evaluate()
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_the_learning_rate_of_each_epoch_is_its_last_steps(
    make_spec: MakeSpec, data: ImageData, file: Path, factor: float
) -> None:
    outcome = train(make_spec(pool_rate_factor=factor), 0, data, checkpoint=file)
    reference = torch.optim.Adam([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(reference, max_lr=0.01, total_steps=9)
    rates = []
    for _ in range(9):
        rates.append(reference.param_groups[0]["lr"])
        reference.step()
        schedule.step()
    assert [epoch.learning_rate for epoch in outcome.epochs] == rates[2::3]
    assert rates[-1] == pytest.approx(0.01 / 25 / 1e4)


def test_bfloat16_stays_close_to_float32(
    make_spec: MakeSpec, data: ImageData, batch_losses: list[tuple[int, float]]
) -> None:
    spec = make_spec(epochs=17)
    for precision in ("float32", "bfloat16"):
        chosen = replace(engine.choose("float32", 1), precision=precision)
        run = Trainer(spec, 0, data, chosen)
        for epoch in range(1, 18):
            run.train_epoch(epoch)
    losses = np.array([loss for _, loss in batch_losses]).reshape(2, 51)
    apart = np.abs(losses[0] - losses[1])
    assert 0 < apart.mean() < 0.05


def test_every_step_is_told(make_spec: Callable[..., Spec], data: ImageData, file: Path) -> None:
    told: list[tuple[int, float]] = []
    train(make_spec(epochs=2), 0, data, checkpoint=file, on_step=lambda *step: told.append(step))
    assert told == [(epoch, step / 3) for epoch in (1, 2) for step in (1, 2, 3)]
