"""A campaign: a named set of runs, remembered so that the same command resumes it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from replicate.errors import UserError, has_controls
from replicate.files import atomic, checksums
from replicate.files.typed import Part, Slug, read_json
from replicate.plan.runs import Run, runs
from replicate.plan.state import CampaignState, look
from replicate.specs import catalogue
from replicate.specs.resolve import Cell, load, protocols
from replicate.specs.spec import Spec

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
    cells: tuple[Cell, ...]

    @property
    def results(self) -> Path:
        return results_folder(self.root, self.request.name)

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

    def look(self, thorough: bool = False) -> CampaignState:
        """What its runs are doing now."""
        return look(self.runs, self.runs_folder, thorough)


def results_folder(root: Path, name: str) -> Path:
    return root / "results" / name


def campaign_names(root: Path) -> list[str]:
    return sorted(path.parent.name for path in (root / "results").glob("*/campaign.json"))


def read_request(root: Path, name: str) -> Request | None:
    """The request of a campaign begun earlier; None where there is none.

    Raises:
        UserError: a name that is no folder name, or a damaged file, or that of another campaign.
    """
    try:
        TypeAdapter(Slug).validate_python(name)
    except ValidationError:
        raise UserError(f"campaign name {name!r}: {_SLUG_RULE}") from None
    path = results_folder(root, name) / "campaign.json"
    try:
        request = read_json(path, Request)
    except FileNotFoundError:
        return None
    if request.name != name:
        raise UserError(
            f"{path}: belongs to campaign {request.name!r}: name the folder so, or change `name` there"
        )
    return request


def resolve_campaign(root: Path, request: Request) -> Campaign:
    """Resolve every cell of a request; raises as `resolve.load`."""
    try:
        names = catalogue.ordered(root, request.cells)
    except UserError as error:
        raise UserError(f"campaign {request.name!r} has {error}") from None
    cells = load(root, names, request.protocol, request.settings)
    return Campaign(root, request, tuple(cells))


def open_campaign(root: Path, name: str) -> Campaign:
    """A campaign that has been begun."""
    request = read_request(root, name)
    if request is None:
        begun = ", ".join(campaign_names(root)) or "none yet"
        raise UserError(
            f"no campaign {name!r} in {root / 'results'}: {begun}; begin one with `replicate run`"
        )
    return resolve_campaign(root, request)


def begin_or_extend(root: Path, request: Request) -> Campaign:
    """A campaign, with what was asked for earlier under its name: cells add up, seeds only grow.

    Raises:
        UserError: the name belongs to another protocol or other settings.
    """
    return resolve_campaign(root, _with_earlier(root, request))


def _with_earlier(root: Path, request: Request) -> Request:
    earlier = read_request(root, request.name)
    if earlier is None:
        return request
    for field in ("protocol", "settings"):
        old, new = getattr(earlier, field), getattr(request, field)
        if old != new:
            raise UserError(
                f"campaign {request.name!r} was begun with {field} {old}, not {new}: "
                "choose another --campaign"
            )
    cells = catalogue.ordered(root, {*earlier.cells, *request.cells})
    seeds = max(earlier.seeds, request.seeds)
    note = request.note or earlier.note
    return request.model_copy(update={"cells": cells, "seeds": seeds, "note": note})


def parse_request(values: dict[str, Any]) -> Request:
    """A request from the command line; raises UserError for a name that is no folder name, or a note of
    several lines."""
    try:
        return Request.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        rule = _NOTE_RULE if key == "note" else _SLUG_RULE
        raise UserError(f"{key} {first['input']!r}: {rule}") from None


def save_campaign(campaign: Campaign) -> None:
    """Remember the request, and what other commands have added to it meanwhile."""
    atomic.make_folder(campaign.results)
    with atomic.alone(campaign.results):
        request = _with_earlier(campaign.root, campaign.request)
        with checksums.replacing(campaign.results / "campaign.json") as file:
            file.write(f"{request.model_dump_json(indent=1)}\n".encode())


def reload(campaign: Campaign) -> Campaign:
    """The campaign with what other commands have added to it meanwhile."""
    request = read_request(campaign.root, campaign.request.name)
    if request is None or request == campaign.request:
        return campaign
    return resolve_campaign(campaign.root, request)


def request_campaign(
    root: Path,
    patterns: list[str] | None,
    protocol: str | None,
    seeds: int | None,
    name: str | None,
    settings: dict[str, str],
    note: str = "",
) -> Campaign:
    """The campaign that the options ask for; what they leave open is as it was begun.

    Raises:
        UserError: it cannot be what they ask for, or they leave the protocol of a new one open.
    """
    earlier = None if name is None else read_request(root, name)
    if protocol is None and earlier:
        protocol = earlier.protocol
    if protocol is None:
        raise UserError(f"--protocol is missing: choose from {', '.join(protocols(root))}")
    cells = earlier.cells if earlier and not patterns else []
    values = {
        "name": protocol if name is None else name,
        "protocol": protocol,
        "settings": settings or (earlier.settings if earlier else {}),
        "cells": cells or catalogue.offered(root, patterns or [], protocol),
        "seeds": seeds or (earlier.seeds if earlier else 1),
        "note": note,
    }
    return begin_or_extend(root, parse_request(values))
