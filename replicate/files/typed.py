"""YAML and JSON files as typed models, with every problem of a YAML file at its line."""

from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from replicate.errors import UserError
from replicate.files import atomic, checksums, yaml_lines
from replicate.files.yaml_lines import Document

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Title = Annotated[str, Field(min_length=1, max_length=100)]
Count = Annotated[int, Field(ge=1, le=10**9)]


RESTORE = "restore it, or delete it and run again"

Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Raises UserError: all problems of the file, a line each."""
    document = yaml_lines.read(path)
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        raise UserError("\n".join(_line(document, detail) for detail in error.errors())) from None


def read_json(path: Path, model: type[Model]) -> Model:
    """Raises UserError in one line, FileNotFoundError where there is no file."""
    try:
        if checksums.damaged(path):
            raise OSError(f"not as it was written, says {checksums.FILE}")
        return model.model_validate_json(atomic.read(path))
    except FileNotFoundError:
        raise
    except (OSError, ValidationError) as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}); {RESTORE}") from None


def reason(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())


def _line(document: Document, detail: ErrorDetails) -> str:
    keys = ".".join(map(str, detail["loc"])) or "top level"
    what = detail["msg"].removeprefix("Value error, ")
    seen = "" if detail["type"] in ("value_error", "missing") else f", got {detail['input']!r}"
    return f"{document.path}:{document.line(detail['loc'])}: {keys}: {what}{seen}"


class StrictModel(BaseModel):
    """A frozen piece of a spec that refuses unknown keys and converts nothing."""

    later: ClassVar[frozenset[str]] = frozenset()
    """Keys that came after the first runs: while they are null, an identity leaves them out."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @property
    def unused(self) -> set[str]:
        """Those of `later` that are null."""
        return {key for key in self.later if getattr(self, key) is None}
