"""Which word is said, and in what order the reasons against one are asked for."""

import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from replicate.results import rules, verdicts
from replicate.results.statistics import Interval

TIGHT = Interval(91.0, 92.0)
WIDE = Interval(80.0, 99.0)


def word(
    published: str | None = "91.63",
    n: int = 3,
    asked: int = 3,
    failed: int = 0,
    diverged: int = 0,
    stale: bool = False,
    comparable: bool = True,
    interval: Interval = TIGHT,
) -> str:
    state = verdicts.state(n, asked, failed, diverged, stale)
    return verdicts.cell(state, comparable, n, published, interval, 2.0)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        # each line takes away what decided the line above; all that follows is still wrong
        ({"n": 0, "asked": 9, "diverged": 1, "stale": True, "comparable": False}, "stale"),
        ({"n": 0, "asked": 9, "comparable": False}, "not run"),
        ({"n": 3, "asked": 9, "failed": 1, "diverged": 1, "comparable": False}, "unstable (1 of 4 diverged)"),
        ({"n": 0, "asked": 2, "diverged": 2}, "unstable (2 of 2 diverged)"),
        ({"n": 0, "asked": 2, "failed": 2, "comparable": False}, "failed"),
        ({"n": 3, "asked": 9, "failed": 1, "comparable": False}, "not comparable"),
        ({"n": 3, "asked": 9, "failed": 1, "published": None}, "not comparable"),
        ({"n": 3, "asked": 9, "failed": 1}, "incomplete (3/9 seeds)"),
        ({"n": 3, "asked": 3, "failed": 1}, "incomplete (3/4 seeds)"),
        ({"n": 0, "asked": 5, "failed": 1}, "incomplete (0/5 seeds)"),
        ({"published": "90.99"}, "higher"),
        ({"published": "92.01"}, "lower"),
        ({"interval": WIDE}, "inconclusive"),
        ({"interval": WIDE, "published": "50.00"}, "higher"),
        ({"published": "90.99", "n": 2, "asked": 2}, "inconclusive"),
        ({"n": 1, "asked": 1, "interval": Interval(float("nan"), float("nan"))}, "inconclusive"),
        ({}, "consistent"),
    ],
)  # fmt: skip
def test_precedence_of_a_cells_words(state: dict[str, Any], expected: str) -> None:
    assert word(**state) == expected
    assert expected.split(" (")[0] in verdicts.CELL


def test_every_word_of_the_vocabulary_can_be_reached() -> None:
    cases = test_precedence_of_a_cells_words.pytestmark[0].args[1]  # type: ignore[attr-defined]
    reached = {case[1].split(" (")[0] for case in cases}
    assert reached | {"unfinished"} == verdicts.CELL.keys(), "which absent.csv tells of"


def test_more_seeds_do_not_turn_a_divergence_back() -> None:
    assert word(n=99, asked=100, diverged=1) == "unstable (1 of 100 diverged)"


@pytest.mark.parametrize(
    ("states", "n", "asked", "mean", "p", "expected"),
    [
        (("", "unstable (1 of 3 diverged)"), 3, 3, 1.0, 0.01, "unstable (1 of 3 diverged)"),
        (("incomplete (2/3 seeds)", "unstable (1 of 2 diverged)"), 2, 3, 1.0, 0.01,
         "unstable (1 of 2 diverged)"),
        (("incomplete (2/3 seeds)", ""), 2, 3, 1.0, 0.01, "incomplete (2/3 seeds)"),
        (("", ""), 4, 5, 1.0, 0.001, "incomplete (4/5 seeds)"),
        (("", ""), 5, 5, 1.0, 0.04, "gain"),
        (("", ""), 5, 5, -1.0, 0.04, "loss"),
        (("", ""), 5, 5, 1.0, 0.05000001, "not settled"),
        (("", ""), 2, 2, 1.0, 0.0001, "not settled"),
        (("", ""), 1, 1, 1.0, float("nan"), "not settled"),
    ],
)  # fmt: skip
def test_words_of_a_gain(
    states: tuple[str, str], n: int, asked: int, mean: float, p: float, expected: str
) -> None:
    assert verdicts.gain(states, n, asked, mean, p) == expected
    assert expected.split(" (")[0] in verdicts.GAIN


@pytest.mark.parametrize(
    ("published", "expected"), [(90.0, "larger"), (93.0, "smaller"), (91.5, "consistent")]
)
def test_ours_beside_the_published_gain(published: float, expected: str) -> None:
    assert verdicts.against(3, published, TIGHT, 2.0) == expected
    assert verdicts.against(3, 91.5, WIDE, 2.0) == "not settled"


@pytest.mark.parametrize(
    ("began", "age"),
    [
        ("2026-11-23T00:16:17+00:00", "after"),
        ("2026-12-01T00:00:00+00:00", "before"),
        ("", ""),
        ("x", ""),
        ("2026-12-01", ""),  # of no zone: nobody knows
    ],
)
def test_whether_a_rule_is_older_than_its_first_run(began: str, age: str) -> None:
    assert rules.age(began) == age


def test_the_commit_that_fixed_the_rules_is_in_the_history() -> None:
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    date, commit = rules.WRITTEN
    line = ["git", "log", "-1", "--format=%cI", commit, "--", "docs/statistics.md"]
    done = subprocess.run(line, cwd=root, check=True, capture_output=True, text=True)
    assert datetime.fromisoformat(done.stdout.strip()) == datetime.fromisoformat(date)
