"""What Python and notebooks see: `import replicate as r`."""

from typing import Any

import pytest
from matplotlib.figure import Figure

import replicate as r
from replicate.errors import UserError
from replicate.plan.campaign import Campaign
from replicate.report.figures import accuracies as figures
from replicate.results import aggregate
from tests import making
from tests.making import Records

CELL, AVERAGE = "table1/cifar10/flexpool", "table1/cifar10/avgpool"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    records = Records(making.project(tmp_path_factory.mktemp("notebook")))
    return records.fill({AVERAGE: [91.5, 91.6], CELL: [91.8, 92.0]})


def test_results_are_data_frames(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(campaign.root)
    made = r.read("made")
    assert list(made.runs["accuracy"]) == [91.5, 91.6, 91.8, 92.0]
    assert made.cells.loc[CELL, "mean"] == pytest.approx(91.9)
    assert len(made.epochs) == 8
    assert list(made.provenance["device"].unique()) == ["cpu"]
    assert len(r.read("made", campaign.root).runs) == 4
    assert len(r.read("made", str(campaign.root)).runs) == 4


def test_results_of_what_is_not_there(campaign: Campaign) -> None:
    with pytest.raises(UserError, match="no campaign 'absent'"):
        r.read("absent", campaign.root)


def test_there_is_nothing_else() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = r.nonsense


def test_figures_are_those_of_the_report_and_show_themselves(campaign: Campaign) -> None:
    assert r.plot.trend is figures.trend
    figure = r.plot.trend(r.read("made", campaign.root))
    assert figure._repr_svg_().startswith("<?xml")


@pytest.mark.parametrize(
    ("name", "arguments"), [("bars", (1,)), ("trend", ()), ("forest", ()), ("curves", ())]
)
def test_every_figure_is_drawn(campaign: Campaign, name: str, arguments: tuple[Any, ...]) -> None:
    figure = getattr(r.plot, name)(r.read("made", campaign.root), *arguments)
    assert isinstance(figure, Figure)
    assert len(figure.axes) >= 1


def test_what_flexpool_learned(records: Any) -> None:
    import numpy as np

    made = records.begin([CELL], seeds=1)
    records.leave(made, CELL, 0, pools=[np.full((2, 8, 8), 1 / 64)])
    aggregate.aggregate(made)
    found = r.read("made", records.root)
    assert isinstance(r.plot.sums(found), Figure)
    assert isinstance(r.plot.maps(found, 1), Figure)
    with pytest.raises(UserError, match="no FlexPool after stage 2 in Table 1"):
        r.plot.maps(found, 1, stage=2)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("bars", (3,), "table 3: choose from 1, 2"),
        ("forest", (), "no gain has a pair of seeds yet"),
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
        getattr(r.plot, name)(r.read("made", records.root), *arguments)
