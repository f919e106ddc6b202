"""Training from the first epoch, or from a checkpoint, to the last."""

import dataclasses
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import convert, structs, to_builtins

from replicate.data import ImageData, Split
from replicate.data.coarse import CLASSES, coarse
from replicate.records.epoch import Epoch
from replicate.records.origin import Attempt, Origin, differing
from replicate.specs.spec import Spec
from replicate.training import engine
from replicate.training.checkpoint import State, load, save
from replicate.training.engine import Engine
from replicate.training.outcome import Outcome, Stopped
from replicate.training.trainer import Trainer

_log = logging.getLogger(__name__)
_UNKNOWN = Origin()


def train(
    spec: Spec,
    seed: int,
    data: ImageData,
    *,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    on_step: Callable[[int, float], None] = lambda *_: None,
    checkpoint_seconds: float = 30,
    origin: Origin = _UNKNOWN,
) -> Outcome:
    """Train to the end, from the state in the file `checkpoint` if there is one.

    On the CPU an interrupted run ends with the numbers of an undisturbed one, bit for bit, given
    the same number of threads. The state is saved when `checkpoint_seconds` have passed since the
    last time, always before `on_epoch`, which may raise to stop the run between two epochs; with
    `Stopped` nothing of it is lost. `on_step` is told an epoch's number and the share of its training
    that is behind it. `origin` is what the caller knows of where the numbers come from.

    Raises UserError for a checkpoint of another run or of other images, a precision that this
    machine lacks, and a drop_last that leaves no batch.
    """
    engine.start()
    state = load(checkpoint, spec.run_id(seed), data.fingerprint)
    wanted = state["precision"] if state else spec.training.precision
    chosen = engine.choose(wanted, spec.images_to_train)
    _log.info("compiled: %s, %s", chosen.compiled, chosen.reason)
    facts = {"run_id": spec.run_id(seed), "fingerprint": data.fingerprint}
    history = _History(state, _completed(origin, chosen), facts, checkpoint, checkpoint_seconds)
    model = None
    for phase in history.ahead(phases_of(spec, data)):
        trainer = Trainer(phase.spec, seed, phase.data, chosen, start_from=model)
        if state and history.within(phase):
            trainer.restore(state)
        for number in history.left(phase):
            epoch = _next_epoch(trainer, number, on_step)
            if epoch is None:
                return _outcome("diverged", trainer, history)
            history.add(epoch, trainer)
            try:
                on_epoch(epoch)
            except Stopped:
                history.save(trainer)
                raise
        model = trainer.model
    return _outcome("done", trainer, history)


class Phase(NamedTuple):
    """Epochs that share classes, optimiser and schedule."""

    spec: Spec
    data: ImageData
    epochs: range
    """Their numbers: training begins at 1, pretraining ends at 0."""


def phases_of(spec: Spec, data: ImageData) -> list[Phase]:
    """Pretraining on coarse classes where the spec asks for it (A15), then training on its own."""
    training = Phase(spec, data, range(1, spec.training.epochs + 1))
    if spec.pretraining is None:
        return [training]
    fewer = {
        "dataset": spec.dataset.model_copy(update={"classes": CLASSES}),
        "training": spec.training.model_copy(update={"epochs": spec.pretraining.epochs}),
    }
    train, test = (Split(s.images, coarse(s.labels)) for s in (data.train, data.test))
    first = dataclasses.replace(data, train=train, test=test)
    return [Phase(spec.model_copy(update=fewer), first, range(spec.first_epoch, 1)), training]


