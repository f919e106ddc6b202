"""Our training step, with any of its ingredients left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time

import torch
from torch import nn

from benchmarks import ROOT
from benchmarks.images import images
from benchmarks.teams import Work
from replicate.specs import resolve
from replicate.specs.spec import Spec
from replicate.training import engine
from replicate.training.engine import Engine, Precision
from replicate.training.trainer import Trainer

AVERAGE, FLEX = "table1/cifar10/avgpool", "table1/cifar10/flexpool"
AVERAGE_SAC, FLEX_SAC = "table2/cifar10/avgpool", "table2/cifar10/flexpool"


@dataclass(frozen=True)
class Ingredients:
    memory: bool = True
    """Freed memory is kept for the next step."""
    channels_last: bool = True
    bfloat16: bool = True
    compiled: bool = False


class Planar(Engine):
    """Leaves weights and images in NCHW order."""

    def place(self, model: nn.Module, trunk: nn.Module, pools: Sequence[nn.Module]) -> None:
        super().place(model, trunk, pools)
        model.to(memory_format=torch.contiguous_format)
        model.register_forward_pre_hook(lambda _, inputs: inputs[0].contiguous())


def spec_of(cell: str, **training: object) -> Spec:
    """A cell under the paper's protocol, but for these settings of its training."""
    settings = {f"training.{key}": str(value) for key, value in training.items()}
    (found,) = resolve.load(ROOT, [cell], "paper", settings)
    return found.spec


def run_of(
    cell: str, batch: int, steps: int, ingredients: Ingredients, entry: str | None
) -> Trainer:
    """A run whose epochs have `steps` steps."""
    kind = Engine if ingredients.channels_last else Planar
    precision: Precision = "bfloat16" if ingredients.bfloat16 else "float32"
    threads = torch.get_num_threads()
    chosen = kind(torch.device("cpu"), precision, threads, ingredients.compiled, "as measured")
    spec = spec_of(cell, batch_size=batch)
    return Trainer(spec, 0, images(entry, spec.dataset, batch * steps), chosen)


def build(
    cell: str, batch: int, steps: int, threads: int, ingredients: Ingredients, entry: str | None
) -> Work:
    """Blocks of an epoch of `steps` steps."""
    if ingredients.memory:
        engine.start(threads)
    else:
        torch.set_num_threads(threads)
    run = run_of(cell, batch, steps, ingredients, entry)
    return lambda: run.train_epoch(1).images


def step_times(runs: dict[str, Trainer], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of a step of each run, in turns in one process, `rounds` times over.

    Of one thread, where they are the time it takes on a machine that does nothing else.
    """
    steps = {name: stepping(run) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 3):
        for name, step in steps.items():
            begun = process_time()
            step()
            if number >= 3:
                times[name].append(process_time() - begun)
    return times


def stepping(run: Trainer) -> Callable[[], object]:
    """The run's step on its first batch, without its schedule, which would come to an end."""
    run.model.train()
    batch = run._batches(1)[0]
    return lambda: run._step(batch)


def milliseconds(times: list[float]) -> str:
    return f"{1000 * median(times):.0f}"
