"""Figures are checked by what stands on their axes, not by their pixels."""

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from replicate.report.figures import accuracies as figures
from replicate.report.figures import curves, weights
from replicate.report.figures.style import COLOURS, limit, panels, picture
from replicate.results.gains import gains
from replicate.results.read import Results, placed, read_results


def _bars(panel) -> list[Rectangle]:
    return [
        bar for container in panel.containers for bar in container if isinstance(bar, Rectangle)
    ]


def test_bars_published_beside_replicated(full: Results) -> None:
    table = full.paper.tables[0]
    drawn = figures.bars(full, 1)
    assert [panel.get_title() for panel in drawn.axes] == list(figures.GROUPS)
    for panel in drawn.axes:
        bars = _bars(panel)
        printed = [float(value) for value in table.rows[panel.get_title()]]
        ours = figures.in_columns(table, panel.get_title(), full.cells)["mean"]
        assert [bar.get_height() for bar in bars] == pytest.approx([*printed, *ours])
        assert [bool(bar.get_hatch()) for bar in bars] == [True] * 4 + [False] * 4
        colours = [to_hex(bar.get_facecolor()) for bar in bars[4:]]
        assert colours == list(COLOURS.values())
        low, high = panel.get_ylim()
        assert low < min(printed)
        assert high > max(printed)


def test_error_bars_reach_from_low_to_high(full: Results) -> None:
    panel = figures.bars(full, 1).axes[1]
    (segments,) = [container[2] for container in panel.containers if hasattr(container, "has_yerr")]
    ends = np.array([segment[:, 1] for segment in segments[0].get_segments()])
    own = figures.in_columns(full.paper.tables[0], "CIFAR10", full.cells)
    assert ends == pytest.approx(own[["low", "high"]].to_numpy())


def test_what_has_no_number_is_marked(make) -> None:
    root = make(cells=["table1/cifar10/avgpool"], seeds=2)
    results = read_results(root, "paper")
    drawn = figures.bars(results, 1)
    crosses = [sum(line.get_marker() == "x" for line in panel.lines) for panel in drawn.axes]
    assert crosses == [4, 3, 4, 4]


def test_trend_has_a_panel_per_table_and_data_set(full: Results) -> None:
    drawn = figures.trend(full)
    assert len(drawn.axes) == 8
    for panel in drawn.axes:
        hollow = [line for line in panel.lines if line.get_marker() == "D"]
        assert len(hollow) == 4
        assert all(line.get_markerfacecolor() == "white" for line in hollow)
    top, below = drawn.axes[0], drawn.axes[4]
    assert top.get_ylim() == below.get_ylim()
    dashed = next(line for line in top.lines if line.get_linestyle() == "--")
    assert dashed.get_ydata() == pytest.approx([91.63, 91.91, 91.87, 92.32])


def test_forest_has_every_gain_beside_the_published_one(full: Results) -> None:
    found = gains(full)
    drawn = figures.forest(full)
    assert [panel.get_title() for panel in drawn.axes] == ["Table 1", "Table 2"]
    for panel, number in zip(drawn.axes, (1, 2), strict=True):
        own = found[found["table"] == number]
        filled = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "o"]
        hollow = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "D"]
        spans = [line.get_segments()[0][:, 0] for line in panel.collections]
        assert filled == pytest.approx(own["gain"].tolist())
        assert hollow == pytest.approx(own["published"].tolist())
        assert np.array(spans) == pytest.approx(own[["low", "high"]].to_numpy())
        assert len(panel.get_yticklabels()) == 12


def test_curves_are_means_of_finished_runs_and_diverged_ones_stand_apart(make) -> None:
    cell = "table1/cifar10/flexpool"
    results = read_results(
        make(cells=[cell], seeds=3, fates={(cell, 1): ("diverged", "nan")}), "paper"
    )
    (panel,) = curves.curves(results).axes
    mean, diverged, cross = panel.lines
    done = results.epochs[results.epochs["seed"] != 1].groupby("epoch")["accuracy"].mean()
    assert mean.get_ydata() == pytest.approx(done.to_numpy())
    assert (diverged.get_linestyle(), len(diverged.get_xdata())) == (":", 33)
    assert (cross.get_marker(), cross.get_xdata()[0]) == ("x", 33)