class _History:
    """The epochs behind a run, and when they were last saved.

    For example: of 10 epochs of pretraining and 100 of training, those of the first phase have the
    numbers -9 to 0 and those of the second 1 to 100. After epoch 0 both phases are still ahead: the
    first is restored with no epoch left, for its model starts the second. After epoch 3 the second
    alone is.
    """

    def __init__(
        self, state: State | None, origin: Origin, facts: State, file: Path, seconds: float
    ) -> None:
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]] if state else []
        earlier = _attempts(state) if state else []
        self._earlier, self._origin = earlier, origin  # the latter of this attempt
        self._facts, self._file, self._seconds = facts, file, seconds
        self._saved = time.monotonic()
        if names := differing(self.attempts):
            _log.warning(
                "resumed after %d epochs, and not as it began: %s; the run is mixed within, its "
                "last digits may differ from an undisturbed one's",
                len(self.epochs),
                ", ".join(_change(name, self.attempts) for name in names),
            )

    @property
    def attempts(self) -> list[Attempt]:
        """Those before this one, and this one."""
        behind = sum(attempt.epochs for attempt in self._earlier)
        return [*self._earlier, Attempt(len(self.epochs) - behind, self._origin)]

    def ahead(self, phases: list[Phase]) -> list[Phase]:
        """The phase that was reached, and those after it."""
        return [p for p in phases if not self.epochs or self.epochs[-1].epoch < p.epochs.stop]

    def within(self, phase: Phase) -> bool:
        return bool(self.epochs) and self.epochs[-1].epoch in phase.epochs

    def left(self, phase: Phase) -> range:
        return phase.epochs[sum(epoch.epoch in phase.epochs for epoch in self.epochs) :]

    def add(self, epoch: Epoch, trainer: Trainer) -> None:
        self.epochs.append(epoch)
        if time.monotonic() - self._saved >= self._seconds:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        state = {
            "epochs": [structs.asdict(epoch) for epoch in self.epochs],
            "attempts": to_builtins(self.attempts),
            "precision": trainer.engine.precision,
        }
        save(self._file, self._facts | state | trainer.state())
        self._saved = time.monotonic()


def _outcome(status: Literal["done", "diverged"], trainer: Trainer, history: _History) -> Outcome:
    right = trainer.right
    return Outcome(
        status,
        history.epochs,
        pools=[pool.weights().detach().cpu().numpy() for pool in trainer.model.pools()],
        attempts=history.attempts,
        right=right.cpu().numpy() if right is not None and status == "done" else None,
        parameters=trainer.cost.parameters,
        flops=trainer.cost.flops,
        oddities=trainer.oddities() if status == "done" else {},
    )


def _next_epoch(
    trainer: Trainer, number: int, on_step: Callable[[int, float], None]
) -> Epoch | None:
    """Train and evaluate; None where the loss is not finite."""
    start = time.perf_counter()
    trained = trainer.train_epoch(number, partial(on_step, number))
    seconds = time.perf_counter() - start
    if not trained.finite:
        return None
    return Epoch(
        epoch=number,
        learning_rate=trained.learning_rate,
        loss=trained.loss,
        head_losses=trained.head_losses,
        penalty=trained.penalty,
        train_accuracy=trained.accuracy,
        accuracy=trainer.evaluate(),
        seconds=time.perf_counter() - start,
        images_per_second=trained.images / seconds,
    )


def _completed(origin: Origin, engine: Engine) -> Origin:
    return structs.replace(
        origin,
        device=engine.name,
        precision=engine.precision,
        threads=engine.threads,
        compiled=engine.compiled,
        captured=engine.capture is not None,
    )


def _attempts(state: State) -> list[Attempt]:
    """That made a state; those of an earlier version of the suite are one, of which little is known."""
    if "attempts" in state:
        return convert(state["attempts"], list[Attempt])
    origin = Origin(precision=state["precision"], **state["setting"])
    return [Attempt(len(state["epochs"]), origin)]


def _change(name: str, attempts: list[Attempt]) -> str:
    """For example `torch 2.14.0 → 2.15.0`."""
    values = dict.fromkeys(str(getattr(attempt.origin, name)) for attempt in attempts)
    return f"{name} {' → '.join(values)}"
