"""A campaign: a named set of runs, remembered so that the same command goes on with it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from replicate import atomic, catalogue, sums
from replicate.errors import UserError, has_controls
from replicate.plan import Run, runs
from replicate.spec import Part, Slug, Spec

Seeds = Annotated[int, Field(ge=1, le=1000)]
_SLUG_RULE = "lower-case letters, digits and single hyphens, at most 60"
_NOTE_RULE = "one line without control characters"


def _one_line(text: str) -> str:
    if has_controls(text):
        raise ValueError(_NOTE_RULE)
    return text


class Request(Part):
    """What a campaign is asked for: campaign.json."""

    name: Slug
    protocol: Slug
    settings: dict[str, str]
    """Dotted keys laid over every cell, with their values as YAML text."""
    cells: list[str]
    seeds: Seeds
    note: Annotated[str, AfterValidator(_one_line)] = ""
    """What the report is to say beside the counts, such as why these cells and not others."""


@dataclass(frozen=True)
class Campaign:
    """A request with its specs resolved and its folders."""

    root: Path
    request: Request
    cells: tuple[catalogue.Cell, ...]

    @property
    def results(self) -> Path:
        return folder(self.root, self.request.name)

    @property
    def runs_folder(self) -> Path:
        return self.results / "runs"

    @cached_property
    def specs(self) -> dict[str, Spec]:
        """By cell name."""
        return {cell.name: cell.spec for cell in self.cells}

    @property
    def runs(self) -> list[Run]:
        return runs(self.cells, self.request.seeds)


def folder(root: Path, name: str) -> Path:
    return root / "results" / name


def names(root: Path) -> list[str]:
    return sorted(path.parent.name for path in (root / "results").glob("*/campaign.json"))


def read(root: Path, name: str) -> Request | None:
    """The request of a campaign begun earlier; None where there is none.

    Raises:
        UserError: a name that is no folder name, or a damaged file, or that of another campaign.
    """
    try:
        TypeAdapter(Slug).validate_python(name)
    except ValidationError:
        raise UserError(f"campaign name {name!r}: {_SLUG_RULE}") from None
    path = folder(root, name) / "campaign.json"
    try:
        if sums.damaged(path):
            raise OSError(f"not as it was written, says {sums.FILE}")
        found = Request.model_validate_json(atomic.read(path))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: cannot be read ({reason}); restore it, or delete it and run again"
        ) from None
    if found.name != name:
        raise UserError(
            f"{path}: belongs to campaign {found.name!r}: name the folder so, or change `name` there"
        )
    return found


def resolve(root: Path, request: Request) -> Campaign:
    """Resolve every cell of a request; raises as `catalogue.load`."""
    try:
        names = catalogue.ordered(root, request.cells)
    except UserError as error:
        raise UserError(f"campaign {request.name!r} has {error}") from None
    cells = catalogue.load(root, names, request.protocol, request.settings)
    return Campaign(root, request, tuple(cells))


def opened(root: Path, name: str) -> Campaign:
    """A campaign that has been begun."""
    request = read(root, name)
    if request is None:
        begun = ", ".join(names(root)) or "none yet"
        raise UserError(
            f"no campaign {name!r} in {root / 'results'}: {begun}; begin one with `replicate run`"
        )
    return resolve(root, request)


def asked(root: Path, wanted: Request) -> Campaign:
    """The campaign `wanted`, with what was asked for earlier under its name: cells add up, seeds only grow.

    Raises:
        UserError: the name belongs to another protocol or other settings.
    """
    return resolve(root, _with_earlier(root, wanted))


def _with_earlier(root: Path, wanted: Request) -> Request:
    earlier = read(root, wanted.name)
    if earlier is None:
        return wanted
    for field in ("protocol", "settings"):
        old, new = getattr(earlier, field), getattr(wanted, field)
        if old != new:
            raise UserError(
                f"campaign {wanted.name!r} was begun with {field} {old}, not {new}: choose another --campaign"
            )
    cells = catalogue.ordered(root, {*earlier.cells, *wanted.cells})
    seeds = max(earlier.seeds, wanted.seeds)
    note = wanted.note or earlier.note
    return wanted.model_copy(update={"cells": cells, "seeds": seeds, "note": note})


def request(values: dict[str, Any]) -> Request:
    """A request from the command line; raises UserError for a name that is no folder name, or a note of
    several lines."""
    try:
        return Request.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        rule = _NOTE_RULE if key == "note" else _SLUG_RULE
        raise UserError(f"{key} {first['input']!r}: {rule}") from None


def save(campaign: Campaign) -> None:
    """Remember the request, and what other commands have added to it meanwhile."""
    atomic.make_folder(campaign.results)
    with atomic.alone(campaign.results):
        request = _with_earlier(campaign.root, campaign.request)
        with sums.replacing(campaign.results / "campaign.json") as file:
            file.write(f"{request.model_dump_json(indent=1)}\n".encode())


def grown(campaign: Campaign) -> Campaign:
    """The campaign with what other commands have added to it meanwhile."""
    request = read(campaign.root, campaign.request.name)
    if request is None or request == campaign.request:
        return campaign
    return resolve(campaign.root, request)
