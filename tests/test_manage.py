"""Commands that manage campaigns: they name what they do, and lose nothing that nobody asked to lose."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate.plan.campaign import Campaign, open_campaign, write_request
from replicate.plan.forecast import assumed
from replicate.records.record import read_record
from replicate.records.run_folder import CHECKPOINT, claimed, read_attempts, write_attempts
from replicate.results.aggregate import aggregate
from replicate.results.predictions import remember
from replicate.results.read import read_results
from replicate.workflows.compare import differences
from tests import making
from tests.making import Records

Replicate = Callable[..., tuple[int, str, str]]
AVERAGE, FLEX, REG = (f"table1/cifar10/{name}" for name in ("avgpool", "flexpool", "flexpool-reg"))


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports that cost nothing."""

    def render(root: Path, name: str) -> Path:
        path = root / "reports" / name / "report.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(", ".join(read_results(root, name).cells.index))
        return path

    monkeypatch.setattr("replicate.report.render.render", render)


def fill(
    records: Records, name: str, cells: dict[str, list[float]], settings: Any = None, **made: Any
) -> Campaign:
    return records.fill(cells, "short", made, name=name, settings=settings)


@pytest.fixture
def elsewhere(records: Records, tmp_path: Path) -> Records:
    """Another machine's project."""
    return Records(making.project(tmp_path / "other"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.name != "lock"
    }


def test_campaigns_are_listed_with_state_size_and_change(
    records: Records, replicate: Replicate
) -> None:
    begin = "begin one with `replicate run --protocol smoke`"
    assert replicate("campaigns")[1] == f"No campaign yet: {begin}.\n"
    assert replicate("campaigns", "--json")[1] == "[]\n"
    fill(records, "one", {FLEX: [90.0, 91.0]})
    records.begin([FLEX, REG], "paper", name="two")
    code, out, err = replicate("campaigns")
    assert (code, err) == (0, "")
    one, two = out.splitlines()[2:]
    assert one.split()[:6] == ["one", "short", "1", "2", "of", "2"]
    assert " kB " in one
    assert "0 of 4 done" in two
    listed = json.loads(replicate("campaigns", "--json")[1])
    assert [found["campaign"] for found in listed] == ["one", "two"]
    assert listed[0]["bytes"] > 1000


def test_records_of_elsewhere_are_taken_and_nothing_is_overwritten(
    records: Records, elsewhere: Records, replicate: Replicate
) -> None:
    ours = fill(records, "made", {AVERAGE: [90.0], FLEX: [91.0]})
    theirs = fill(elsewhere, "made", {AVERAGE: [90.0], FLEX: [95.0, 96.0], REG: [92.0]})
    before = contents(ours.runs_folder)
    source = contents(theirs.results)
    code, out, err = replicate("merge", str(theirs.results))
    assert (code, out) == (1, "2 records taken, 1 known already, 1 conflict\n")
    (line,) = err.splitlines()
    assert "flexpool-s0-" in line
    assert "done 95.00 % (cpu, float32, 2026-01-01T00:00:00+00:00), but here done 91.00 %" in line
    assert contents(theirs.results) == source
    after = contents(ours.runs_folder)
    assert {name: after[name] for name in before} == before
    merged = open_campaign(records.root, "made")
    assert merged.look().summary() == "4 of 6 done"
    assert read_results(records.root, "made").cells.loc[FLEX, "mean"] == 93.5
    assert REG in (records.root / "reports/made/report.md").read_text()
    code, out, _ = replicate("merge", str(theirs.results))
    assert (code, out) == (1, "0 records taken, 3 known already, 1 conflict\n")


def test_a_run_that_has_begun_elsewhere_goes_on_here(
    records: Records, elsewhere: Records, replicate: Replicate
) -> None:
    ours = fill(records, "made", {AVERAGE: [90.0]})
    theirs = elsewhere.begin([AVERAGE, FLEX], "short", 2, "made")
    ended, _, begun, held = (making.reach(theirs, run, 3) for run in theirs.runs)
    for folder in (ended, begun, held):
        (folder / CHECKPOINT).write_bytes(b"the third epoch")
    source, before = contents(theirs.results), contents(ours.runs_folder)
    with claimed(held):
        code, out, err = replicate("merge", str(theirs.results))
    assert (code, out) == (1, "0 records and 1 checkpoint taken, 0 known already, 1 conflict\n")
    assert err == f"not taken: {held}: is being trained\n"
    assert contents(theirs.results) == source
    after = contents(ours.runs_folder)
    taken = {f"{begun.name}/{name}" for name in ("attempts.jsonl", "progress.json", CHECKPOINT)}
    assert {name: after[name] for name in before} == before, "what has ended here stays"
    assert after.keys() - before.keys() == taken
    assert all(after[name] == source[f"runs/{name}"] for name in taken)
    assert open_campaign(records.root, "made").look().summary() == "1 of 4 done, 1 interrupted"


def test_a_run_that_has_begun_here_too_is_kept(
    records: Records, elsewhere: Records, replicate: Replicate
) -> None:
    both = [one.begin([AVERAGE], "short", 2, "made") for one in (records, elsewhere)]
    folders = [[making.reach(one, run, 3) for run in one.runs] for one in both]
    for folder in (folders[0][0], *folders[1]):
        (folder / CHECKPOINT).write_bytes(b"the third epoch")
    (folders[0][1] / CHECKPOINT).write_bytes(b"the fourth")
    foreign = folders[1][0].with_name("table1-cifar10-avgpool-s0-0123456789ab")
    shutil.copytree(folders[1][0], foreign)
    code, out, err = replicate("merge", str(both[1].results))
    assert (code, out) == (1, "0 records taken, 1 known already, 2 conflicts\n")
    assert f"not taken: {folders[1][1]}: has begun here, too: kept as here\n" in err
    assert f"not taken: {foreign}: another spec than here, or not its campaign's\n" in err
    assert (folders[0][1] / CHECKPOINT).read_bytes() == b"the fourth"
    with claimed(folders[0][1]):
        _, _, err = replicate("merge", str(both[1].results))
    assert f"{folders[0][1].relative_to(records.root)} is being trained\n" in err


def test_what_had_begun_here_is_counted_or_gone(
    records: Records, elsewhere: Records, replicate: Replicate
) -> None:
    ours = records.begin([AVERAGE, FLEX], "short", 1, "made")
    first, second = (making.reach(ours, run, 3) for run in ours.runs)
    (second / CHECKPOINT).write_bytes(b"the third epoch")
    late = {**read_attempts(first)[0], "started": "2026-01-02T00:00:00+00:00"}
    write_attempts(first, [late])
    theirs = fill(elsewhere, "made", {FLEX: [91.0]})
    begun = making.reach(elsewhere.begin([AVERAGE], "short", 1, "made"), ours.runs[0], 5)
    (begun / CHECKPOINT).write_bytes(b"the fifth epoch")
    code, out, _ = replicate("merge", str(theirs.results))
    assert (code, out) == (0, "1 record and 1 checkpoint taken, 0 known already, 0 conflicts\n")
    assert read_attempts(first) == [*read_attempts(begun), late], "in the order of time"
    assert not (second / CHECKPOINT).exists(), "nobody goes on from it"
    assert open_campaign(records.root, "made").look().summary() == "1 of 2 done, 1 interrupted"


def test_what_was_predicted_elsewhere_comes_along(
    records: Records, elsewhere: Records, replicate: Replicate
) -> None:
    """What was said first stands, here too; what cannot be a time stays there."""
    ours = fill(records, "made", {AVERAGE: [90.0]})
    theirs = fill(elsewhere, "made", {AVERAGE: [90.0, 91.0], FLEX: [92.0, 93.0]})
    first, second, third, fourth = theirs.runs
    making.predict(ours, {first: 10.0})
    making.predict(theirs, {first: 20.0, second: 30.0, third: float("inf")})
    with (theirs.results / "forecast.csv").open("a") as file:
        file.write(f"{fourth.cell},0,{fourth.id},soon\nelsewhere,0,0123456789ab,7\ntorn")
    assert replicate("merge", str(theirs.results))[0] == 0
    found = read_results(records.root, "made").forecast
    assert dict(zip(found["run_id"], found["predicted"], strict=True)) == {
        first.id: 10.0,
        second.id: 30.0,
    }


def test_a_folder_at_home_is_found_where_no_shell_has_looked_for_it(
    records: Records, elsewhere: Records, replicate: Replicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(elsewhere, "made", {AVERAGE: [90.0]})
    monkeypatch.setenv("HOME", str(elsewhere.root))
    code, out, _ = replicate("merge", "~/results/made")
    assert (code, out) == (0, "1 record taken, 0 known already, 0 conflicts\n")
    assert open_campaign(records.root, "made").look().summary() == "1 of 1 done"


def test_what_is_not_the_campaigns_is_named(
    records: Records, elsewhere: Records, replicate: Replicate
) -> None:
    theirs = fill(elsewhere, "made", {AVERAGE: [90.0, 90.5, 91.0]})
    damaged, moved, other = sorted(theirs.runs_folder.iterdir())
    (damaged / "record.json").write_text((damaged / "record.json").read_text().replace("90", "99"))
    moved.rename(moved.with_name("table1-cifar10-avgpool-s7-0123456789ab"))
    code, out, err = replicate("merge", str(theirs.results), "--campaign", "own")
    assert (code, out) == (1, "1 record taken, 0 known already, 2 conflicts\n")
    assert "its checksum is wrong" in err
    assert "another spec than here, or not its campaign's" in err
    assert read_record(records.root / "results/own/runs" / other.name)


def test_a_changed_spec_is_a_conflict(
    records: Records, elsewhere: Records, replicate: Replicate
) -> None:
    theirs = fill(elsewhere, "made", {FLEX: [90.0]})
    path = records.root / f"experiments/{FLEX}.yaml"
    path.write_text(path.read_text() + "training:\n  weight_decay: 0.1\n")
    code, out, err = replicate("merge", str(theirs.results))
    assert (code, out) == (1, "0 records taken, 0 known already, 1 conflict\n")
    assert "another spec than here" in err


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nowhere", "nowhere/campaign.json: not there: name a folder such as"),
        ("results/made", "results/made: is campaign made itself"),
        ("{other}", "campaign 'made' was begun with protocol short, not paper: choose another"),
    ],
)
def test_folders_that_cannot_be_merged(
    records: Records, elsewhere: Records, replicate: Replicate, folder: str, message: str
) -> None:
    fill(records, "made", {FLEX: [91.0]})
    other = elsewhere.begin([FLEX], "paper").results
    before = contents(records.root)
    code, _, err = replicate("merge", folder.format(other=other))
    assert code == 2
    assert message in err
    assert contents(records.root) == before


