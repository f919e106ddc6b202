"""Figures are checked by what stands on their axes, not by their pixels."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from replicate.report.figures import accuracies, curves, forest, weights
from replicate.report.figures.style import (
    ALARM,
    DARK,
    INK,
    LOOKS,
    WIDTH,
    limit,
    panels,
    picture,
    reach,
)
from replicate.results.gains import gains_table
from replicate.results.read import Results, placed, read_results
from tests import making

COLOURS = [look.colour for look in LOOKS.values()]
OWN = [
    "table1/cifar10/avgpool",
    "extensions/pools/gem",
    "extensions/networks/resnet18/avgpool",
    "extensions/networks/resnet18/flexpool",
    "extensions/networks/vgg16/flexpool",
]
"""Three cells outside the tables that are not average pooling; the last has none beside it."""
FIGURES: dict[str, Callable[[Results], Figure]] = {
    "figure2": lambda results: accuracies.bars(results, 1),
    "trend": accuracies.trend,
    "forest": forest.forest,
    "own gains": forest.own,
    "curves": curves.curves,
    "own curves": curves.own,
    "sums": weights.sums,
    "maps": lambda results: weights.maps(results, 1, 3),
    "own maps": weights.own_maps,
}


@pytest.fixture(scope="module")
def mixed(maker, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Cells of one table and cells of one's own, one of which diverged once."""
    fates = {("table1/cifar10/flexpool", 1): ("diverged", "nan")}
    cells = [*OWN, "table1/cifar10/flexpool", "table1/cifar10/flexpool-reg"]
    root = maker(tmp_path_factory.mktemp("mixed"))(cells=cells, seeds=3, fates=fates)
    return read_results(root, "paper")


@pytest.mark.parametrize("name", FIGURES)
def test_letters_are_legible_on_a_telephone(mixed: Results, name: str) -> None:
    """A figure is shown 360 pixels wide there."""
    drawn = FIGURES[name](mixed)
    drawn.draw_without_rendering()
    texts = [text for text in drawn.findobj(Text) if text.get_text() and text.get_visible()]
    pixels = 360 / (72 * drawn.get_figwidth())
    assert drawn.get_figwidth() == WIDTH
    assert min(text.get_fontsize() for text in texts) * pixels >= 8
    left, bottom, right, top = drawn.get_tightbbox().extents
    assert min(left, bottom) >= 0, "nothing is cut off"
    assert right <= drawn.get_figwidth()
    assert top <= drawn.get_figheight()


@pytest.mark.parametrize("name", FIGURES)
def test_pictures_have_a_dark_side(mixed: Results, name: str) -> None:
    svg = picture(FIGURES[name](mixed)).decode()
    dark = svg.partition("prefers-color-scheme: dark")[2].partition("</style>")[0]
    assert f'[style*="fill: {INK}"] {{ fill: {DARK[INK]} !important }}' in dark
    left = svg.replace(dark, "")
    known = {*DARK, *COLOURS, "#888888", "#cc79a7", "#000000"}
    assert set(re.findall(r"(?:fill|stroke): (#\w+)", left)) <= known


def test_bars_start_at_zero_with_published_beside_replicated(full: Results) -> None:
    (panel,) = accuracies.bars(full, 1).axes
    table = full.paper.tables[0]
    groups = [label.get_text() for label in panel.get_xticklabels()]
    assert groups == ["Fashion-MNIST", "CIFAR10", "CIFAR100", "ImageNet"]
    assert panel.get_ylim() == (0, 100)
    for place, group in enumerate(groups):
        printed, ours = panel.containers[3 * place], panel.containers[3 * place + 1]
        own = accuracies.in_columns(table, group, full.cells)
        assert [bar.get_height() for bar in printed] == [float(one) for one in table.rows[group]]
        assert [bar.get_height() for bar in ours] == pytest.approx(own["mean"].tolist())
        assert [to_hex(bar.get_facecolor()) for bar in ours] == COLOURS
        assert {bar.get_facecolor()[3] for bar in printed} == {0}
        assert [to_hex(bar.get_edgecolor()) for bar in printed] == COLOURS
        (arms,) = panel.containers[3 * place + 2][2]
        ends = np.array([segment[:, 1] for segment in arms.get_segments()])
        assert ends == pytest.approx(own[["low", "high"]].to_numpy())
    ticks = next(line for line in panel.collections if len(line.get_segments()) == 4)
    assert [segment[0, 1] for segment in ticks.get_segments()] == [91.40, 92.34, 93.47, 94.00]