def test_a_single_epoch_is_a_dot(make) -> None:
    """Of one point no line is drawn."""
    cell = "table1/cifar10/flexpool"
    results = read_results(make(cells=[cell], seeds=1, settings={"training.epochs": "1"}), "paper")
    (panel,) = curves.curves(results).axes
    assert [line.get_marker() for line in panel.lines] == ["o"]
    assert all(place == int(place) for place in panel.get_xticks())


def test_curves_of_a_full_campaign(full: Results) -> None:
    drawn = curves.curves(full)
    assert [len(panel.lines) for panel in drawn.axes] == [4] * 8


def test_stages_of_heads_wherever_their_count_begins(full: Results) -> None:
    pools = placed(full.pools, full.cells)
    assert set(pools[pools["table"] == 1]["stage"]) == {3}
    assert set(pools[pools["table"] == 2]["stage"]) == {1, 2, 3}
    shifted = full.pools.assign(head=full.pools["head"] + 1)
    assert placed(shifted, full.cells)["stage"].equals(pools["stage"])


def test_maps_are_in_units_of_average_pooling(make) -> None:
    cell = "table1/fashion-mnist/flexpool"

    def edit(frames) -> None:
        frames["maps.csv.gz"]["weight"] = 1 / 49
        frames["maps.csv.gz"].loc[0, "weight"] = 3 / 49

    results = read_results(make(cells=[cell], seeds=1, edit=edit), "paper")
    (panel,) = weights.maps(results, 1, 3).axes
    (image,) = panel.collections
    assert image.get_array().shape == (7, 7)
    assert image.get_array()[0, 0] == pytest.approx(3)
    assert image.get_array()[6, 6] == pytest.approx(1)
    assert (image.norm.vmin, image.norm.vmax) == pytest.approx((-1, 3))


def test_sums_have_a_box_per_stage_and_method(full: Results) -> None:
    drawn = weights.sums(full)
    assert [len(panel.patches) for panel in drawn.axes] == [3] * 4 + [9] * 4
    assert all(panel.get_yscale() == "log" for panel in drawn.axes)
    drawn.canvas.draw()
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert {"0.01", "1"} <= set(labels)


def test_a_sum_of_exactly_one_can_be_drawn(make) -> None:
    def edit(frames) -> None:
        frames["pools.csv.gz"]["sum"] = 1.0

    results = read_results(make(cells=["table1/cifar10/flexpool"], seeds=1, edit=edit), "paper")
    assert picture(weights.sums(results), "png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([91.0, 93.0], (90.5, 91), (93, 93.5)),  # fitted
        ([92.0, 92.0], (91, 92), (92, 93)),  # no less than a point
        ([10.0, 92.0], (0, 0), (92, 100.5)),  # from zero where they differ much
        ([99.0, 100.0], (98, 99), (100, 100.5)),  # no more than all
        ([float("nan")], (0, 0), (100, 100.5)),  # nothing to show
    ],
)
def test_limit(values: list[float], low: tuple[float, float], high: tuple[float, float]) -> None:
    _, axes = panels(1, 1, 2, 2)
    limit(axes[0, 0], values)
    bottom, top = axes[0, 0].get_ylim()
    assert low[0] <= bottom <= low[1]
    assert high[0] <= top <= high[1]
    assert top - bottom >= 0.999


def test_the_caveat_is_in_the_picture(full: Results) -> None:
    smoke = dataclasses.replace(full)
    vars(smoke)["caveat"] = "protocol smoke"
    drawn = figures.bars(smoke, 1)
    assert "NOT COMPARABLE WITH THE PAPER: protocol smoke" in drawn.get_suptitle()
    assert "COMPARABLE" not in figures.bars(full, 1).get_suptitle()


def test_pictures_do_not_depend_on_the_readers_settings(full: Results) -> None:
    drawn = [picture(figures.bars(full, 1), "svg")]
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        drawn.append(picture(figures.bars(full, 1), "svg"))
    assert drawn[0] == drawn[1]
    assert b"<dc:date>" not in drawn[0]
