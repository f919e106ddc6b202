"""What a campaign is asked for: campaign.json, how requests add up, and the names of changed ones."""

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from replicate.errors import UserError, has_controls
from replicate.files.typed import Slug, StrictModel, read_json
from replicate.text import series

MOST_SEEDS = 1000
Seeds = Annotated[int, Field(ge=1, le=MOST_SEEDS)]
Seed = Annotated[int, Field(ge=0, lt=MOST_SEEDS)]
SeedsByCell = Mapping[str, Sequence[int]]
"""By cell name, ascending."""
FILE = "campaign.json"
_MAX_NAME = 60
_SLUG_RULE = f"lower-case letters, digits and single hyphens, at most {_MAX_NAME}"
_NOTE_RULE = "one line without control characters"


def _one_line(text: str) -> str:
    if has_controls(text):
        raise ValueError(_NOTE_RULE)
    return text


class Damaged(UserError):
    """A campaign.json that is there and cannot be read."""


class Request(StrictModel):
    """What a campaign is asked for: campaign.json."""

    name: Slug
    protocol: Slug
    settings: dict[str, str]
    """Dotted keys laid over every cell, with their values as YAML text."""
    cells: list[str]
    seeds: Seeds
    """Of each cell that `own_seeds` does not name: 0 to N-1."""
    note: Annotated[str, AfterValidator(_one_line)] = ""
    """What the report is to say beside the counts, such as why these cells and not others."""
    own_seeds: dict[str, Annotated[list[Seed], Field(min_length=1)]] = Field(default_factory=dict)
    """Of the cells that have others, ascending."""

    def seeds_of(self, cell: str) -> Sequence[int]:
        return self.own_seeds.get(cell, range(self.seeds))

    def pairs(self, one: str, other: str) -> int:
        """How many seeds both cells are to have."""
        return len({*self.seeds_of(one)} & {*self.seeds_of(other)})

    @property
    def by_cell(self) -> SeedsByCell:
        return {cell: self.seeds_of(cell) for cell in self.cells}

    def asking(self, wanted: SeedsByCell) -> "Request":
        """The same for these cells and seeds."""
        counts = Counter(len(own) for own in wanted.values() if _from_zero(own))
        usual = counts.most_common(1)[0][0] if counts else self.seeds
        own = {cell: list(seeds) for cell, seeds in wanted.items() if [*seeds] != [*range(usual)]}
        return self.model_copy(update={"cells": [*wanted], "seeds": usual, "own_seeds": own})

    def groups(self) -> dict[str, list[str]]:
        """Cells with the same seeds, by these as `parse_seeds` takes them."""
        found: dict[str, list[str]] = {}
        for cell in self.cells:
            found.setdefault(seeds_text(self.seeds_of(cell)), []).append(cell)
        return found

    def command(self, cells: Sequence[str], like: str) -> str:
        """That trains these cells, with the seeds of one of them."""
        options = ["--protocol", self.protocol, "--seeds", seeds_text(self.seeds_of(like))]
        options += ["--campaign", self.name]
        for key, value in self.settings.items():
            options += ["--set", f"{key}={value}"]
        return shlex.join(["replicate", "run", *cells, *options])

    def as_json(self) -> bytes:
        """Without `own_seeds` where there are none, as before there could be any."""
        text = self.model_dump_json(indent=1, exclude=None if self.own_seeds else {"own_seeds"})
        return f"{text}\n".encode()


def _from_zero(seeds: Sequence[int]) -> bool:
    return [*seeds] == [*range(len(seeds))]


def new_request(name: str, protocol: str, settings: Mapping[str, str], note: str = "") -> Request:
    """A request for no cell yet; raises UserError for a name that is no folder name, or a note of several
    lines."""
    values = {"name": name, "protocol": protocol, "settings": settings, "note": note}
    try:
        return Request.model_validate({**values, "cells": [], "seeds": 1})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        rule = _NOTE_RULE if key == "note" else _SLUG_RULE
        raise UserError(f"{key} {first['input']!r}: {rule}") from None


def parse_seeds(text: str) -> list[int]:
    """Seeds, ascending: `5` is 0 to 4, `5-9` and `0,2,7-9` are those named; raises UserError."""
    refusal = UserError(
        f"--seeds {text[:80]!r}: expected a number such as 5, for seeds 0 to 4, or seeds such as 5-9 or 3,7,"
        f" from 0 to {MOST_SEEDS - 1}"
    )
    if not re.fullmatch(r"[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*", text):
        raise refusal
    if text.isdecimal():
        found = set(range(int(text)))
    else:
        found = {seed for part in text.split(",") for seed in _span(part)}
    if not found or max(found) >= MOST_SEEDS:
        raise refusal
    return sorted(found)


def seeds_text(seeds: Sequence[int]) -> str:
    """As `parse_seeds` takes them."""
    if _from_zero(seeds):
        return str(len(seeds))
    text = series(seeds).replace(" ", "")
    return f"{text}-{text}" if text.isdecimal() else text


def _span(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


def check_name(name: str) -> None:
    """Raises UserError for what can be no campaign's name."""
    try:
        TypeAdapter(Slug).validate_python(name)
    except ValidationError:
        raise UserError(f"campaign name {name!r}: {_SLUG_RULE}") from None


def load_request(folder: Path) -> Request | None:
    """The request in a folder with any name; None where there is none, `Damaged` where it cannot be read."""
    try:
        return read_json(folder / FILE, Request)
    except FileNotFoundError:
        return None
    except UserError as error:
        raise Damaged(str(error)) from None


def merged(earlier: Request, request: Request) -> Request:
    """Both in one: cells and seeds add up, the later note stands.

    Raises:
        UserError: the name belongs to another protocol or other settings.
    """
    for field in ("protocol", "settings"):
        old, new = getattr(earlier, field), getattr(request, field)
        if old != new:
            raise UserError(
                f"campaign {request.name!r} was begun with {field} {old}, not {new}: "
                "choose another --campaign"
            )
    wanted = union(earlier.by_cell, request.by_cell)
    return request.model_copy(update={"note": request.note or earlier.note}).asking(wanted)


def union(*wanted: SeedsByCell) -> SeedsByCell:
    cells = dict.fromkeys(cell for one in wanted for cell in one)
    return {cell: sorted({seed for one in wanted for seed in one.get(cell, ())}) for cell in cells}


def changed_name(name: str, settings: Mapping[str, str]) -> str:
    """Of a campaign that would be called `name`, but for its settings: such as short-weight-decay-0-0005."""
    parts = (f"{key.rpartition('.')[2]} {value}" for key, value in sorted(settings.items()))
    text = " ".join([name, *parts])
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if len(slug) <= _MAX_NAME:
        return slug
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{slug[: _MAX_NAME - 9].rstrip('-')}-{digest}"
