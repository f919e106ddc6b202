"""Training from the first epoch, or from a checkpoint, to the last."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from replicate.spec import Spec
from replicate.training import checkpoint as checkpoints
from replicate.training import engine
from replicate.training.outcome import Epoch, Outcome
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
    run = Run(spec, seed, data, engine.choose(wanted, spec.images_to_train))
    _log.info("compiled: %s, %s", run.engine.compiled, run.engine.reason)
    epochs, resumed_from = _take_up(run, state) if state else ([], [])
    status: Literal["done", "diverged"] = "done"
    saved = time.monotonic()
    while len(epochs) < spec.training.epochs:
        epoch = _next_epoch(run, len(epochs) + 1)
        if epoch is None:
            status = "diverged"
            break
        epochs.append(epoch)
        if time.monotonic() - saved >= checkpoint_seconds:
            checkpoints.save(checkpoint, _state(run, data.fingerprint, epochs, resumed_from))
            saved = time.monotonic()
        on_epoch(epoch)
    return Outcome(
        status,
        epochs,
        pools=[pool.weights().detach().cpu().numpy() for pool in run.model.pools()],
        device=run.engine.name,
        precision=run.engine.precision,
        threads=run.engine.threads,
        compiled=run.engine.compiled,
        parameters=run.cost.parameters,
        flops=run.cost.flops,
        resumed_from=resumed_from,
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


def _state(
    run: Run, fingerprint: str, epochs: list[Epoch], resumed_from: list[int]
) -> checkpoints.State:
    return {
        "run_id": run.spec.run_id(run.seed),
        "fingerprint": fingerprint,
        "epochs": [asdict(epoch) for epoch in epochs],
        "resumed_from": resumed_from,
        "precision": run.engine.precision,
        "setting": _setting(run),
        **run.state(),
    }


def _take_up(run: Run, state: checkpoints.State) -> tuple[list[Epoch], list[int]]:
    """Put the run where the state left it; the epochs behind it, and where it was taken up."""
    if state["setting"] != _setting(run):
        _log.warning(
            "taken up with %s after %s: last digits may differ from an undisturbed run",
            _setting(run),
            state["setting"],
        )
    run.restore(state)
    epochs = [Epoch(**epoch) for epoch in state["epochs"]]
    return epochs, [*state["resumed_from"], len(epochs)]


def _setting(run: Run) -> dict[str, str | int | bool]:
    """What the last digits of a run depend on, besides its precision."""
    engine = run.engine
    return {"device": engine.name, "threads": engine.threads, "compiled": engine.compiled}