def test_what_has_no_number_is_marked(make) -> None:
    results = read_results(make(cells=["table1/cifar10/avgpool"], seeds=2), "paper")
    (panel,) = accuracies.bars(results, 1).axes
    crosses = [len(line.get_xdata()) for line in panel.lines if line.get_marker() == "x"]
    assert crosses == [4, 3, 4, 4]


def test_trend_has_every_seed(full: Results) -> None:
    drawn = accuracies.trend(full)
    assert len(drawn.axes) == 8
    for panel in drawn.axes:
        hollow = [line for line in panel.lines if line.get_marker() == "D"]
        assert {line.get_markerfacecolor() for line in hollow} == {"#ffffff"}
        dots = [len(line.get_ydata()) for line in panel.lines if line.get_marker() == "o"]
        assert (len(hollow), dots) == (4, [3] * 4)
    one, two = drawn.axes[:2]
    assert (one.get_title(), two.get_title()) == ("Table 1", "Table 2")
    assert one.get_ylim() == two.get_ylim()
    dashed = next(line for line in one.lines if line.get_linestyle() == "--")
    assert dashed.get_ydata() == pytest.approx([91.63, 91.91, 91.87, 92.32])
    seeds = full.runs[full.runs["cell"] == "table1/cifar10/flexpool"]["accuracy"]
    dots = [line for line in one.lines if line.get_marker() == "o"][1]
    assert dots.get_ydata() == pytest.approx(seeds.tolist())


@pytest.mark.parametrize(
    ("mean", "low", "high", "heads"),
    [(92.0, 20.0, 140.0, ["v", "^"]), (99.0, 20.0, 140.0, ["v"]), (92.0, 91.0, 93.0, [])],
)
def test_an_interval_of_few_seeds_does_not_hide_the_trend(
    full: Results, mean: float, low: float, high: float, heads: list[str]
) -> None:
    """One of two seeds can be wider than the whole axis. Nothing points beyond 100 %."""
    wide = full.cells.copy()
    first = wide["cell"] == "table1/cifar10/avgpool"
    wide.loc[first, ["mean", "predicted_low", "predicted_high"]] = mean, low, high
    panel = accuracies.trend(dataclasses.replace(full, cells=wide)).axes[0]
    assert panel.get_ylim()[0] > 75
    assert [line.get_marker() for line in panel.lines if line.get_marker() in ("v", "^")] == heads


def test_forest_has_every_gain_beside_the_published_one(full: Results) -> None:
    found = gains_table(full.contrasts)
    drawn = forest.forest(full)
    assert len(drawn.axes) == 3
    for panel, column in zip(drawn.axes, list(LOOKS)[1:], strict=True):
        own = found[found["column"] == column]
        assert panel.get_title().replace("\n", " ") == column
        hollow = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "D"]
        assert hollow[:-1] == pytest.approx(own["published"].tolist())
        dots = [line for line in panel.lines if line.get_marker() == "o"]
        for line, cell in zip(dots, own["cell"], strict=True):
            of, over = (
                full.contrasts.accuracies[one]
                for one in (cell, cell.rpartition("/")[0] + "/avgpool")
            )
            assert line.get_xdata() == pytest.approx([of[seed] - over[seed] for seed in range(3)])
        assert _spans(panel, 4) == pytest.approx(own[["low", "high"]].to_numpy())
        assert _spans(panel, 1) == pytest.approx(
            own[["next_low", "next_high"]].to_numpy().clip(*panel.get_xlim())
        )


def _spans(panel: mpl.axes.Axes, width: float) -> np.ndarray:
    lines = [one for one in panel.collections if isinstance(one, LineCollection)]
    return np.array([one.get_segments()[0][:, 0] for one in lines if one.get_linewidth() == width])


def test_the_overall_row_stands_last(full: Results) -> None:
    drawn = forest.forest(full)
    names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert names.count("ImageNet") == 2
    asked = full.overall[full.overall["scope"] == "both"].set_index("question")
    for panel, column in zip(drawn.axes, list(LOOKS)[1:], strict=True):
        row = asked.loc[f"{column} over AvgPool"]
        (diamond,) = panel.patches
        x, y = diamond.get_xy().T
        assert (x.min(), x.max()) == pytest.approx((row["low"], row["high"]))
        hollow = [line for line in panel.lines if line.get_marker() == "D"][-1]
        assert hollow.get_xdata()[0] == pytest.approx(row["published"])
        assert y.mean() > max(
            line.get_ydata()[0] for line in panel.lines if line.get_marker() == "o"
        )


def test_an_interval_that_goes_on_beyond_the_axis_says_so(full: Results) -> None:
    wide = dataclasses.replace(full, gains=full.gains.assign(next_high=1000.0))
    panel = forest.forest(wide).axes[0]
    assert panel.get_xlim()[1] < 20
    assert [line.get_marker() for line in panel.lines].count(">") == 8


