"""The audit against the outcomes found by hand in the paper's own numbers."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from replicate.errors import UserError
from replicate.files.typed import read_yaml
from replicate.paper import claims
from replicate.paper.claims import Claim, Finding
from replicate.paper.numbers import Figure
from replicate.paper.tables import Pair, Place, Tables, read_tables

ROOT = Path(__file__).resolve().parents[1]
REG, DROPOUT = "FlexPool + Reg", "FlexPool + Reg + Dropout"
HOLD = {"C02", "C04", "C05", "C10", "C11", "C21"}
FAIL = {f"C{number:02}" for number in range(1, 26)} - HOLD

SAYS = {
    "C01": ["+0.69", "+2.60", "+2.12", "+2.05", "+2.72", "+0.29", "+1.78", "+3.88", "3 of 8"],
    "C02": ["+0.28", "+0.97", "+0.32", "+0.53"],
    "C03": ["Table 1 CIFAR10 FlexPool 91.91, FlexPool + Reg 91.87"],
    "C04": ["+2.30", "+0.10", "+0.33", "+2.42"],
    "C05": ["ImageNet +2.42, CIFAR10 +2.30", "ImageNet +3.88, CIFAR10 +2.72"],
    "C06": ["AvgPool 93.55, FlexPool + Reg 93.48", "FlexPool 93.65, FlexPool + Reg 93.48"],
    "C07": ["4 of 4 outside 1.5 to 2"],
    "C08": ["2 of 4 outside 1 to 3"],
    "C09": [
        "fails: largest first: Fashion-MNIST +0.97",
        "holds: Table 1 ImageNet FlexPool",
        "+0.53",
    ],
    "C10": ["+1.08", "48.11", "46.50"],
    "C11": ["48.55"],
    "C12": ["+0.32", "fails: Table 1 CIFAR100", "+2.12, not +1.8 (+1.78 in Table 2)"],
    "C13": ["fails: largest first: Fashion-MNIST +2.60", "holds: Table 1 ImageNet", "+2.05"],
    "C14": ["+0.10", "+2.42", "+0.29", "+3.88"],
    "C15": ["+2.42, not +2.3"],
    "C16": [
        "holds",
        "+1.09",
        "fails: Table 2 ImageNet AvgPool: 45.13, not 46.5 (46.50 in Table 1)",
    ],
    "C17": ["+3.88, not +3.5", "over Table 1 ImageNet AvgPool: +2.51, not +3.5"],
    "C18": ["+0.33, not +0.75", "+1.78, not +1.1"],
    "C19": ["Table 1 CIFAR10", "Table 2 Fashion-MNIST"],
    "C20": ["73.92 / 72.95", "74.45 / 74.23", "75.05 / 74.63", "75.79 / 75.11"],
    "C21": ["0.1, 0.2, 0.7", "0.01, 0.11, 0.88"],
    "C22": ["5 of 16", "CIFAR10 FlexPool + Reg +0.18", "CIFAR100 AvgPool −2.91", "Dropout −4.26"],
    "C23": ["there is no Table 3"],
    "C24": ["fails: Table 2 Fashion-MNIST AvgPool 93.55, FlexPool + Reg 93.48"],
    "C25": ["fails: Table 1 CIFAR10 FlexPool 91.91, FlexPool + Reg 91.87"],
}


@pytest.fixture(scope="module")
def tables() -> Tables:
    return read_tables(ROOT)


@pytest.fixture(scope="module")
def figures() -> tuple[Figure, ...]:
    return claims.read_figures(ROOT)


@pytest.fixture(scope="module")
def paper_claims() -> tuple[Claim, ...]:
    return claims.read_claims(ROOT)


@pytest.fixture(scope="module")
def findings(
    tables: Tables, figures: tuple[Figure, ...], paper_claims: tuple[Claim, ...]
) -> dict[str, Finding]:
    return _by_id(claims.audit(tables, figures, paper_claims))


def test_all_25_claims_are_there_in_order(paper_claims: tuple[Claim, ...]) -> None:
    assert [claim.id for claim in paper_claims] == sorted(HOLD | FAIL)
    assert len(paper_claims) == 25


def test_outcomes_on_the_printed_numbers(findings: dict[str, Finding]) -> None:
    expected = dict.fromkeys(HOLD, "holds") | dict.fromkeys(FAIL, "fails")
    assert {name: finding.outcome for name, finding in findings.items()} == expected


@pytest.mark.parametrize("name", SAYS)
def test_what_the_numbers_say(findings: dict[str, Finding], name: str) -> None:
    says = findings[name].says
    assert [part for part in SAYS[name] if part not in says] == [], says


@pytest.mark.parametrize(
    ("changes", "outcomes", "texts"),
    [
        (  # above FlexPool's 91.91, and near the bar of 92.05
            {Place(1, "CIFAR10", REG): "92.00"},
            {"C03": "holds", "C25": "holds"},
            {"C19", "C20", "C22", "C24"},
        ),
        (  # between its neighbours 93.65 and 93.84
            {Place(2, "Fashion-MNIST", REG): "93.70"},
            {"C06": "holds", "C24": "holds"},
            {"C19", "C20"},
        ),
        (  # both together: the trend then holds in both settings
            {Place(1, "CIFAR10", REG): "92.00", Place(2, "Fashion-MNIST", REG): "93.70"},
            dict.fromkeys(("C03", "C06", "C19", "C24", "C25"), "holds"),
            {"C20", "C22"},
        ),
        (  # Table 1's number in Table 2: CIFAR10 then gains more
            {Place(2, "ImageNet", "AvgPool"): "46.50"},
            {"C05": "fails", "C16": "holds"},
            {"C01", "C04", "C08", "C14", "C15", "C17", "C20"},
        ),
        (  # a gain of 0.22 leaves ImageNet's 0.53 the largest, and a bar of 92.34 too high
            {Place(1, "Fashion-MNIST", "FlexPool"): "91.60"},
            {"C09": "holds"},
            {"C02", "C20", "C22", "C24", "C25"},
        ),
        (  # 48.55 misprinted: gain 2.15, 0.16 above its bar
            {Place(1, "ImageNet", DROPOUT): "48.65"},
            {"C11": "fails"},
            {"C01", "C07", "C13", "C20", "C22", "C24", "C25"},
        ),
        (  # below AvgPool's 91.38; the row then falls at once
            {Place(1, "Fashion-MNIST", "FlexPool"): "91.37"},
            {"C02": "fails", "C09": "holds"},
            {"C03", "C19", "C20", "C22", "C24", "C25"},
        ),
    ],
)
def test_a_wrong_number_changes_the_claims_that_rest_on_it(
    tables: Tables,
    figures: tuple[Figure, ...],
    paper_claims: tuple[Claim, ...],
    findings: dict[str, Finding],
    changes: Mapping[Place, str],
    outcomes: dict[str, str],
    texts: set[str],
) -> None:
    after = _by_id(claims.audit(_altered(tables, changes), figures, paper_claims))
    changed = {name: f.outcome for name, f in after.items() if f.outcome != findings[name].outcome}
    assert changed == outcomes
    reworded = {name for name, finding in after.items() if finding.says != findings[name].says}
    assert reworded == outcomes.keys() | texts


def test_every_failing_claim_says_how_it_fails(findings: dict[str, Finding]) -> None:
    more = {f"C{n:02}" for n in (1, 3, 6, 7, 8, 9, 13, 14, 18, 19, 20, 24, 25)}
    kinds = dict.fromkeys(more, "more") | dict.fromkeys(("C12", "C15", "C16", "C17"), "other")
    kinds |= dict.fromkeys(("C22", "C23"), "editorial")
    assert {name: f.claim.fails for name, f in findings.items() if f.claim.fails} == kinds
    assert kinds.keys() == FAIL


def test_23_of_24_gains_are_above_zero(findings: dict[str, Finding]) -> None:
    facts = [fact for check in findings["C24"].checks for fact in check.facts]
    assert facts == ["Table 2 Fashion-MNIST FlexPool + Reg: −0.07 over AvgPool"]


def test_what_several_claims_fail_by(findings: dict[str, Finding]) -> None:
    shared = claims.shared_facts(findings.values())
    assert shared["Table 1 CIFAR10 FlexPool + Reg: −0.04 over FlexPool"] == ["C03", "C19", "C25"]
    assert shared["Table 2 Fashion-MNIST: the best column +0.29"] == ["C01", "C08", "C14"]
    assert all(len(ids) > 1 for ids in shared.values())


def test_a_missing_figure_cannot_be_checked(
    tables: Tables, paper_claims: tuple[Claim, ...]
) -> None:
    found = _by_id(claims.audit(tables, (), paper_claims))
    assert found["C22"].outcome == "cannot be checked"


def test_figure_4_agrees_with_table_2(tables: Tables, figures: tuple[Figure, ...]) -> None:
    rule = {"kind": "figure-matches-table", "figure": 4}
    (found,) = claims.audit(tables, figures, [_claim(rule)])
    assert (found.outcome, found.says) == ("holds", "0 of 16 bars are more than 0.12 off Table 2")


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"kind": "weights-increase", "weights": [[0.1, 0.1, 0.8]]}, "fails"),
        ({"kind": "weights-increase", "weights": [[0.1, 0.2], [0.3, 0.2]]}, "fails"),
        ({"kind": "ordering-of-means", "higher": 1, "lower": 2}, "holds"),
        ({"kind": "tables-exist", "tables": [1, 2]}, "holds"),
        ({"kind": "value", "place": [1, "ImageNet", "FlexPool"], "stated": "47.0"}, "holds"),
        ({"kind": "value", "place": [1, "ImageNet", "FlexPool"], "stated": "47.1"}, "fails"),
    ],
)
def test_rules_the_other_way_round(
    tables: Tables, figures: tuple[Figure, ...], rule: dict[str, object], outcome: str
) -> None:
    (found,) = claims.audit(tables, figures, [_claim(rule)])
    assert found.outcome == outcome


@pytest.mark.parametrize(
    ("gain", "about", "tolerance", "outcome"),
    [
        ("0.55", "0.5", "0.05", "holds"),
        ("0.45", "0.5", "0.05", "holds"),
        ("0.56", "0.5", "0.05", "fails"),
        ("0.44", "0.5", "0.05", "fails"),
    ],
)
def test_the_edge_of_a_tolerance_is_exact(
    tables: Tables, gain: str, about: str, tolerance: str, outcome: str
) -> None:
    rule = {
        "kind": "gain-about",
        "of": [1, "ImageNet", "FlexPool"],
        "over": [1, "ImageNet", "AvgPool"],
        "about": about,
        "tolerance": tolerance,
        "reason": "a test",
    }
    flexpool = str(Decimal("46.50") + Decimal(gain))
    changed = _altered(tables, {Place(1, "ImageNet", "FlexPool"): flexpool})
    (found,) = claims.audit(changed, (), [_claim(rule)])
    assert found.outcome == outcome


@pytest.mark.parametrize(
    ("combine", "first", "second", "outcome"),
    [
        ("all", "46.50", "47.03", "holds"),
        ("all", "46.50", "99.99", "fails"),
        ("any", "46.50", "99.99", "holds"),
        ("any", "99.99", "99.99", "fails"),
    ],
)
def test_rules_combine(tables: Tables, combine: str, first: str, second: str, outcome: str) -> None:
    rules = [
        {"kind": "value", "place": [1, "ImageNet", "AvgPool"], "stated": first},
        {"kind": "value", "place": [1, "ImageNet", "FlexPool"], "stated": second},
    ]
    (found,) = claims.audit(tables, (), [_claim(*rules, combine=combine)])
    assert found.outcome == outcome


def test_the_pairs_a_claim_compares(tables: Tables, paper_claims: tuple[Claim, ...]) -> None:
    by_id = {claim.id: claim for claim in paper_claims}
    first = Pair(Place(1, "CIFAR10", "FlexPool"), Place(1, "CIFAR10", "AvgPool"))
    assert claims.compared(tables, by_id["C02"])[0] == first
    counts = {name: len(claims.compared(tables, claim)) for name, claim in by_id.items()}
    assert [counts[name] for name in ("C01", "C02", "C03", "C09", "C11", "C19", "C20", "C21")] == [
        *(24, 4, 12, 4, 0, 24, 16, 0)
    ]


# --- files


def test_a_rule_about_a_place_that_is_not_there(tables: Tables) -> None:
    rule = {"kind": "value", "place": [1, "Imagenet", "AvgPool"], "stated": "46.5"}
    with pytest.raises(UserError, match=r"Table 1 Imagenet AvgPool: no such place; .*ImageNet"):
        claims.audit(tables, (), [_claim(rule)])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: increasing-rows", "kind: rising-rows", r"\.yaml:\d+: .*rising-rows"),
        ("    combine: any\n", "    combine: some\n", "'all' or 'any', got 'some'"),
        ("id: C02", "id: C01", "given twice: C01"),
        ('about: "0.5"', "about: almost", "about: .*decimal, got 'almost'"),
        ("        row: ImageNet\n", "", "row: Field required"),
        ("table: 1\n", "table: 3\n", "table: Input should be 1 or 2, got 3"),
        ("    text:", "    txt:", r"\.yaml:\d+: .*txt: Extra inputs"),
    ],
)
def test_a_broken_claims_file_names_the_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (ROOT / "experiments/paper/claims.yaml").read_text()
    assert old in text
    folder = tmp_path / "experiments/paper"
    folder.mkdir(parents=True)
    (folder / "claims.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        claims.read_claims(tmp_path)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "figure.yaml"
    path.write_text(
        "figure: two\ntable: 5\nsource: a\nreading_error: 0.1\ncolumns: [a]\nrows: {}\n"
    )
    with pytest.raises(UserError) as caught:
        read_yaml(path, Figure)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}:1: figure: ")
    assert second.startswith(f"{path}:2: table: ")


def test_a_short_row_of_a_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="'b' has 1 values, not 2"):
        Figure.model_validate(
            {
                "figure": 2,
                "table": 1,
                "source": "here",
                "reading_error": 0.1,
                "columns": ["x", "y"],
                "rows": {"b": [1.0]},
            }
        )


def _by_id(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.claim.id: finding for finding in findings}


def _claim(*rules: dict[str, object], combine: str = "all") -> Claim:
    values = {"id": "C99", "where": "here", "text": "this", "combine": combine, "rules": rules}
    return Claim.model_validate(values)


def _altered(tables: Tables, changes: Mapping[Place, str]) -> Tables:
    copy = tables.model_copy(deep=True)
    for place, value in changes.items():
        table = copy.tables[place.table - 1]
        table.rows[place.row][table.columns.index(place.column)] = value
    return copy