def test_two_campaigns_are_held_against_each_other(records: Records, replicate: Replicate) -> None:
    fill(records, "cpu", {AVERAGE: [90.0, 91.0, 92.0], FLEX: [91.0, 92.0, 93.0]})
    settings = {"training.precision": "bfloat16"}
    made = {"device": "NVIDIA H100", "precision": "bfloat16"}
    fill(
        records, "gpu", {AVERAGE: [90.5, 91.5, 92.5], FLEX: [91.0, 92.0]}, settings=settings, **made
    )
    a, b = (read_results(records.root, name) for name in ("cpu", "gpu"))
    found = {(one.kind, one.cell): one for one in differences(a, b)}
    average, flex = found["cell", AVERAGE], found["cell", FLEX]
    assert (average.difference, average.low, average.high, average.pairs) == (0.5, 0.5, 0.5, 3)
    assert (flex.here, flex.there, flex.difference, flex.pairs) == (91.5, 91.5, 0.0, 2)
    assert found["gain", FLEX].difference == -0.5
    both = found["all", "mean of 2 cells"]
    assert (both.difference, both.pairs) == (0.25, 2)
    code, out, err = replicate("compare", "cpu", "gpu")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "NVIDIA H100" in out
    rows = json.loads(replicate("compare", "cpu", "gpu", "--json")[1])
    assert {row["what"] for row in rows if row["kind"] == "origin"} == {
        "settings", "device", "precision",
    }  # fmt: skip
    code, _, err = replicate("compare", "cpu", "absent")
    assert code == 2
    assert "no campaign 'absent'" in err