def test_one_cell_that_comes_to_grief_does_not_hide_the_others(full: Results) -> None:
    gain = [-40.0, *full.gains["gain"][1:]]
    wide = dataclasses.replace(full, gains=full.gains.assign(gain=gain))
    for results, scale, said in ((full, "linear", "accuracy)"), (wide, "asinh", "beyond 2)")):
        drawn = forest.forest(results)
        assert {panel.get_xscale() for panel in drawn.axes} == {scale}
        (legend,) = drawn.legends
        assert legend.get_title().get_text().endswith(said)
    ticks = [label.get_text() for label in drawn.axes[0].get_xticklabels()]
    assert ticks == ["\u221230", "\u22125", "0", "5"]


def test_a_published_gain_outside_the_interval_is_marked(full: Results) -> None:
    words = ["smaller", *["consistent"] * (len(full.gains) - 1)]
    panel = forest.forest(dataclasses.replace(full, gains=full.gains.assign(against=words))).axes[0]
    edges = [line.get_markeredgecolor() for line in panel.lines if line.get_marker() == "D"]
    assert edges[:-1] == [ALARM, *[INK] * 7]


def test_gains_of_ones_own_are_over_the_average_pooling_beside_them(mixed: Results) -> None:
    found = forest.own_gains(mixed)
    assert list(found) == ["extensions/networks/resnet18/flexpool", "extensions/pools/gem"]
    own, over = (
        mixed.contrasts.accuracies[f"extensions/networks/resnet18/{name}"]
        for name in ("flexpool", "avgpool")
    )
    values = found["extensions/networks/resnet18/flexpool"].values
    assert values == pytest.approx([own[seed] - over[seed] for seed in range(3)])
    names = [label.get_text() for label in forest.own(mixed).axes[0].get_yticklabels()]
    assert names == ["networks/resnet18/flexpool", "pools/gem"]


def test_curves_are_means_of_finished_runs_in_the_last_third(mixed: Results) -> None:
    (panel,) = curves.curves(mixed).axes
    average, flexpool, _ = panel.lines
    done = mixed.epochs[mixed.epochs["cell"].eq("table1/cifar10/flexpool")]
    done = done[done["seed"].ne(1)].groupby("epoch")["accuracy"].mean()
    assert list(flexpool.get_xdata()) == list(range(67, 101))
    assert flexpool.get_ydata() == pytest.approx(done.loc[67:].to_numpy())
    assert to_hex(average.get_color()) == COLOURS[0]
    assert "1 diverged earlier" in [text.get_text() for text in panel.texts]


def test_a_run_that_diverged_late_stands_apart(mixed: Results) -> None:
    late = mixed.runs["run_id"].eq(mixed.done["run_id"].iloc[1])
    runs = mixed.runs.assign(status=mixed.runs["status"].mask(late, "diverged"))
    drawn = curves.curves(dataclasses.replace(mixed, runs=runs))
    dotted, cross = (
        next(line for line in drawn.axes[0].lines if test(line))
        for test in (
            lambda line: line.get_linestyle() == ":",
            lambda line: line.get_marker() == "x",
        )
    )
    assert (len(dotted.get_xdata()), cross.get_xdata()[0]) == (34, 100)


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


def test_curves_of_ones_own_stand_beside_average_pooling(mixed: Results) -> None:
    shown = [panel for panel in curves.own(mixed).axes if panel.get_visible()]
    colours = {
        panel.get_title().replace("\n", ""): [to_hex(line.get_color()) for line in panel.lines]
        for panel in shown
    }
    assert colours["networks/resnet18/flexpool"] == [COLOURS[0], "#cc79a7"]
    assert colours["networks/vgg16/flexpool"] == ["#cc79a7"]
    assert len(shown) == 3, "average pooling has no panel of its own"


def test_stages_of_heads_wherever_their_count_begins(full: Results) -> None:
    pools = placed(full.pools, full.cells)
    assert set(pools[pools["table"] == 1]["stage"]) == {3}
    assert set(pools[pools["table"] == 2]["stage"]) == {1, 2, 3}
    shifted = full.pools.assign(head=full.pools["head"] + 1)
    assert placed(shifted, full.cells)["stage"].equals(pools["stage"])


