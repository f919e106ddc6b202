"""What Python and notebooks see: `import replicate as r`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

import replicate as r
from replicate.campaign import Campaign
from replicate.errors import UserError
from replicate.report import figures, problems
from replicate.results import aggregate

ROOT = Path(__file__).parents[1]
CELL, AVERAGE = "table1/cifar10/flexpool", "table1/cifar10/avgpool"


@pytest.fixture
def campaign(records: Any) -> Campaign:
    made = records.begin([AVERAGE, CELL])
    for seed in range(2):
        records.leave(made, AVERAGE, seed, 91.5 + seed / 10)
        records.leave(made, CELL, seed, 91.8 + seed / 5)
    aggregate.aggregate(made)
    return made


def test_results_are_data_frames(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(campaign.root)
    made = r.results("made")
    assert list(made.runs["accuracy"]) == [91.5, 91.6, 91.8, 92.0]
    assert made.cells.loc[CELL, "mean"] == pytest.approx(91.9)
    assert len(made.epochs) == 8
    assert list(made.provenance["device"].unique()) == ["cpu"]
    assert len(r.results("made", campaign.root).runs) == 4
    assert len(r.results("made", str(campaign.root)).runs) == 4


def test_results_of_what_is_not_there(campaign: Campaign) -> None:
    with pytest.raises(UserError, match="no campaign 'absent'"):
        r.results("absent", campaign.root)


def test_the_package_of_results_stays_a_package() -> None:
    import replicate.results.statistics

    assert replicate.results is r.results
    assert r.results.statistics.MARGIN == 2.0
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = r.nonsense


@pytest.mark.parametrize("first", ["replicate.results.record", "replicate.cli", "replicate"])
def test_in_whichever_order_it_is_imported(first: str) -> None:
    code = f"import {first}, replicate as r; print(callable(r.results))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "True\n"


def test_figures_are_those_of_the_report(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = r.results("made", campaign.root)
    seen = []

    def drawn(*arguments: Any) -> Figure:
        seen.append(arguments)
        return Figure(figsize=(1, 1))

    monkeypatch.setattr(figures, "trend", drawn)
    figure = r.plot.trend(made)
    assert seen == [(made.paper.tables, made.cells, problems.mark(made))]
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "arguments"), [("bars", (1,)), ("trend", ()), ("gains", ()), ("curves", ())]
)
def test_every_figure_is_drawn(campaign: Campaign, name: str, arguments: tuple[Any, ...]) -> None:
    figure = getattr(r.plot, name)(r.results("made", campaign.root), *arguments)
    assert isinstance(figure, Figure)
    assert len(figure.axes) >= 1


def test_what_flexpool_learned(records: Any) -> None:
    import numpy as np

    made = records.begin([CELL], seeds=1)
    records.leave(made, CELL, 0, pools=[np.full((2, 8, 8), 1 / 64)])
    aggregate.aggregate(made)
    found = r.results("made", records.root)
    assert isinstance(r.plot.sums(found), Figure)
    assert isinstance(r.plot.maps(found, 1), Figure)
    with pytest.raises(UserError, match="no FlexPool after stage 2 in Table 1"):
        r.plot.maps(found, 1, stage=2)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("bars", (3,), "table 3: choose from 1, 2"),
        ("gains", (), "no gain has two paired seeds yet"),
        ("curves", (), "no run of the tables' cells has an epoch yet"),
        ("sums", (), "no run with FlexPool has finished yet"),
    ],
)
def test_a_figure_without_data_says_so(
    records: Any, name: str, arguments: tuple[Any, ...], message: str
) -> None:
    made = records.begin([CELL])
    aggregate.aggregate(made)
    with pytest.raises(UserError, match=message):
        getattr(r.plot, name)(r.results("made", records.root), *arguments)
