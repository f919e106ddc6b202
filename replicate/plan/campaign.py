"""A campaign: a named set of runs, remembered so that the same command resumes it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from replicate.errors import UserError
from replicate.files import atomic, checksums
from replicate.plan import request as requests
from replicate.plan.recorded import recorded_request, recorded_specs
from replicate.plan.request import FILE, Damaged, Request, SeedsByCell, changed_name, new_request
from replicate.plan.runs import Run, runs
from replicate.plan.state import CampaignState, look
from replicate.records.run_folder import RECORD
from replicate.specs import catalogue
from replicate.specs.resolve import Cell, load_each, protocols, read_protocol
from replicate.specs.spec import Spec
from replicate.text import BEGIN


@dataclass(frozen=True)
class Campaign:
    """A request with its specs resolved and its folders."""

    root: Path
    request: Request
    cells: tuple[Cell, ...]
    wanted: SeedsByCell | None = None
    """What of it a command is about; None: all of it."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Why a cell's spec cannot be read. It is then as the records hold it, or, without one, no cell here."""

    @property
    def name(self) -> str:
        return self.request.name

    @property
    def results(self) -> Path:
        return results_folder(self.root, self.name)

    @property
    def runs_folder(self) -> Path:
        return self.results / "runs"

    @cached_property
    def specs(self) -> dict[str, Spec]:
        """By cell name."""
        return {cell.name: cell.spec for cell in self.cells}

    @property
    def runs(self) -> list[Run]:
        """Those that a command is about."""
        return runs(self.cells, self.request.by_cell if self.wanted is None else self.wanted)

    @property
    def partial(self) -> bool:
        """Whether a command is about some of it alone."""
        return len(self.runs) < len(self.whole.runs)

    @property
    def whole(self) -> "Campaign":
        """With all its runs."""
        return replace(self, wanted=None)

    def look(self, thorough: bool = False) -> CampaignState:
        """What its runs are doing now."""
        return look(self.runs, self.runs_folder, thorough)


def results_folder(root: Path, name: str) -> Path:
    return root / "results" / name


def campaign_names(root: Path) -> list[str]:
    """Of all folders of results/ with a request, or with records alone.

    Raises:
        UserError: the root is no project's folder, or results/ is none.
    """
    refuse_no_folder(root / "results")
    if not any((root / name).is_dir() for name in ("experiments", "results")):
        where = "call it in the project's folder, or name that with --root (in Python root=)"
        raise UserError(f"{root / 'experiments'}: no such folder: {where}")
    folders = (path for path in (root / "results").glob("*/") if not path.name.startswith("."))
    return sorted(
        path.name
        for path in folders
        if (path / FILE).exists() or any(path.glob(f"runs/*/{RECORD}"))
    )


def refuse_no_folder(path: Path) -> None:
    """Raises UserError for what is there and is no folder, such as a file or a link to nothing."""
    if (path.exists() or path.is_symlink()) and not path.is_dir():
        raise UserError(f"{path}: is no folder, nor a link to one: move it away")


def read_request(root: Path, name: str) -> Request | None:
    """The request of a campaign begun earlier; None where there is none.

    Raises:
        Damaged: it cannot be read.
        UserError: it can be no campaign's name, or the folder holds a copy of another campaign's.
    """
    requests.check_name(name)
    refuse_no_folder(root / "results")
    results = results_folder(root, name)
    request = requests.load_request(results)
    if request is not None and request.name != name:
        raise UserError(
            f"{results / FILE}: a copy of campaign {request.name!r}: name the folder so, or move it out of"
            f" {results.parent}"
        )
    return request


def resolve_campaign(root: Path, request: Request) -> Campaign:
    """Resolve every cell of a request, or take it from the records where its spec cannot be read."""
    for name in request.cells:
        if not catalogue.is_cell_name(name):
            raise UserError(f"campaign {request.name!r}: {name[:200]!r} is no cell's name")
    found, lost = load_each(root, request.cells, request.protocol, request.settings)
    return _completed(Campaign(root, request, tuple(found.values()), lost=lost))


def _completed(campaign: Campaign) -> Campaign:
    """With the cells that only records know of, all in the catalogue's order."""
    kept = recorded_specs(campaign.runs_folder, campaign.lost) if campaign.lost else {}
    cells = {cell.name: cell for cell in campaign.cells}
    cells |= {name: Cell(name, spec, {}) for name, spec in kept.items()}
    order = catalogue.ordered(campaign.root, cells)
    return replace(campaign, cells=tuple(cells[name] for name in order))


def open_campaign(root: Path, name: str) -> Campaign:
    """A campaign that has been begun.

    Raises:
        UserError: there is none, or its request is gone or cannot be read.
    """
    request = read_request(root, name)
    if request is None:
        path = results_folder(root, name) / FILE
        raise UserError(_gone(path) if name in campaign_names(root) else _none(root, name))
    return resolve_campaign(root, request)


def open_recorded(root: Path, name: str) -> Campaign:
    """As `open_campaign`; by its records alone where its request is gone or damaged."""
    path = results_folder(root, name) / FILE
    try:
        if read_request(root, name) is not None:
            return open_campaign(root, name)
        trouble = _gone(path)
    except Damaged as error:
        trouble = str(error)
    request = recorded_request(path.parent)
    if request is None:
        return open_campaign(root, name)  # which says what is wrong
    request = request.asking(_in_order(root, request.by_cell))
    return _completed(Campaign(root, request, (), lost=dict.fromkeys(request.cells, trouble)))


