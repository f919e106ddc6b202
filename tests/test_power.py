"""`replicate power` against tabulated quantiles, simulation and the words that it promises."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from replicate.paper.claims import read_claims
from replicate.paper.noise import sd_ref
from replicate.paper.tables import read_tables
from replicate.results import aggregate, power
from replicate.results.power import Need, Plan, Planned

ROOT = Path(__file__).parents[1]
TABLES = read_tables(ROOT)
CELL, AVERAGE = "table1/cifar10/flexpool", "table1/cifar10/avgpool"
Replicate = Callable[..., tuple[int, str, str]]


def plan(factor: float = 1.0, n: int = 0, seconds: float = 3600.0) -> Plan:
    """All cells, as far apart as so many noise floors."""
    cells = {}
    for one in TABLES.cells():
        floor = sd_ref(one.accuracy, 10_000)
        cells[one.place] = Planned(one, floor, factor * floor, n, seconds)
    return Plan(TABLES, cells)


def by_name(needs: list[Need]) -> dict[str, Need]:
    return {one.what: one for one in needs}


def test_a_cell_by_hand() -> None:
    """Half widths t · 2 · √(1 + 1/n) of at most 5 floors, less the rounding; t at 4 (n − 1) degrees."""
    halves = {n: t * 2 * (1 + 1 / n) ** 0.5 for n, t in {3: 2.3060, 4: 2.1788, 5: 2.1199}.items()}
    assert [n for n, half in halves.items() if half <= 4.97] == [4, 5]
    assert by_name(plan(2.0).cell_needs())[AVERAGE].seeds == 4
    assert by_name(plan(1.0).cell_needs())[AVERAGE].seeds == 3


def test_a_cell_that_is_too_wild_is_never_settled() -> None:
    """1.96 · sd alone is more than 5 floors."""
    assert {one.seeds for one in plan(2.6).cell_needs()} == {None}
    assert np.isnan(plan(2.6).cell_needs()[0].hours)


def test_hours_are_those_of_the_missing_runs() -> None:
    needed = by_name(plan(2.0, n=1).cell_needs())[AVERAGE]
    assert needed.hours == pytest.approx((needed.seeds or 0) - 1)
    assert by_name(plan(1.0, n=99).cell_needs())[AVERAGE].hours == 0
    gain = by_name(plan(1.0).gain_needs())["Table 1 Fashion-MNIST FlexPool + Reg over AvgPool"]
    assert (gain.seeds, gain.hours, gain.word) == (3, pytest.approx(6.0), "gain")


def test_the_power_of_a_gain_is_what_is_promised() -> None:
    """Table 1, ImageNet, FlexPool + Reg: +1.61 at sds of 0.52 and 0.51, simulated with Holm's first step."""
    name = "Table 1 ImageNet FlexPool + Reg over AvgPool"
    needed = by_name(plan(1.5).gain_needs())[name]
    assert needed.seeds is not None
    assert 3 < needed.seeds < 12
    rng = np.random.default_rng(0)
    sd = 1.5 * np.hypot(sd_ref(46.50, 10_000), sd_ref(48.11, 10_000))
    values = rng.normal(1.61, sd, (4000, needed.seeds))
    # the prior is as if it were known exactly, with the degrees of freedom that it counts for
    df0 = 1.25 * (needed.seeds - 1)
    s2 = (df0 * sd**2 + (needed.seeds - 1) * values.var(axis=1, ddof=1)) / (df0 + needed.seeds - 1)
    t = values.mean(axis=1) / np.sqrt(s2 / needed.seeds)
    from scipy import special

    seen = (t > special.stdtrit(df0 + needed.seeds - 1, 1 - 0.05 / 24)).mean()
    assert 0.75 <= seen <= 0.93


def test_a_loss_so_small_is_never_settled() -> None:
    name = "Table 2 Fashion-MNIST FlexPool + Reg over AvgPool"
    assert by_name(plan(3.0).gain_needs())[name].seeds is None
    assert by_name(plan(0.5).gain_needs())[name].word == "loss"


def test_the_overall_answer_needs_fewer_seeds_than_any_gain_of_its_size() -> None:
    assert [one.seeds for one in plan(1.0).overall_needs()] == [3, 3, 3]
    wild = plan(6.0)
    seeds = [one.seeds for one in wild.overall_needs()]
    assert None not in seeds
    assert max(filter(None, seeds)) < max(one.seeds or 1001 for one in wild.gain_needs())


def test_claims_are_settled_as_the_audit_finds_them() -> None:
    found = by_name(plan(0.05).claim_needs(read_claims(ROOT)))
    assert len(found) == 21
    for name in ("C02", "C04", "C10"):
        assert found[name].word == "supported"
    for name in ("C01", "C03", "C07", "C20"):
        assert found[name].word == "contradicted"
    wild = by_name(plan(5.0).claim_needs(read_claims(ROOT)))
    assert wild["C03"].seeds is None


def test_spreads_are_pooled_by_table() -> None:
    """Cells of 2 and 4 floors, with one and three degrees of freedom: √((4 + 3 · 16) / 4) = 3.606."""
    floor = sd_ref(90.0, 10_000)
    cells = pd.DataFrame(
        {
            **{"cell": ["a", "b", "c"], "table": [1.0, 1.0, np.nan], "n": [2, 4, 9]},
            **{"mean": [90.0] * 3, "sd": [2 * floor, 4 * floor, 1.0]},
        }
    )
    images = dict.fromkeys("abc", 10_000)
    assert power.factors(cells, images) == {1: pytest.approx(13**0.5)}


