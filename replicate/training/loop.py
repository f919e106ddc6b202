"""Training from the first epoch, or from a checkpoint, to the last."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import convert, structs, to_builtins

from replicate.spec import Spec
from replicate.training import checkpoint as checkpoints
from replicate.training import engine
from replicate.training.engine import Engine
from replicate.training.outcome import Attempt, Epoch, Origin, Outcome, Stopped, differing
from replicate.training.phases import Phase, phases
from replicate.training.run import Run

if TYPE_CHECKING:
    import numpy as np

    from replicate.data import ImageData

_log = logging.getLogger(__name__)
_UNKNOWN = Origin()


def train(
    spec: Spec,
    seed: int,
    data: "ImageData",
    *,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    checkpoint_seconds: float = 30,
    origin: Origin = _UNKNOWN,
) -> Outcome:
    """Train to the end, from the state in the file `checkpoint` if there is one.

    On the CPU an interrupted run ends with the numbers of an undisturbed one, bit for bit, given
    the same number of threads. The state is saved when `checkpoint_seconds` have passed since the
    last time, always before `on_epoch`, which may raise to stop the run between two epochs; with
    `Stopped` nothing of it is lost. `origin` is what the caller knows of where the numbers come from.

    Raises UserError for a checkpoint of another run or of other images, a precision that this
    machine lacks, and a drop_last that leaves no batch.
    """
    engine.start()
    state = checkpoints.load(checkpoint, spec.run_id(seed), data.fingerprint)
    wanted = state["precision"] if state else spec.training.precision
    chosen = engine.choose(wanted, spec.images_to_train)
    _log.info("compiled: %s, %s", chosen.compiled, chosen.reason)
    facts = {"run_id": spec.run_id(seed), "fingerprint": data.fingerprint}
    own = _completed(origin, chosen)
    history = _History.of(state, own, facts, checkpoint, checkpoint_seconds)
    model = None
    for phase in history.ahead(phases(spec, data)):
        run = Run(phase.spec, seed, phase.data, chosen, start_from=model)
        if state and history.within(phase):
            run.restore(state)
        for number in history.left(phase):
            epoch = _next_epoch(run, number)
            if epoch is None:
                return _outcome("diverged", run, history)
            history.add(epoch, run)
            try:
                on_epoch(epoch)
            except Stopped:
                history.save(run)
                raise
        model = run.model
    return _outcome("done", run, history)


@dataclass
class _History:
    """The epochs behind a run, and when they were last saved."""

    epochs: list[Epoch]
    earlier: list[Attempt]
    origin: Origin
    """Of this attempt."""
    facts: checkpoints.State
    file: Path
    seconds: float
    saved: float = field(default_factory=time.monotonic)

    @classmethod
    def of(
        cls,
        state: checkpoints.State | None,
        own: Origin,
        facts: checkpoints.State,
        file: Path,
        seconds: float,
    ) -> "_History":
        epochs = [Epoch(**epoch) for epoch in state["epochs"]] if state else []
        history = cls(epochs, _attempts(state) if state else [], own, facts, file, seconds)
        if names := differing(history.attempts):
            _log.warning(
                "taken up after %d epochs, and not as it was begun: %s; the run is mixed within, its "
                "last digits may differ from an undisturbed one's",
                len(epochs),
                ", ".join(_change(name, history.attempts) for name in names),
            )
        return history

    @property
    def attempts(self) -> list[Attempt]:
        """Those before this one, and this one."""
        behind = sum(one.epochs for one in self.earlier)
        return [*self.earlier, Attempt(len(self.epochs) - behind, self.origin)]

    def ahead(self, every: list[Phase]) -> list[Phase]:
        """The phase that was reached, and those after it."""
        return [one for one in every if not self.epochs or self.epochs[-1].epoch < one.epochs.stop]

    def within(self, phase: Phase) -> bool:
        return bool(self.epochs) and self.epochs[-1].epoch in phase.epochs

    def left(self, phase: Phase) -> range:
        return phase.epochs[sum(epoch.epoch in phase.epochs for epoch in self.epochs) :]

    def add(self, epoch: Epoch, run: Run) -> None:
        self.epochs.append(epoch)
        if time.monotonic() - self.saved >= self.seconds:
            self.save(run)

    def save(self, run: Run) -> None:
        checkpoints.save(self.file, self.facts | self._state(run))
        self.saved = time.monotonic()

    def _state(self, run: Run) -> checkpoints.State:
        return {
            "epochs": [structs.asdict(epoch) for epoch in self.epochs],
            "attempts": to_builtins(self.attempts),
            "precision": run.engine.precision,
            **run.state(),
        }


def _outcome(status: Literal["done", "diverged"], run: Run, history: _History) -> Outcome:
    return Outcome(
        status,
        history.epochs,
        pools=[pool.weights().detach().cpu().numpy() for pool in run.model.pools()],
        attempts=history.attempts,
        right=_right(run) if status == "done" else None,
        parameters=run.cost.parameters,
        flops=run.cost.flops,
        oddities=run.oddities() if status == "done" else {},
    )


def _next_epoch(run: Run, number: int) -> Epoch | None:
    """Train and evaluate; None where the loss is not finite."""
    begun = time.perf_counter()
    trained = run.train_epoch(number)
    seconds = time.perf_counter() - begun
    if not trained.finite:
        return None
    return Epoch(
        epoch=number,
        learning_rate=trained.learning_rate,
        loss=trained.loss,
        head_losses=trained.head_losses,
        penalty=trained.penalty,
        train_accuracy=trained.accuracy,
        accuracy=run.evaluate(),
        seconds=time.perf_counter() - begun,
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


def _attempts(state: checkpoints.State) -> list[Attempt]:
    """That made a state; those of an earlier version of the suite are one, of which little is known."""
    if "attempts" in state:
        return convert(state["attempts"], list[Attempt])
    origin = Origin(precision=state["precision"], **state["setting"])
    return [Attempt(len(state["epochs"]), origin)]


def _change(name: str, attempts: list[Attempt]) -> str:
    """For example `torch 2.14.0 → 2.15.0`."""
    values = dict.fromkeys(str(getattr(one.origin, name)) for one in attempts)
    return f"{name} {' → '.join(values)}"


def _right(run: Run) -> "np.ndarray | None":
    return None if run.right is None else run.right.cpu().numpy()