def _gone(path: Path) -> str:
    name = path.parent.name
    return (
        f"{path}: missing: the command that began the campaign writes it again; until then"
        f" `replicate report {name}` shows its records"
    )


def _none(root: Path, name: str) -> str:
    begun = ", ".join(campaign_names(root)) or "none yet"
    return f"no campaign {name!r} in {root / 'results'}: {begun}; {BEGIN}"


def bare_campaign(root: Path, name: str) -> Campaign:
    """One whose cells do not matter, such as to end its jobs or to archive it: its request may be damaged,
    its specs gone, its folder a copy with any name.

    Raises:
        UserError: there is none.
    """
    if name not in {path.name for path in (root / "results").glob("*/")}:
        raise UserError(_none(root, name))
    request = Request.model_construct(name=name, protocol="", settings={}, cells=[], seeds=1)
    return Campaign(root, request, ())


def begin_or_extend(root: Path, request: Request) -> Campaign:
    """A campaign with what was asked for earlier under its name, about what is asked for now.

    Raises:
        UserError: the name belongs to another protocol or other settings, or a spec cannot be read.
    """
    begun = resolve_campaign(root, _with_earlier(root, request))
    lost = {line: None for cell in request.cells for line in begun.lost.get(cell, "").splitlines()}
    if lost:
        earlier = read_request(root, request.name)
        kept = [cell in begun.lost for cell in earlier.cells] if earlier else []
        # Dropping helps where the campaign itself has lost a cell, and has another.
        raise UserError("\n".join([*lost, *(_way_out(begun) if len({*kept}) == 2 else [])]))
    return replace(begun, wanted=request.by_cell)


def _way_out(campaign: Campaign) -> list[str]:
    if not (campaign.results / FILE).exists():
        return []
    name = campaign.name
    return [f"or take the cell out of campaign {name}: `replicate drop CELL {name}`"]


def refuse_twins(campaign: Campaign) -> None:
    """Raises UserError where cells are one spec: their runs would be the same ones, trained twice and counted
    twice."""
    alike = defaultdict[str, list[str]](list)
    for name, spec in campaign.specs.items():
        alike[spec.identity].append(name)
    lines = [
        f"{', '.join(names)}: the same spec under protocol {campaign.request.protocol}: choose one of them"
        for names in alike.values()
        if len(names) > 1
    ]
    if lines:
        raise UserError("\n".join([*lines, *_way_out(campaign)]))


def _with_earlier(root: Path, request: Request) -> Request:
    earlier = read_request(root, request.name)
    both = request if earlier is None else requests.merged(earlier, request)
    return both.asking(_in_order(root, both.by_cell))


def _in_order(root: Path, wanted: SeedsByCell) -> SeedsByCell:
    return {cell: wanted[cell] for cell in catalogue.ordered(root, wanted)}


def save_campaign(campaign: Campaign) -> None:
    """Remember the request, and what other commands have added to it meanwhile."""
    atomic.make_folder(campaign.results)
    with atomic.alone(campaign.results):
        write_request(campaign.results, _with_earlier(campaign.root, campaign.request))


def write_request(results: Path, request: Request) -> None:
    """For who alone writes the files of this folder."""
    checksums.write_bytes(results / FILE, request.as_json())


def reload(campaign: Campaign) -> Campaign:
    """The campaign with what other commands have added to it meanwhile, and all its runs."""
    request = read_request(campaign.root, campaign.name)
    if request is None or request == campaign.request:
        return campaign.whole
    return resolve_campaign(campaign.root, request)


def request_campaign(
    root: Path,
    patterns: list[str] | None,
    protocol: str | None,
    seeds: list[int] | None,
    name: str | None,
    settings: dict[str, str],
    note: str = "",
) -> Campaign:
    """The campaign that the options ask for, about the cells and seeds that they name.

    What they leave open is as it was begun.

    Raises:
        UserError: it cannot be what they ask for, or they leave the protocol of a new one open.
    """
    named = None if name is None else read_request(root, name)
    if named:
        protocol = named.protocol if protocol is None else protocol
        settings = settings or named.settings
    if protocol is None:
        raise UserError(f"--protocol is missing: choose from {', '.join(protocols(root))}")
    if not named:
        catalogue.cell_names(root)  # the folder first: elsewhere no protocol is known either
        read_protocol(root, protocol)
    own = free_name(root, protocol, settings) if name is None else name
    request = new_request(own, protocol, settings, note)
    cells = named.cells if named and not patterns else []
    cells = cells or catalogue.offered(root, patterns or [], protocol)
    # Without --campaign too the name may have been begun earlier: its seeds are then the usual ones.
    begun = named or read_request(root, own)
    wanted = _with_seeds(cells, seeds, begun, everything=not patterns)
    found = begin_or_extend(root, request.asking(wanted))
    refuse_twins(found)
    return found


def _with_seeds(
    cells: list[str], seeds: list[int] | None, begun: Request | None, everything: bool
) -> SeedsByCell:
    """Seeds as named, else as begun, else one; of the cells, and with `everything` of those begun too."""
    earlier = begun.by_cell if begun else {}
    usual = range(begun.seeds if begun else 1)
    names = dict.fromkeys([*cells, *(earlier if everything else ())])
    return {cell: seeds or earlier.get(cell, usual) for cell in names}


def free_name(root: Path, name: str, settings: Mapping[str, str]) -> str:
    """What a campaign is called where no name is given: with changed settings it has one of its own, unless
    `name` was begun with the same."""
    begun = read_request(root, name)
    if not settings or (begun and begun.settings == settings):
        return name
    return changed_name(name, settings)
