"""What the paper leaves open, the reading taken, and its alternatives."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from replicate.files.typed import Slug, StrictModel, Title, read_yaml
from replicate.paper.numbers import Many, Text, unique

Key = Annotated[str, Field(pattern=r"^(dataset|generated|model|loss|augmentation|training)\.\w+$")]
CellName = Annotated[str, Field(pattern=r"^table[12]/[a-z0-9-]+/[a-z0-9-]+$")]


class Alternative(StrictModel):
    """Another reading of an ambiguity."""

    slug: Slug
    title: Title
    changes: Annotated[dict[Key, Any], Field(min_length=1)]
    """Dotted keys of a spec and their values, relative to the cell."""


class Ambiguity(StrictModel):
    """A point that the paper leaves open."""

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
    alternatives: Annotated[tuple[Alternative, ...], Field(strict=False), unique("slug")]
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
        return self

    def bears_on(self, cell: str) -> bool:
        """Whether the choice can change this cell's numbers."""
        return any(fnmatchcase(cell, pattern) for pattern in self.cells)


class _AmbiguitiesFile(StrictModel):
    ambiguities: Many[Ambiguity]

    @model_validator(mode="after")
    def _ids_rise(self) -> Self:
        ids = [ambiguity.id for ambiguity in self.ambiguities]
        if ids != sorted(set(ids)):
            raise ValueError(f"ids must differ and rise, got {ids}")
        return self


def read_ambiguities(root: Path) -> tuple[Ambiguity, ...]:
    """experiments/paper/ambiguities.yaml; raises UserError with every problem."""
    path = root / "experiments" / "paper" / "ambiguities.yaml"
    return read_yaml(path, _AmbiguitiesFile).ambiguities
