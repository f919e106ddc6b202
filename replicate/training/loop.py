"""Training from the first epoch, or from a checkpoint, to the last."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import structs

from replicate.spec import Spec
from replicate.training import checkpoint as checkpoints
from replicate.training import engine
from replicate.training.outcome import Epoch, Outcome
from replicate.training.phases import Phase, phases
from replicate.training.run import Run

if TYPE_CHECKING:
    from replicate.data import ImageData

_log = logging.getLogger(__name__)


def train(
    spec: Spec,
    seed: int,
    data: "ImageData",
    *,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    checkpoint_seconds: float = 30,
) -> Outcome:
    """Train to the end, from the state in the file `checkpoint` if there is one.

    On the CPU an interrupted run ends with the numbers of an undisturbed one, bit for bit, given
    the same number of threads. The state is saved when `checkpoint_seconds` have passed since the
    last time, always before `on_epoch`, which may raise to stop the run between two epochs.

    Raises UserError for a checkpoint of another run or of other images, a precision that this
    machine lacks, and a drop_last that leaves no batch.
    """
    engine.start()
    state = checkpoints.load(checkpoint, spec.run_id(seed), data.fingerprint)
    wanted = state["precision"] if state else spec.training.precision
    chosen = engine.choose(wanted, spec.images_to_train)
    _log.info("compiled: %s, %s", chosen.compiled, chosen.reason)
    facts = {"run_id": spec.run_id(seed), "fingerprint": data.fingerprint}
    history = _History.of(state, facts, checkpoint, checkpoint_seconds)
    model = None
    for phase in history.ahead(phases(spec, data)):
        run = Run(phase.spec, seed, phase.data, chosen, start_from=model)
        if state and history.within(phase):
            _take_up(run, state)
        for number in history.left(phase):
            epoch = _next_epoch(run, number)
            if epoch is None:
                return _outcome("diverged", run, history)
            history.add(epoch, run)
            on_epoch(epoch)
        model = run.model
    return _outcome("done", run, history)


@dataclass
class _History:
    """The epochs behind a run, and when they were last saved."""

    epochs: list[Epoch]
    resumed_from: list[int]
    facts: checkpoints.State
    file: Path
    seconds: float
    saved: float = field(default_factory=time.monotonic)

    @classmethod
    def of(
        cls, state: checkpoints.State | None, facts: checkpoints.State, file: Path, seconds: float
    ) -> "_History":
        epochs = [Epoch(**epoch) for epoch in state["epochs"]] if state else []
        resumed_from = [*state["resumed_from"], len(epochs)] if state else []
        return cls(epochs, resumed_from, facts, file, seconds)

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
            checkpoints.save(self.file, self.facts | self._state(run))
            self.saved = time.monotonic()

    def _state(self, run: Run) -> checkpoints.State:
        return {
            "epochs": [structs.asdict(epoch) for epoch in self.epochs],
            "resumed_from": self.resumed_from,
            "precision": run.engine.precision,
            "setting": _setting(run),
            **run.state(),
        }


def _outcome(status: Literal["done", "diverged"], run: Run, history: _History) -> Outcome:
    return Outcome(
        status,
        history.epochs,
        pools=[pool.weights().detach().cpu().numpy() for pool in run.model.pools()],
        device=run.engine.name,
        precision=run.engine.precision,
        threads=run.engine.threads,
        compiled=run.engine.compiled,
        parameters=run.cost.parameters,
        flops=run.cost.flops,
        resumed_from=history.resumed_from,
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


def _take_up(run: Run, state: checkpoints.State) -> None:
    """Put the run where the state left it."""
    if state["setting"] != _setting(run):
        _log.warning(
            "taken up with %s after %s: last digits may differ from an undisturbed run",
            _setting(run),
            state["setting"],
        )
    run.restore(state)


def _setting(run: Run) -> dict[str, str | int | bool]:
    """What the last digits of a run depend on, besides its precision."""
    engine = run.engine
    return {"device": engine.name, "threads": engine.threads, "compiled": engine.compiled}
