"""YAML files as typed parts, with every problem at its line."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from replicate import strictyaml
from replicate.errors import UserError
from replicate.strictyaml import Document

Model = TypeVar("Model", bound=BaseModel)


def read(path: Path, model: type[Model]) -> Model:
    """Raises UserError: all problems of the file, a line each."""
    document = strictyaml.read(path)
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        raise UserError("\n".join(_line(document, detail) for detail in error.errors())) from None


def _line(document: Document, detail: ErrorDetails) -> str:
    keys = ".".join(map(str, detail["loc"])) or "top level"
    what = detail["msg"].removeprefix("Value error, ")
    seen = "" if detail["type"] in ("value_error", "missing") else f", got {detail['input']!r}"
    return f"{document.path}:{document.line(detail['loc'])}: {keys}: {what}{seen}"
