"""The ledger of ambiguities: what the paper leaves open, the reading taken, and the others."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from replicate import parts
from replicate.errors import UserError
from replicate.evidence import Many, Text
from replicate.spec import Part, Slug, Spec, Title

Key = Annotated[str, Field(pattern=r"^(dataset|generated|model|loss|augmentation|training)\.\w+$")]
CellName = Annotated[str, Field(pattern=r"^table[12]/[a-z0-9-]+/[a-z0-9-]+$")]


class Alternative(Part):
    """Another reading of one open point."""

    slug: Slug
    title: Title
    changes: Annotated[dict[Key, Any], Field(min_length=1)]
    """Dotted keys of a spec and their values, relative to the cell."""


class Entry(Part):
    """One open point."""

    id: Annotated[str, Field(pattern=r"^A\d\d$")]
    title: Title
    where: Text
    """Where the paper speaks of it, or would have to."""
    paper: Text
    """What the text says."""
    released: Text | None
    """What the authors' code does; null where the released part does not show it."""
    open: Text
    default: Text
    cells: Many[Text]
    """Globs of the cells it bears on."""
    cell: CellName | None
    """The cell that its sensitivity specs start from; null without alternatives."""
    alternatives: Annotated[tuple[Alternative, ...], Field(strict=False)]
    no_alternatives: Text | None = None
    """Why there are none."""

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if bool(self.alternatives) == bool(self.no_alternatives):
            raise ValueError("give alternatives, or say in no_alternatives why there are none")
        if bool(self.alternatives) != bool(self.cell):
            raise ValueError("give the cell that the alternatives start from, and only with them")
        if self.cell and not self.bears_on(self.cell):
            raise ValueError(f"cell {self.cell!r} matches none of {list(self.cells)}")
        slugs = [alternative.slug for alternative in self.alternatives]
        if len(set(slugs)) < len(slugs):
            raise ValueError(f"slugs must differ, got {slugs}")
        return self

    def bears_on(self, cell: str) -> bool:
        """Whether the choice can change this cell's numbers."""
        return any(fnmatchcase(cell, pattern) for pattern in self.cells)


class _LedgerFile(Part):
    ambiguities: Many[Entry]

    @model_validator(mode="after")
    def _ids_rise(self) -> Self:
        ids = [entry.id for entry in self.ambiguities]
        if ids != sorted(set(ids)):
            raise ValueError(f"ids must differ and rise, got {ids}")
        return self


def read_ledger(root: Path) -> tuple[Entry, ...]:
    """experiments/paper/ambiguities.yaml; raises UserError with every problem."""
    return parts.read(root / "experiments" / "paper" / "ambiguities.yaml", _LedgerFile).ambiguities


def apply(spec: Spec, alternative: Alternative) -> Spec:
    """The spec with the alternative's values, and nothing else, changed.

    Raises:
        UserError: an unknown key, a value its key does not take, or one that it has already.
    """
    values = spec.model_dump()
    for key, value in alternative.changes.items():
        part, name = key.split(".")
        if not isinstance(values[part], dict) or name not in values[part]:
            raise UserError(f"{alternative.slug}: {key}: no such key in this cell's spec")
        values[part][name] = value
    try:
        changed = Spec.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        keys = ".".join(map(str, first["loc"])) or "spec"
        raise UserError(f"{alternative.slug}: {keys}: {first['msg']}") from None
    same = alternative.changes.keys() - differences(spec, changed)
    if same:
        raise UserError(f"{alternative.slug}: {', '.join(sorted(same))}: the cell has it already")
    return changed


def differences(a: Spec, b: Spec) -> set[str]:
    """The dotted keys whose values differ."""
    left, right = dict(_leaves(a.model_dump())), dict(_leaves(b.model_dump()))
    missing = object()
    return {key for key in left | right if left.get(key, missing) != right.get(key, missing)}


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield above + key, value