def test_it_works_before_any_run(replicate: Replicate, project: Path) -> None:
    code, out, err = replicate("power", "--protocol", "paper")
    assert (code, err) == (0, "")
    assert "not measured yet, taken as 1" in out
    heads = ["Overall", "Gains", "Claims", "Cells"]
    assert [line for line in out.splitlines() if line in heads] == heads
    assert sum(line.startswith("table") for line in out.splitlines()) == 32
    assert "Never: not with 1000 seeds" in out
    assert not (project / "results").exists()


def test_a_protocol_that_is_not_there(replicate: Replicate) -> None:
    code, _, err = replicate("power", "--protocol", "papre")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "paper" in err


def test_hours_are_those_of_a_precision(records: Any, replicate: Replicate) -> None:
    """A worker of a processor is two to three times as fast in bfloat16."""
    for name, seconds in (("bfloat16", 100.0), ("float32", 360.0)):
        settings = {"training.precision": name}
        campaign = records.begin([AVERAGE, CELL], seeds=3, name=name, settings=settings)
        for cell in (AVERAGE, CELL):
            for seed in range(3):
                made = {"seconds": seconds}
                records.leave(campaign, cell, seed, 91.5 + seed / 10, provenance=made)
        aggregate.aggregate(campaign)
    found = {}
    for more in ([], ["--precision", "bfloat16"]):
        code, out, _ = replicate("power", "--protocol", "paper", *more, "--json")
        assert code == 0
        (found[len(more)],) = (one for one in json.loads(out) if one["what"] == AVERAGE)
    slow, fast = found[0], found[2]
    assert slow["seeds"] == fast["seeds"] == 3
    assert slow["hours"] == pytest.approx(0.3)
    assert fast["hours"] == pytest.approx(0.3 / 3.6)
    out = replicate("power", "--protocol", "paper", "--precision", "bfloat16")[1]
    assert out.startswith("Protocol paper with training.precision=bfloat16, before any run.")


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["made", "--protocol", "paper"], "made and --protocol paper: a campaign has its protocol"),
        (
            ["made", "--precision", "bfloat16"],
            "training.precision=bfloat16: a campaign has its own; leave it out",
        ),
        (["--precision", "bfloat16"], "give --protocol as well"),
        (["--protocol", "paper", "--precision", "half"], "--precision 'half': choose from auto"),
    ],
)
def test_a_campaign_keeps_what_it_has(
    records: Any, replicate: Replicate, arguments: list[str], refusal: str
) -> None:
    trained(records)
    code, out, err = replicate("power", *arguments)
    assert (code, out) == (2, "")
    assert refusal in err
    assert len(err.splitlines()) == 1


def trained(records: Any) -> Any:
    """A campaign of two cells, one of them wild, at two hours a run."""
    campaign = records.begin([AVERAGE, CELL], seeds=3)
    for seed, offset in enumerate((-0.3, 0.0, 0.3)):
        records.leave(campaign, AVERAGE, seed, 91.5 + offset, provenance={"seconds": 7200.0})
        records.leave(campaign, CELL, seed, 91.9 + 4 * offset, provenance={"seconds": 7200.0})
    aggregate.aggregate(campaign)
    return campaign


def test_the_table_of_a_campaign(records: Any, replicate: Replicate) -> None:
    campaign = trained(records)
    before = {path: path.stat().st_mtime_ns for path in campaign.root.rglob("*")}
    code, out, _ = replicate("power", "made")
    assert code == 0
    assert {path: path.stat().st_mtime_ns for path in campaign.root.rglob("*")} == before
    assert "Campaign made. Spread over the noise floor: 4.3 in Table 1." in out
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line[:6] == "table1"}
    assert lines[AVERAGE] == ["5", "4.0"], "two cells have no prior: t(4) = 2.776, two hours a run"
    assert lines[CELL] == ["never"]
    assert "80%" in out
    assert replicate("power")[1] == out


def test_generated_images_tell_nothing_of_a_protocol(records: Any, replicate: Replicate) -> None:
    campaign = records.begin([AVERAGE], seeds=3, protocol="smoke")
    for seed in range(3):
        records.leave(campaign, AVERAGE, seed, 10.0 + seed)
    aggregate.aggregate(campaign)
    assert "not measured yet, taken as 1" in replicate("power", "--protocol", "paper")[1]


def test_hours_have_a_price(records: Any, replicate: Replicate) -> None:
    trained(records)
    out = replicate("power", "made", "--price", "0.07")[1]
    assert "seeds  hours to go  cost" in out
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line[:6] == "table1"}
    assert lines == {AVERAGE: ["5", "4.0", "0.28"], CELL: ["never"]}
    priced, plain = (
        {
            one["what"]: one["cost"]
            for one in json.loads(replicate("power", "made", "--json", *more)[1])
        }
        for more in (["--price", "0.07"], [])
    )
    assert priced[AVERAGE] == pytest.approx(0.28)
    assert priced[CELL] is None
    assert set(plain.values()) == {None}


@pytest.mark.parametrize("price", ["nan", "inf", "-1", "dear"])
def test_a_price_that_is_none(replicate: Replicate, price: str) -> None:
    code, _, said = replicate("power", "--protocol", "paper", "--price", price)
    assert code == 2
    assert len(said.splitlines()) == 1
    assert price in said


def test_without_results(records: Any, replicate: Replicate) -> None:
    code, out, _ = replicate("power")
    assert code == 0
    assert "No campaign with results yet" in out
    records.begin([CELL])
    code, _, err = replicate("power", "made")
    assert code == 2
    assert "cells.csv: not there" in err
    code, _, err = replicate("power", "absent")
    assert code == 2
    assert "no campaign 'absent'" in err
