"""Predicted times, by hand: from records, from a calibration, and for several workers."""

import re
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from replicate.dispatch import calibration
from replicate.dispatch.pool import Size
from replicate.plan import forecast
from replicate.plan.campaign import Campaign
from replicate.plan.forecast import Kind
from replicate.plan.runs import Run
from replicate.records import run_folder
from replicate.results import predictions
from replicate.workflows import preview
from replicate.workflows import run as local
from tests import making

CELL, AVERAGE, GREY = (
    "table1/cifar10/flexpool",
    "table1/cifar10/avgpool",
    "table1/fashion-mnist/avgpool",
)
CIFAR_WORK = 100 * (50_000 + 10_000 / 3) * 32 * 32
GREY_WORK = 100 * (60_000 + 10_000 / 3) * 28 * 28


def _runs(campaign: Campaign, cell: str) -> list[Run]:
    return [run for run in campaign.runs if run.cell == cell]


@pytest.fixture
def campaign(records: Any) -> Campaign:
    """Four seeds of FlexPool in 90, 100, 200 and 300 s; the first diverged."""
    campaign = records.begin([AVERAGE, CELL, GREY], seeds=5)
    for seed, seconds in enumerate((90.0, 100.0, 200.0, 300.0)):
        status = {"status": "diverged", "error": "x"} if seed == 0 else {}
        records.leave(campaign, CELL, seed, 91.0, provenance={"seconds": seconds}, **status)
    return campaign


def test_work_by_hand(campaign: Campaign) -> None:
    specs = {cell.name: cell.spec for cell in campaign.cells}
    assert forecast.work(specs[CELL]) == pytest.approx(CIFAR_WORK)
    assert forecast.work(specs[GREY]) == pytest.approx(GREY_WORK)


def test_recorded_speeds_are_those_of_finished_runs(campaign: Campaign) -> None:
    found = forecast.recorded(_runs(campaign, CELL)[:4], campaign.runs_folder)
    assert found == {
        Kind("resnet20", 32, 3, "flex", False, 1000, "float32"): pytest.approx(CIFAR_WORK / 200)
    }


def test_only_the_latest_few_are_read(campaign: Campaign, records: Any) -> None:
    records.leave(campaign, CELL, 4, 91.0, provenance={"seconds": 300.0})
    found = forecast.recorded(_runs(campaign, CELL), campaign.runs_folder)
    assert list(found.values()) == [pytest.approx(CIFAR_WORK / 300)]


def test_a_corrupt_record_has_no_speed(campaign: Campaign) -> None:
    for run in _runs(campaign, CELL):
        (campaign.runs_folder / run.folder_name).mkdir(exist_ok=True)
        (campaign.runs_folder / run.folder_name / run_folder.RECORD).write_text("x")
    assert forecast.recorded(_runs(campaign, CELL), campaign.runs_folder) == {}


def test_seconds_by_kind_else_by_the_median(campaign: Campaign) -> None:
    specs = {cell.name: cell.spec for cell in campaign.cells}
    own = forecast.kind(specs[CELL])
    speeds = {own: CIFAR_WORK / 100, own._replace(sac=True): CIFAR_WORK / 50}
    assert forecast.seconds(specs[CELL], speeds) == pytest.approx(100)
    assert forecast.seconds(specs[AVERAGE], speeds) == pytest.approx(100 / 1.5)
    assert forecast.seconds(specs[GREY], speeds) == pytest.approx(
        100 / 1.5 * GREY_WORK / CIFAR_WORK
    )


def test_an_assumed_speed_counts_training_images(campaign: Campaign) -> None:
    specs = [cell.spec for cell in campaign.cells]
    speeds = forecast.assumed(specs, 100.0)
    assert [forecast.seconds(spec, speeds) for spec in specs] == [
        pytest.approx(spec.images_to_train / 100) for spec in specs
    ]


def test_a_run_without_a_batch_can_be_forecast(campaign: Campaign) -> None:
    """It will fail, and say why."""
    spec = campaign.cells[0].spec
    changes = {"drop_last": True, "batch_size": 10**6}
    empty = spec.model_copy(update={"training": spec.training.model_copy(update=changes)})
    assert empty.images_to_train == 0
    assert forecast.seconds(empty, forecast.assumed([empty], 100.0)) <= 1


@pytest.mark.parametrize(
    ("each", "workers", "expected"),
    [([], 2, 0), ([3, 1, 1, 1], 1, 6), ([3, 1, 1, 1], 2, 3), ([1, 1, 1, 3], 2, 4), ([5, 1], 8, 5)],
)
def test_total(each: list[float], workers: int, expected: float) -> None:
    assert forecast.total(each, workers) == expected