def test_only_what_is_compared_is_said_to_be_made_otherwise(
    records: Records, replicate: Replicate
) -> None:
    """A campaign may hold other cells, of other images and from other machines."""
    fill(records, "small", {AVERAGE: [90.0, 91.0], FLEX: [89.0, 89.5]}, device="Abacus")
    large = records.begin([AVERAGE, FLEX, REG], "short", name="large")
    for cell, device in ((AVERAGE, "Abacus"), (FLEX, "Abacus"), (REG, "Pascaline")):
        for seed in (0, 1):
            records.leave(large, cell, seed, 90.0 + seed, provenance={"device": device})
    aggregate(large)
    out = replicate("compare", "small", "large")[1]
    assert "Pascaline" not in out
    gain = next(line for line in out.splitlines() if line.startswith(FLEX) and "−1.25" in line)
    assert gain.split()[1:4] == ["−1.25", "+0.00", "+1.25"]


def test_alike_campaigns_and_single_seeds(records: Records, replicate: Replicate) -> None:
    fill(records, "one", {FLEX: [90.0]})
    fill(records, "two", {FLEX: [91.0]})
    out = replicate("compare", "one", "two")[1]
    assert "needs 2 pairs" in out
    assert "Both were made alike." in out
    (row,) = json.loads(replicate("compare", "one", "two", "--json")[1])
    assert (row["difference"], row["low"]) == (1.0, None)