def test_maps_are_differences_to_average_pooling_on_one_scale(make) -> None:
    cell = "table1/fashion-mnist/flexpool"

    weighted = np.full((2, 7, 7), 3 / 49)  # of two channels, the second of which is negative
    weighted[0, 0, 0], weighted[1] = 7 / 49, -1 / 49

    def edit(cell: str, seed: int) -> dict[str, Any]:
        return {"pools": [weighted]}

    results = read_results(make(cells=[cell], seeds=2, edit=edit), "paper")
    panel = weights.maps(results, 1, 3).axes[0]
    (image,) = panel.collections  # heatmap draws a mesh
    assert image.get_array().shape == (7, 7)
    assert image.get_array()[0, 0] == pytest.approx(2)
    assert image.get_array()[6, 6] == pytest.approx(0)
    assert image.norm is weights.SCALE
    assert image.cmap(image.norm(0.0))[3] < 0.01, "the page shows through"
    assert panel.get_xlabel() == "agreement 1.00\n50 % negative"


def test_agreement_is_the_intraclass_correlation() -> None:
    """Against the table of Shrout and Fleiss 1979: six targets, four judges, ICC(1,1) = 0.17."""
    rated = np.array(
        [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    )
    found = pd.DataFrame({"weight": rated.mean(axis=1), "between_seeds": rated.std(axis=1, ddof=1)})
    assert weights.agreement(found, 4) == pytest.approx(0.17, abs=0.005)


def test_what_files_of_before_do_not_say_is_left_out(make) -> None:
    root = make(cells=["table1/cifar10/flexpool"], seeds=2)
    folder = making.unsealed(root, "paper")
    for file, column in (("maps", "between_seeds"), ("pools", "negative")):
        path = folder / f"{file}.csv.gz"
        pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
    results = read_results(root, "paper")
    assert weights.maps(results, 1, 3).axes[0].get_xlabel() == ""


def test_sums_have_a_box_per_stage_and_method(full: Results) -> None:
    drawn = weights.sums(full)
    assert [len(panel.patches) for panel in drawn.axes] == [3, 9] * 4
    assert all(panel.get_yscale() == "log" for panel in drawn.axes)
    drawn.canvas.draw()
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert {"0.01", "1"} <= set(labels)


def test_a_sum_of_exactly_one_can_be_drawn(make) -> None:
    def edit(cell: str, seed: int) -> dict[str, Any]:
        return {"pools": [np.full((64, 8, 8), 1 / 64)]}

    results = read_results(make(cells=["table1/cifar10/flexpool"], seeds=1, edit=edit), "paper")
    drawn = weights.sums(results)
    assert picture(drawn).endswith(b"</svg>\n")
    labels = [label.get_text() for panel in drawn.axes for label in panel.get_yticklabels()]
    assert "1e\u221206" in labels
    assert max(map(len, labels)) <= 6, "a power of ten has rounding errors"


def test_sums_that_lie_close_together_can_be_read_off(make) -> None:
    """A decade has one power of ten, or none; two ticks tell the scale."""

    def edit(cell: str, seed: int) -> dict[str, Any]:
        channels = 1 + np.linspace(1, 8, 64)
        return {"pools": [np.tile(channels[:, None, None] / 64, (1, 8, 8))]}

    results = read_results(make(cells=["table1/cifar10/flexpool"], seeds=1, edit=edit), "paper")
    (panel,) = (one for one in weights.sums(results).axes if one.patches)
    low, high = panel.get_ylim()
    assert len([tick for tick in panel.get_yticks() if low <= tick <= high]) >= 2


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
    _, axes = panels(1, 1, 2)
    limit(axes[0, 0], values)
    bottom, top = axes[0, 0].get_ylim()
    assert low[0] <= bottom <= low[1]
    assert high[0] <= top <= high[1]
    assert top - bottom >= 0.999


def test_intervals_reach_as_far_again_as_what_was_seen() -> None:
    nan = float("nan")
    assert reach([1.0, 3.0, nan], [nan]) == (1.0, 3.0)
    assert reach([1.0, 3.0], [0.5, 4.0, nan]) == (0.5, 4.0)
    assert reach([1.0, 3.0], [-50.0, 60.0]) == (-1.0, 5.0)
    assert reach([1.0, 1.0], [-50.0, 60.0]) == (0.5, 1.5)


@pytest.mark.parametrize("name", ["figure2", "trend", "forest"])
def test_the_picture_says_what_is_not_comparable(full: Results, name: str) -> None:
    smoke = dataclasses.replace(full)
    vars(smoke)["caveat"] = "protocol smoke"
    for results, word in ((smoke, "published (not comparable)"), (full, "published")):
        (legend,) = FIGURES[name](results).legends
        texts = [text.get_text() for text in legend.get_texts()]
        assert next(text for text in texts if text.startswith("published")) == word


def test_pictures_do_not_depend_on_the_readers_settings(full: Results) -> None:
    drawn = [picture(accuracies.bars(full, 1))]
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        drawn.append(picture(accuracies.bars(full, 1)))
    assert drawn[0] == drawn[1]
    assert b"<dc:date>" not in drawn[0]
