"""A sheet for each claim of the paper: what it says, what was found, and the command that tests it."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

from replicate.paper.claims import Finding, compared
from replicate.plan import forecast
from replicate.plan.request import Request
from replicate.plan.runs import Run
from replicate.results.read import Results, records
from replicate.specs import catalogue, resolve

SEEDS = 5
"""A14."""
AUDIT = "replicate audit"
PRECISION = "training.precision"


class Sheet(NamedTuple):
    finding: Finding
    """On the printed numbers."""
    verdict: str
    why: str
    differences: tuple[dict[str, Any], ...]
    """Rows of claims.csv."""
    command: str
    runs: tuple[Run, ...]
    """That the command trains; none for what is printed alone."""
    seconds: float
    """Of these runs, one after the other at the speed of this campaign's; nan where none is known."""


class Sheets:
    """Of a campaign."""

    def __init__(self, results: Results) -> None:
        self.results = results

    def all(self) -> list[Sheet]:
        rows = {str(claim): own for claim, own in self.results.claims.groupby("claim", sort=False)}
        return [
            self._sheet(finding, records(rows[finding.claim.id]))
            for finding in self.results.findings
        ]

    def _sheet(self, finding: Finding, rows: Sequence[dict[str, Any]]) -> Sheet:
        pairs = compared(self.results.paper, finding.claim)
        cells = {cell for pair in pairs for cell in pair.cells}
        names = [name for name in self._names if name in cells]
        runs = tuple(run for run in self._runs if run.cell in names)
        # Empty in the file is nan here, which is not even equal to itself.
        why = rows[0]["why"]
        return Sheet(
            finding,
            rows[0]["verdict"],
            why if why == why else "",
            tuple(row for row in rows if row["n"] > 1),
            self._command(finding.claim.id, names) if names else AUDIT,
            runs,
            self._seconds(runs),
        )

    def _command(self, claim: str, names: Sequence[str]) -> str:
        """That trains what a claim is about, in a campaign of its own."""
        asked = Request(
            name=f"claim-{claim.lower()}",
            protocol="paper",
            settings=self._precision,
            cells=[*names],
            seeds=SEEDS,
        )
        return asked.command(patterns(names, self._known), like=names[0])

    def _seconds(self, runs: Sequence[Run]) -> float:
        if not self._speeds:
            return float("nan")
        return sum(forecast.seconds(run.spec, self._speeds) for run in runs)

    @cached_property
    def _names(self) -> list[str]:
        return self.results.paper.cell_names()

    @cached_property
    def _known(self) -> list[str]:
        return catalogue.cell_names(self.results.campaign.root)

    @cached_property
    def _runs(self) -> list[Run]:
        root = self.results.campaign.root
        known = [name for name in self._known if name in self._names]
        # A cell that is broken says so elsewhere.
        cells, _ = resolve.load_each(root, known, "paper", self._precision)
        return [Run(one.name, one.spec, seed) for one in cells.values() for seed in range(SEEDS)]

    @cached_property
    def _precision(self) -> dict[str, str]:
        """As in this campaign, whose speeds are known: it is no part of what the paper says (A18)."""
        settings = self.results.request.settings
        return {key: value for key, value in settings.items() if key == PRECISION}

    @cached_property
    def _speeds(self) -> forecast.Speeds:
        """Of the finished runs, also where their protocol has the machine choose the precision."""
        specs = self.results.campaign.specs
        seconds = self.results.done.merge(self.results.provenance, on=["cell", "seed", "run_id"])
        means = seconds[seconds["seconds"] > 0].groupby("cell")["seconds"].mean()
        precision = self._precision.get(PRECISION, "float32")
        found: dict[forecast.Kind, float] = {}
        for cell, spent in means.items():
            spec = specs[str(cell)]
            own = forecast.kind(spec)._replace(precision=precision)
            found.setdefault(own, forecast.work(spec) / float(spent))
        return found


def patterns(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """The shortest way to name some of the known cells on the command line; none for all of the tables."""
    if set(names) == set(catalogue.select(known, [])):
        return []
    return list(dict.fromkeys(_pattern(name, names, known) for name in names))


def _pattern(name: str, names: Sequence[str], known: Sequence[str]) -> str:
    """A folder, a table's method, or the cell alone: the widest that takes in no other cell."""
    top, *folders, last = name.split("/")
    wide = [*accumulate([top, *folders], "{}/{}".format)]
    wide += [f"{top}/*/{last}"] if folders else []
    for pattern in wide if name in known else ():
        found = catalogue.select(known, [pattern])
        if len(found) > 1 and set(found) <= set(names):
            return pattern
    return name