def test_a_dropped_cell_keeps_its_records(records: Records, replicate: Replicate) -> None:
    campaign = fill(records, "made", {AVERAGE: [90.0], FLEX: [91.0]})
    speeds = assumed(campaign.specs.values(), 1000)
    remember(campaign.results, campaign.runs, speeds)
    before = contents(campaign.runs_folder)
    code, out, _ = replicate("drop", FLEX, "made")
    assert code == 0
    assert out.startswith(f"dropped from made: {FLEX}; their records stay in results/made/runs")
    assert contents(campaign.runs_folder) == before
    assert open_campaign(records.root, "made").request.cells == [AVERAGE]
    found = read_results(records.root, "made")
    assert list(found.cells.index) == [AVERAGE]
    assert list(found.forecast["cell"]) == [AVERAGE]
    assert (campaign.results / "forecast.csv").read_text().count("\n") == 3, "kept for its return"
    code, out, _ = replicate("plan", FLEX, "--campaign", "made")
    assert "1 of 1 done; 0 to do" in out
    code, _, err = replicate("drop", "table1", "made")
    assert code == 2
    assert "no cell would be left: `replicate remove made`" in err
    code, _, err = replicate("drop", REG, "made")
    assert code == 2
    assert "no cell matches" in err


def test_seeds_that_have_not_ended_can_be_dropped(records: Records, replicate: Replicate) -> None:
    campaign = fill(records, "made", {AVERAGE: [90.0, 91.0], FLEX: [91.0, 92.0]})
    write_request(campaign.results, campaign.request.asking({AVERAGE: range(2), FLEX: range(4)}))
    begun = next(run for run in open_campaign(records.root, "made").runs if run.seed == 2)
    making.reach(campaign, begun, 3)
    code, _, err = replicate("drop", "*", "made", "--seeds", "1-3")
    assert code == 2
    assert "seed 1: has ended, and its result counts, whatever it is" in err
    code, _, err = replicate("drop", AVERAGE, "made", "--seeds", "2-3")
    assert code == 2
    assert "--seeds 2-3: campaign made has no such seed of these cells" in err
    code, out, _ = replicate("drop", "*", "made", "--seeds", "2-3")
    assert code == 0
    assert f"dropped from made: {AVERAGE}, {FLEX}, seeds 2-3; their records stay" in out
    request = open_campaign(records.root, "made").request
    assert (request.cells, request.seeds, request.own_seeds) == ([AVERAGE, FLEX], 2, {})
    assert list(read_results(records.root, "made").cells["n"]) == [2, 2]
    assert not (campaign.results / "absent.csv").exists()


def test_a_cell_whose_spec_is_gone_can_be_dropped(records: Records, replicate: Replicate) -> None:
    fill(records, "made", {AVERAGE: [90.0], "table1/cifar10/flexpool-reg-dropout": [91.0]})
    (records.root / "experiments/table1/cifar10/flexpool-reg-dropout.yaml").unlink()
    assert replicate("drop", "*dropout", "made")[0] == 0
    assert replicate("plan", "--campaign", "made")[0] == 0


