"""Whether every spec is sound, and its network one that can be built."""

from collections.abc import Iterable
from pathlib import Path

from replicate.errors import UserError
from replicate.specs import check as specs
from replicate.specs.resolve import Cell
from replicate.specs.spec import Spec

_problems: dict[object, str | None] = {}
"""By shape: cells share networks, and protocols cells."""


def check(root: Path) -> str:
    """All specs under all protocols; raises UserError with every problem, a line each."""
    return specs.check(root, unbuildable)


def unbuildable(cells: Iterable[Cell]) -> list[str]:
    """A line for each cell whose network does not exist, or cannot take its images."""
    lines = []
    for cell in cells:
        key = _shape(cell.spec)
        if key not in _problems:
            _problems[key] = _problem(cell.spec)
        if problem := _problems[key]:
            lines.append(f"{cell.origins['model', 'network']}: model.network: {problem}")
    return lines


def _shape(spec: Spec) -> object:
    """What decides the network."""
    dataset = spec.dataset
    return spec.model, dataset.size, dataset.channels, dataset.classes, spec.loss.head_weights


def _problem(spec: Spec) -> str | None:
    from replicate.models import build_model

    try:
        build_model(spec)
    except UserError as error:
        return str(error)
    return None