def test_the_time_left_is_that_of_the_epochs_ahead(campaign: Campaign) -> None:
    (run, *_) = _runs(campaign, AVERAGE)
    speeds = {forecast.kind(run.spec): CIFAR_WORK / 400}
    assert forecast.left(run, speeds, campaign.runs_folder) == pytest.approx(400)
    for epoch, expected in ((1, 396), (50, 200), (100, 0), (10**8, 0), (-(10**8), 400)):
        making.reach(campaign, run, epoch)
        assert forecast.left(run, speeds, campaign.runs_folder) == pytest.approx(expected), epoch


def test_epochs_of_a_pretraining_are_behind_it_too(records: Any) -> None:
    changes = {"training.epochs": "30", "pretraining.epochs": "10"}
    campaign = records.begin(["extensions/super-class/single-avgpool"], settings=changes)
    run = campaign.runs[0]
    speeds = {forecast.kind(run.spec): forecast.work(run.spec) / 400}
    assert run.spec.first_epoch == -9
    for epoch, expected in ((-9, 390), (0, 300), (10, 200), (30, 0)):
        making.reach(campaign, run, epoch)
        assert forecast.left(run, speeds, campaign.runs_folder) == pytest.approx(expected), epoch


def test_the_latest_epoch_where_it_is_known(campaign: Campaign) -> None:
    (run, *_) = _runs(campaign, AVERAGE)
    assert forecast.latest_epoch(campaign.look().runs[0]) == 0
    for seconds, expected in (
        (12.5, 12.5),
        ("12", 0),
        (None, 0),
        (-9, 0),
        (float("nan"), 0),
        (1e300, 0),
    ):
        making.reach(campaign, run, 3, seconds=seconds)
        assert forecast.latest_epoch(campaign.look().runs[0]) == expected


@pytest.mark.parametrize(
    ("each", "workers", "span", "expected"),
    [
        ([], 2, 100, 0),
        ([10, 10, 10], 1, 10.4, 0),
        ([10, 10, 10], 1, 10.6, 1),
        ([10, 10, 10], 1, 31, 3),
        ([10, 10, 10], 2, 11, 2),
        ([10, 10, 10], 2, 21, 3),
        ([10, 90, 10, 90, 10], 1, 31, 3),
        ([90, 10, 90, 10, 10], 2, 21, 3),
        ([90, 5], 1, 6, 1),
        ([10, 10], 8, -1, 0),
    ],
)
def test_runs_that_fit_into_a_span(
    each: list[float], workers: int, span: float, expected: int
) -> None:
    """One that cannot end is left out, a shorter one after it is not."""
    assert forecast.fitting(each, workers, span) == expected


def _kept(campaign: Campaign) -> list[tuple[str, ...]]:
    text = (campaign.results / predictions.FILE).read_text()
    return [tuple(line.split(",")) for line in text.splitlines()]


def test_the_first_prediction_stands(campaign: Campaign) -> None:
    first, second, *_ = runs = _runs(campaign, AVERAGE)
    kind, work = forecast.kind(first.spec), forecast.work(first.spec)
    predictions.remember(campaign.results, [first], {})
    assert not (campaign.results / predictions.FILE).exists()
    predictions.remember(campaign.results, [first], {kind: work / 10})
    predictions.remember(campaign.results, runs[:2], {kind: work / 20})
    assert _kept(campaign) == [
        ("cell", "seed", "run_id", "predicted"),
        (AVERAGE, "0", first.id, "10.0"),
        (AVERAGE, "1", second.id, "20.0"),
    ]


@pytest.mark.parametrize("content", ["", "[1]", "a,b\n1,2\n", "\xff"])
def test_a_damaged_file_predicts_nothing(campaign: Campaign, content: str) -> None:
    (campaign.results / predictions.FILE).write_text(content, encoding="latin-1")
    (first, *_) = _runs(campaign, AVERAGE)
    predictions.remember(campaign.results, [first], {forecast.kind(first.spec): 1.0})
    assert [row[2] for row in _kept(campaign)] == ["run_id", first.id]


def test_lines_and_cost(campaign: Campaign) -> None:
    runs = _runs(campaign, AVERAGE)[:3]
    speeds = {forecast.kind(runs[0].spec): CIFAR_WORK / 4000}
    assert list(forecast.lines(runs[:1], speeds)) == [f"{AVERAGE} seed 0: 1 h 6 min"]
    assert list(forecast.lines(runs, speeds)) == [f"{AVERAGE} seeds 0-2: 3 h 20 min"]
    assert list(forecast.lines([runs[0], runs[2]], {})) == [f"{AVERAGE} seeds 0, 2"]
    assert forecast.cost(runs, speeds, 2) == "15,000,000 training images: 2 h 13 min with 2 workers"
    assert "--calibrate" in forecast.cost(runs, {}, 2)
    assert forecast.cost([], {}, 2) == "0 training images"