@pytest.mark.parametrize("text", [None, "{"])
def test_what_a_campaign_was_asked_for_is_not_guessed(
    records: Records, replicate: Replicate, text: str | None
) -> None:
    """Its records do not tell all that its request said."""
    campaign = fill(records, "made", {AVERAGE: [90.0], FLEX: [91.0]})
    path = campaign.results / "campaign.json"
    path.unlink()
    if text:
        path.write_text(text)
    code, _, err = replicate("drop", FLEX, "made")
    assert code == 2
    assert "campaign.json: " in err
    assert (path.read_text() if path.exists() else None) == text


def test_an_archived_campaign_is_out_of_the_way_and_whole(
    records: Records, replicate: Replicate
) -> None:
    campaign = fill(records, "made", {FLEX: [91.0]})
    replicate("drop", "nothing", "made")
    (records.root / "reports/made").mkdir(parents=True)
    (records.root / "reports/made/mine.txt").write_text("kept")
    before = contents(campaign.results)
    code, out, _ = replicate("archive", "made")
    assert code == 0
    place = records.root / out.strip().rpartition(" ")[2]
    assert contents(place / "results") == before
    assert (place / "reports/mine.txt").read_text() == "kept"
    assert replicate("campaigns", "--json")[1] == "[]\n"
    (place / "results").rename(campaign.results)
    assert replicate("status", "made")[1] == "made: 1 of 1 done\n"


def test_what_is_removed_is_said_and_nothing_else_goes(
    records: Records, replicate: Replicate
) -> None:
    fill(records, "made", {FLEX: [91.0]})
    other = fill(records, "other", {FLEX: [91.0]})
    before = contents(other.results)
    code, out, err = replicate("remove", "made")
    assert code == 2
    assert out.startswith("deletes for good: results/made (")
    assert "with 1 record" in out
    assert "--yes deletes them" in err
    assert (records.root / "results/made/campaign.json").exists()
    code, out, _ = replicate("remove", "made", "--yes")
    assert (code, out.splitlines()[1]) == (0, "deleted")
    assert not (records.root / "results/made").exists()
    assert contents(other.results) == before


@pytest.mark.parametrize("name", ["..", ".", "absent", "../project", "", "made/runs"])
@pytest.mark.parametrize("command", ["remove", "archive"])
def test_only_a_campaign_is_removed(
    records: Records, replicate: Replicate, command: str, name: str
) -> None:
    fill(records, "made", {FLEX: [91.0]})
    before = contents(records.root)
    code, _, err = replicate(command, name, *(["--yes"] if command == "remove" else []))
    assert code == 2
    assert "no campaign" in err
    assert contents(records.root) == before


@pytest.mark.parametrize("command", ["remove made --yes", "archive made", f"drop {FLEX} made"])
def test_a_campaign_under_way_is_left_alone(
    records: Records, replicate: Replicate, command: str
) -> None:
    campaign = fill(records, "made", {FLEX: [91.0], REG: [92.0]})
    with claimed(next(campaign.runs_folder.iterdir())):
        code, _, err = replicate(*command.split())
    assert code == 2
    assert "is being trained: end that first" in err
    assert campaign.look().summary() == "2 of 2 done"


def test_damaged_and_copied_campaigns_can_be_put_away(
    records: Records, replicate: Replicate
) -> None:
    campaign = fill(records, "made", {FLEX: [91.0]})
    shutil.copytree(campaign.results, records.root / "results/made (copy)")
    (campaign.results / "campaign.json").write_text("{")
    assert replicate("archive", "made (copy)")[0] == 0
    assert replicate("remove", "made", "--yes")[0] == 0
    assert list((records.root / "results").iterdir()) == []


def test_a_link_is_not_followed(records: Records, replicate: Replicate, tmp_path: Path) -> None:
    campaign = fill(records, "made", {FLEX: [91.0]})
    campaign.results.rename(tmp_path / "disk")
    campaign.results.symlink_to(tmp_path / "disk")
    code, _, err = replicate("remove", "made", "--yes")
    assert code == 2
    assert "results/made: a link" in err
    assert (tmp_path / "disk/campaign.json").exists()
