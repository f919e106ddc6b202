"""Every reading of an ambiguity as a spec, and what it changes, paired by seed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate.errors import UserError
from replicate.paper.ambiguities import Alternative, Ambiguity, read_ambiguities
from replicate.plan import readings
from replicate.plan.campaign import open_campaign, save_campaign
from replicate.report.document import as_text
from replicate.report.render import as_markdown
from replicate.report.sections.ambiguities import changes
from replicate.report.sections.overview import document
from replicate.results import aggregate, sensitivity
from replicate.results.read import read_results
from replicate.specs import catalogue, resolve
from tests.apply import apply

ROOT = Path(__file__).parents[1]
PAIRS = [
    pytest.param(entry, alternative, id=readings.cell_name(entry, alternative))
    for entry in read_ambiguities(ROOT)
    for alternative in entry.alternatives
]
Replicate = Callable[..., tuple[int, str, str]]


def test_every_alternative_has_one_spec_and_every_spec_an_alternative() -> None:
    named = [pair.id for pair in PAIRS]
    folder = f"{resolve.READINGS}/"
    found = [name for name in catalogue.cell_names(ROOT) if name.startswith(folder)]
    assert sorted(found) == sorted(named)
    assert len(set(named)) == len(named) == 27


@pytest.mark.parametrize("protocol", ["paper", "short", "smoke"])  # those with the default readings
@pytest.mark.parametrize(("entry", "alternative"), PAIRS)
def test_a_spec_differs_from_its_cell_in_that_one_point(
    entry: Ambiguity, alternative: Alternative, protocol: str
) -> None:
    names = [str(entry.cell), readings.cell_name(entry, alternative)]
    base, other = (cell.spec for cell in resolve.load(ROOT, names, protocol))
    assert other.published is None, "the printed number is the base cell's"
    unpublished = base.model_copy(update={"published": None})
    assert readings.differences(unpublished, other) == alternative.changes.keys()
    assert other == apply(unpublished, alternative)
    assert other.run_id(0) != base.run_id(0)


def test_a_spec_with_a_second_change_is_seen(project: Path) -> None:
    """The test above can fail."""
    path = project / "experiments/extensions/sensitivity/a03-10.yaml"
    path.write_text(path.read_text() + "training:\n  epochs: 99\n")
    names = ["table1/cifar10/flexpool-reg", "extensions/sensitivity/a03-10"]
    base, other = (cell.spec for cell in resolve.load(project, names, "paper"))
    unpublished = base.model_copy(update={"published": None})
    assert readings.differences(unpublished, other) == {"loss.penalty_weight", "training.epochs"}


def test_the_campaign_is_the_cell_and_its_alternatives(project: Path) -> None:
    found = readings.plan_readings(project, "a03", [], "short", range(3), None, {})
    assert found.request.name == "short-a03"
    assert found.request.seeds == 3
    assert {cell.name for cell in found.cells} == {
        "table1/cifar10/flexpool-reg",
        *(f"extensions/sensitivity/a03-{slug}" for slug in ("1e-3", "1e-2", "1e-1", "10")),
    }


@pytest.mark.parametrize("entry", [one for one in read_ambiguities(ROOT) if one.alternatives])
def test_a_reading_changes_that_one_point_of_every_cell_it_bears_on(entry: Ambiguity) -> None:
    bases = readings.choose(ROOT, entry, ["table*"])
    assert entry.cell in bases
    for alternative in entry.alternatives:
        others = [readings.cell_name(entry, alternative, base) for base in bases]
        pairs = zip(
            resolve.load(ROOT, bases, "paper"), resolve.load(ROOT, others, "paper"), strict=True
        )
        for base, other in pairs:
            assert other.spec.published is None
            unpublished = base.spec.model_copy(update={"published": None})
            assert readings.differences(unpublished, other.spec) == alternative.changes.keys()


def test_cells_of_ones_own_choice_grow_a_campaign(project: Path) -> None:
    """In the catalogue's order, and known again when the campaign is opened."""
    found = readings.plan_readings(
        project, "A02", ["*/cifar100/flexpool*"], "paper", range(3), "own", {}
    )
    save_campaign(found)
    again = readings.plan_readings(project, "A02", ["table1/cifar10"], "paper", range(3), "own", {})
    save_campaign(again)
    assert [cell.name for cell in open_campaign(project, "own").cells] == [
        "table1/cifar10/flexpool",
        "table1/cifar100/flexpool",
        "table1/cifar100/flexpool@a02-shared-map",
        "table1/cifar100/flexpool@a02-softmax",
        "table2/cifar100/flexpool",
        "table2/cifar100/flexpool@a02-shared-map",
        "table2/cifar100/flexpool@a02-softmax",
        "extensions/sensitivity/a02-shared-map",
        "extensions/sensitivity/a02-softmax",
    ]


