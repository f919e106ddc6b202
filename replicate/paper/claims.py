"""The paper's claims, and their audit on the printed tables."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from replicate.files.typed import StrictModel, read_yaml
from replicate.paper.numbers import Figure, Many, Text, unique
from replicate.paper.rules import AnyRule, Check, Comparison, Outcome
from replicate.paper.tables import Pair, Tables


class Claim(StrictModel):
    """What the paper says, and the rules that put it to the test."""

    id: Annotated[str, Field(pattern=r"^C\d\d$")]
    where: Text
    text: Text
    """A short paraphrase."""
    combine: Literal["all", "any"] = "all"
    """Whether all rules must hold, or any one: then each is a way to read the claim."""
    fails: Literal["more", "other", "editorial"] | None = None
    """How it fails on the printed numbers; null where it holds."""
    rules: Many[AnyRule]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The rules that speak of what the method does, not only of what is printed."""
        return tuple(rule for rule in self.rules if isinstance(rule, Comparison))


class _ClaimsFile(StrictModel):
    claims: Annotated[Many[Claim], unique("id")]


class _FiguresFile(StrictModel):
    figures: Annotated[Many[Figure], unique("figure")]


@dataclass(frozen=True)
class Finding:
    claim: Claim
    outcome: Outcome
    checks: tuple[Check, ...]
    """One for each rule that was applied."""

    @property
    def says(self) -> str:
        """What the numbers say; with several rules, which part holds and which does not."""
        if len(self.checks) == 1:
            return self.checks[0].says
        return "; ".join(f"{check.outcome}: {check.says}" for check in self.checks)


def read_claims(root: Path) -> tuple[Claim, ...]:
    """experiments/paper/claims.yaml; raises UserError with every problem."""
    return read_yaml(root / "experiments" / "paper" / "claims.yaml", _ClaimsFile).claims


def read_figures(root: Path) -> tuple[Figure, ...]:
    """experiments/paper/figures.yaml; raises UserError with every problem."""
    return read_yaml(root / "experiments" / "paper" / "figures.yaml", _FiguresFile).figures


def findings(root: Path, tables: Tables) -> list[Finding]:
    """The audit of all claims of experiments/paper; raises UserError with every problem."""
    return audit(tables, read_figures(root), read_claims(root))


def audit(tables: Tables, figures: Sequence[Figure], claims: Iterable[Claim]) -> list[Finding]:
    """Every claim against the numbers as printed. Nothing is trained."""
    return [
        _find(claim, tuple(rule.check(tables, figures) for rule in claim.rules)) for claim in claims
    ]


def shared_facts(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """What more than one claim fails by, and the claims, most of them first."""
    found: dict[str, list[str]] = {}
    for finding in findings:
        if finding.outcome == "fails":
            for fact in dict.fromkeys(fact for check in finding.checks for fact in check.facts):
                found.setdefault(fact, []).append(finding.claim.id)
    several = {fact: ids for fact, ids in found.items() if len(ids) > 1}
    return dict(sorted(several.items(), key=lambda item: -len(item[1])))


def compared(tables: Tables, claim: Claim) -> list[Pair]:
    """The pairs of cells whose difference a claim is about."""
    return list(dict.fromkeys(pair for rule in claim.comparisons for pair in rule.pairs(tables)))


def tally(findings: Iterable[Finding]) -> str:
    """As `fails 17, holds 6`."""
    counts = Counter(finding.outcome for finding in findings)
    return ", ".join(f"{outcome} {count}" for outcome, count in counts.most_common())


def _find(claim: Claim, checks: tuple[Check, ...]) -> Finding:
    outcomes = [check.outcome for check in checks]
    decisive: Outcome = "fails" if claim.combine == "all" else "holds"
    ranked: tuple[Outcome, ...] = (decisive, "cannot be checked")
    return Finding(claim, next((one for one in ranked if one in outcomes), outcomes[0]), checks)