def test_plan_predicts_from_records(replicate: Any, campaign: Campaign) -> None:
    _, out, _ = replicate("plan", "--campaign", "made", CELL, "--workers", "1")
    assert f"{CELL} seed 4: 3 min 20 s" in out.splitlines()
    assert out.splitlines()[-1].endswith("with 1 worker")


def test_plan_predicts_from_another_campaign_and_names_it(
    replicate: Any, campaign: Campaign, records: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each processor that it ran on. One that is damaged, or has no finished run, is passed over."""
    on_another = {"seconds": 200.0, "device": "H200"}
    records.leave(campaign, CELL, 4, 91.0, provenance=on_another)
    read = mock.Mock(side_effect=preview.sound_record)
    monkeypatch.setattr(preview, "sound_record", read)
    for name in ("broken", "empty"):
        folder = project / "results" / name
        folder.mkdir()
        (folder / "campaign.json").write_text("{")
    _, out, _ = replicate("plan", CELL, "--protocol", "paper", "--seeds", "2", "--workers", "1")
    assert out.splitlines()[0] == f"{CELL} seeds 0-1: 6 min 40 s"
    assert read.call_count == forecast.SAMPLE, "of four that are done"
    assert out.splitlines()[-1].endswith(
        "with 1 worker, as in campaign made (H200 in float32 and cpu in float32); "
        "--calibrate measures this machine"
    )


def _options(seconds: float | None) -> local.Options:
    """With so many seconds left until a deadline."""
    until = None if seconds is None else time.time() + seconds
    return local.Options(0, False, Path(), Path(), None, None, until)


@pytest.mark.parametrize(
    ("cards", "seconds", "expected"),
    [((), None, True), (("0",), None, False), ((), 3600, True), ((), 60, False)],
)
def test_a_run_calibrates_where_there_is_no_gpu_and_time(
    records: Any,
    monkeypatch: pytest.MonkeyPatch,
    cards: tuple[str, ...],
    seconds: float | None,
    expected: bool,
) -> None:
    """On one, the first run that ends gives the speed."""
    campaign = records.begin([AVERAGE], seeds=4)
    first, *left = campaign.runs
    size, options = Size(1, 1, cards), _options(seconds)
    speeds = {forecast.kind(first.spec): 1e6}
    monkeypatch.setattr(calibration, "calibrate", lambda *_: speeds)
    assert local._forecast(campaign, left, size, options) == (speeds if expected else {})
    assert (campaign.results / predictions.FILE).exists() == expected
    records.leave(campaign, AVERAGE, 0, 91.0)
    local._forecast(campaign, left, size, options)
    assert len(_kept(campaign)) == 1 + len(left)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, r": 6 min 40 s with 2 workers\n$"),
        (900, r"; 4 of 4 runs fit until \d\d:\d\d:\d\d\n$"),
        (250, r"; 2 of 4 runs fit until \d\d:\d\d:\d\d\n$"),
        (150, r"; 1 of 4 runs fit until \d\d:\d\d:\d\d\n$"),
        (90, r"; 0 of 4 runs fit until \d\d:\d\d:\d\d: the shortest takes 1 min 40 s\n$"),
        (-5, r"; 0 of 4 runs fit until \d\d:\d\d:\d\d: the shortest takes 1 min 40 s\n$"),
    ],
)
def test_a_deadline_is_held_against_what_is_known(
    records: Any, seconds: float | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs of 200 s each, one of which is half behind."""
    campaign = records.begin([AVERAGE], seeds=5)
    records.leave(campaign, AVERAGE, 0, 91.0, provenance={"seconds": 200.0})
    making.reach(campaign, campaign.runs[2], 50)
    local._forecast(campaign, campaign.runs[1:], Size(2, 1, ()), _options(seconds))
    shown = capsys.readouterr().err
    assert re.search(said, shown), shown


@pytest.mark.slow
def test_plan_calibrates_and_writes_nothing(replicate: Any, project: Path) -> None:
    before = sorted(project.rglob("*"))
    arguments = ["--protocol", "smoke", "--set", "training.batch_size=20", "--workers", "1"]
    code, out, err = replicate("plan", CELL, *arguments, "--calibrate")
    assert code == 0, err
    assert out.splitlines()[0].startswith(f"{CELL} seed 0: ")
    assert sorted(project.rglob("*")) == before