def test_a_campaign_with_a_reading_that_is_gone(project: Path) -> None:
    save_campaign(
        readings.plan_readings(project, "A02", ["table1/cifar100"], "paper", range(1), "own", {})
    )
    (project / "experiments/extensions/sensitivity/a02-softmax.yaml").unlink()
    lost = open_campaign(project, "own").lost
    assert list(lost) == ["table1/cifar100/flexpool@a02-softmax"]
    assert "a02-softmax.yaml: cannot be read" in lost[next(iter(lost))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("A12", "A12 has no alternative to run: Every record holds the best epoch too."),
        ("A14", "A14 has no alternative to run: More seeds are no other setting"),
        ("A15", "A15 has no alternative to run: No cell of the tables uses it"),
        ("A29", "no ambiguity 'A29': choose from A01, A02"),
        ("A18 --precision float32", "--set training.precision: A18 is about this very value"),
        ("A11 --set training.weight_decay=0.0001", "A11 is about this very value"),
        ("A03 --protocol papr", "no protocol 'papr'"),
        ("A03 table1/cifar10/flexpoool", "no cell matches 'table1/cifar10/flexpoool'"),
        ("A03 table1/*/avgpool", "A03 bears on */flexpool-reg, */flexpool-reg-dropout, not on"),
        ("A01 --protocol released", "protocol released model.block: A01 is about this very value"),
        ("A03 --protocol released", "not released: protocol released has no such method"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    replicate: Replicate, project: Path, arguments: str, message: str
) -> None:
    code, _, err = replicate("sensitivity", *arguments.split())
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (project / "results").exists()


@pytest.fixture
def weighed(records: Any) -> Any:
    """Three seeds of A11's cell and its readings; 1e-4 is 1.0, 1.2 and 1.4 points higher."""
    campaign = readings.plan_readings(records.root, "A11", [], "paper", range(3), "made", {})
    campaign = records.begin([cell.name for cell in campaign.cells], seeds=3)
    base = "table1/cifar10/flexpool"
    for seed in range(3):
        level = 90.0 + seed
        records.leave(campaign, base, seed, level)
        records.leave(campaign, "extensions/sensitivity/a11-1e-4", seed, level + 1.0 + 0.2 * seed)
        records.leave(
            campaign, "extensions/sensitivity/a11-5e-4", seed, level + (0.1, -0.1, 0)[seed]
        )
    aggregate.aggregate(campaign)
    return campaign


def test_effects_by_hand(weighed: Any) -> None:
    """Differences 1.0, 1.2, 1.4: mean 1.2, sd 0.2, t(2) = 4.3027: ± 0.497. The levels of the seeds,
    far wider apart, leave no trace."""
    one, five = sensitivity.effects(read_results(weighed.root, "made"))
    assert (one.entry.id, one.alternative.slug, one.base) == (
        "A11",
        "1e-4",
        "table1/cifar10/flexpool",
    )
    assert (one.base_mean, one.mean) == pytest.approx((91.0, 92.2))
    assert one.n == 3
    assert one.gain.mean == pytest.approx(1.2)
    assert one.gain.interval() == pytest.approx((1.2 - 0.4968, 1.2 + 0.4968), abs=1e-4)
    assert one.p == pytest.approx(2 * one.gain.p)
    assert one.verdict == "gain"
    assert five.gain.mean == pytest.approx(0, abs=1e-9)
    assert five.verdict == "not settled"


def test_effects_on_two_cells(records: Any) -> None:
    """Each beside its own base; Holm's family is the whole entry."""
    base, other = "table1/cifar10/flexpool", "table1/cifar100/flexpool"
    readings = {base: "extensions/sensitivity/a02-softmax", other: f"{other}@a02-softmax"}
    campaign = records.begin([*readings, *readings.values()], seeds=3)
    for seed in range(3):
        for shift, (cell, reading) in enumerate(readings.items(), start=1):
            records.leave(campaign, cell, seed, 60.0 + seed)
            records.leave(campaign, reading, seed, 60.0 + seed - shift + 0.01 * seed)
    aggregate.aggregate(campaign)
    results = read_results(campaign.root, "made")
    first, second = sensitivity.effects(results)
    assert [(one.base, one.cell) for one in (first, second)] == list(readings.items())
    assert first.gain.mean == pytest.approx(-0.99)
    assert second.gain.mean == pytest.approx(-1.99)
    assert second.p == pytest.approx(2 * second.gain.p)
    assert results.runs.set_index("cell")["table"].isna()[f"{other}@a02-softmax"].all()
    assert [row[0].lines for row in changes([first, second]).rows] == [
        ("A02", base),
        ("A02", other),
    ]


def test_the_table_says_what_the_choice_changes(weighed: Any) -> None:
    found = changes(sensitivity.effects(read_results(weighed.root, "made")))
    assert [line for entry in found.rows[0] for line in entry.lines] == [
        *("A11", "table1/cifar10/flexpool", "Weight decay 0.0001"),
        *("92.20 instead of 91.00", "+1.20", "+0.70 to +1.70 (3 pairs)", "gain"),
    ]
    assert as_text(found).startswith("What another reading changes, in points, paired by seed\n")


def test_the_report_of_such_a_campaign_can_be_written(weighed: Any) -> None:
    report = as_markdown(document(read_results(weighed.root, "made"))).decode()
    assert "extensions/sensitivity/a11-1e-4" in report.replace("\\", "")


def test_missing_seeds_and_lone_cells(records: Any) -> None:
    base, other = "table1/cifar10/flexpool", "extensions/sensitivity/a11-1e-4"
    campaign = records.begin([base, other], seeds=2)
    records.leave(campaign, base, 0, 90.0)
    records.leave(campaign, base, 1, 91.0)
    records.leave(campaign, other, 0, 90.5)
    records.leave(campaign, other, 1, None)
    aggregate.aggregate(campaign)
    found = sensitivity.effects(read_results(campaign.root, "made"))
    (effect,) = found
    assert effect.verdict == "incomplete (1/2 seeds)"
    assert [entry.lines for entry in changes(found).rows[0]][4] == ("needs 2 pairs",)


def test_two_seeds_settle_nothing(records: Any) -> None:
    base, other = "table1/cifar10/flexpool", "extensions/sensitivity/a11-1e-4"
    campaign = records.begin([base, other], protocol="smoke")
    for seed in range(2):
        records.leave(campaign, base, seed, 10.0 + seed)
        records.leave(campaign, other, seed, 20.0 + seed)
    aggregate.aggregate(campaign)
    (effect,) = sensitivity.effects(read_results(campaign.root, "made"))
    assert effect.verdict == "not settled"


def test_a_campaign_of_the_tables_has_no_effects(records: Any) -> None:
    campaign = records.begin(["table1/cifar10/flexpool"])
    aggregate.aggregate(campaign)
    assert sensitivity.effects(read_results(campaign.root, "made")) == []


def test_entries_are_found_in_either_case(project: Path) -> None:
    entries = read_ambiguities(project)
    assert readings.find(entries, "a03") is readings.find(entries, "A03")
    with pytest.raises(UserError):
        readings.find(entries, "3")


@pytest.mark.slow
def test_it_trains_and_shows_the_change(
    replicate: Replicate, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way on generated images, but for the report's pictures."""
    reported = []

    def render(root: Path, name: str) -> None:
        reported.append(name)

    monkeypatch.setattr("replicate.report.render.render", render)
    monkeypatch.setenv("COLUMNS", "200")
    small = ["training.epochs=1", "generated.train_images=100", "generated.test_images=50"]
    settings = [part for pair in small for part in ("--set", pair)]
    asked = ["sensitivity", "A02", "--protocol", "smoke", "--campaign", "smoke-a02"]
    code, out, err = replicate(*asked, "--seeds", "1", "--workers", "1", *settings)
    assert code == 0, err
    assert reported == ["smoke-a02"]
    assert (project / "results/smoke-a02/cells.csv").is_file()
    (row,) = (line for line in out.splitlines() if "Softmax over the positions" in line)
    assert "needs 2 pairs" in row
    assert "incomplete" in row or "not settled" in row
