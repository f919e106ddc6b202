"""Which cell with average pooling each other cell is held against."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from replicate.specs.spec import Spec

OF_METHODS: dict[str, Any] = {
    "method": True,
    "published": True,
    "oddities": True,
    "model": {"pool", "constraint", "dropout", "dropout_on"},
    "loss": {"penalty_weight"},
    "training": {"pool_rate_factor"},
}
"""Parts of a spec that a method may set; the others must be the same for two to be compared."""


def baselines(specs: Mapping[str, Spec]) -> dict[str, str]:
    """The cell with average pooling that has the data and the training of each other cell.

    Of several, that of the same folder, else the first; cells that have none are left out.
    """
    plain: dict[str, list[str]] = {}
    for name, spec in specs.items():
        if spec.model.pool == "avg":
            plain.setdefault(_rest(spec), []).append(name)
    return {
        name: max(plain[rest], key=lambda one: _folder(one) == _folder(name))
        for name, spec in specs.items()
        if spec.model.pool != "avg" and (rest := _rest(spec)) in plain
    }


def _rest(spec: Spec) -> str:
    return spec.model_dump_json(exclude=OF_METHODS)


def _folder(cell: str) -> PurePosixPath:
    return PurePosixPath(cell).parent
