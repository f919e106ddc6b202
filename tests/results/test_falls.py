"""Which runs fell on their way, and how far."""

import pandas as pd
import pytest

from replicate.results.falls import falls


def epochs(*accuracies: float, run: str = "a", first: int = 1) -> pd.DataFrame:
    """Those of a run, in percent, from its first epoch on."""
    rows = [
        {"cell": run, "run_id": run, "seed": 0, "epoch": number, "accuracy": accuracy}
        for number, accuracy in enumerate(accuracies, first)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("accuracies", "found"),
    [
        ((10.0, 90.0, 45.0), []),
        ((10.0, 90.0, 44.9, 80.0), [(3, 44.9, 90.0, 80.0)]),
        ((90.0, 20.0, 95.0, 21.0, 10.0), [(5, 10.0, 95.0, 10.0)]),
        ((90.0, 10.0, 50.0, 10.0), [(2, 10.0, 90.0, 10.0)]),
        ((0.0, 0.0), []),
        ((90.0,), []),
    ],
)
def test_the_deepest_fall_counts(
    accuracies: tuple[float, ...], found: list[tuple[float, ...]]
) -> None:
    told = falls(epochs(*accuracies))[["epoch", "accuracy", "reached", "ended"]]
    assert list(told.itertuples(index=False, name=None)) == found


def test_each_run_is_its_own() -> None:
    """One that starts low behind another has not fallen."""
    both = pd.concat([epochs(90.0, 91.0), epochs(5.0, 2.0, run="b")], ignore_index=True)
    assert list(falls(both)["cell"]) == ["b"]


def test_pretraining_is_another_task() -> None:
    assert falls(epochs(90.0, 91.0, 10.0, 20.0, first=-1)).empty
