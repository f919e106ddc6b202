"""What a campaign remembers of the commands that asked for it, and what it survives."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from replicate.errors import UserError
from replicate.plan.campaign import (
    Campaign,
    begin_or_extend,
    open_campaign,
    read_request,
    request_campaign,
    save_campaign,
)
from replicate.plan.request import Request, changed_name, new_request, parse_seeds, seeds_text
from replicate.report import render
from replicate.results.aggregate import aggregate
from replicate.results.read import read_results
from tests.making import Records
from tests.report.reading import markdown

Replicate = Callable[..., tuple[int, str, str]]
AVERAGE, FLEX, REG = (f"table1/cifar10/{name}" for name in ("avgpool", "flexpool", "flexpool-reg"))
LEAF = "table1/fashion-mnist/flexpool-reg-dropout"
"""That no other cell extends."""
SOFTMAX = "extensions/sensitivity/a02-softmax"


def _asked(project: Path, note: str) -> Campaign:
    wanted = new_request("own", "smoke", {}, note).asking({AVERAGE: [0]})
    found = begin_or_extend(project, wanted)
    save_campaign(found)
    return found


def test_a_note_stays_until_another_is_given(project: Path) -> None:
    notes = [_asked(project, note).request.note for note in ("", "a sample only", "", "all of it")]
    assert notes == ["", "a sample only", "a sample only", "all of it"]
    assert open_campaign(project, "own").request.note == "all of it"


def test_a_note_of_two_lines_is_refused(project: Path) -> None:
    with pytest.raises(UserError, match=r"^note 'a\\nb': one line without control characters$"):
        _asked(project, "a\nb")
    assert read_request(project, "own") is None


def test_a_campaign_refused_for_its_images_leaves_no_folder(
    replicate: Replicate, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "cifar10" / "train" / "cat").mkdir(parents=True)
    asked = ["run", AVERAGE, "--protocol", "short", "--campaign", "new"]
    code, _, said = replicate(*asked, "--data-dir", str(tmp_path))
    assert code == 2
    assert f"{tmp_path}/cifar10/test is missing" in said
    assert not (project / "results" / "new").exists()


def ask(
    root: Path, *cells: str, seeds: str | None = None, name: str | None = "wide", **settings: str
) -> Campaign:
    """As `replicate run` would begin or extend a campaign, without training."""
    found = request_campaign(
        root,
        list(cells) or None,
        "short",
        parse_seeds(seeds) if seeds else None,
        name,
        {key.replace("_", ".", 1): value for key, value in settings.items()},
    )
    save_campaign(found)
    return found


def runs(campaign: Campaign) -> list[tuple[str, int]]:
    return [(run.cell, run.seed) for run in campaign.runs]


def test_named_cells_and_seeds_are_what_a_command_trains(project: Path) -> None:
    ask(project, AVERAGE, FLEX, seeds="2")
    assert runs(ask(project, FLEX)) == [(FLEX, 0), (FLEX, 1)], "its seeds as begun"
    assert runs(ask(project, REG, seeds="5-6")) == [(REG, 5), (REG, 6)]
    assert runs(ask(project, FLEX, seeds="3")) == [(FLEX, 0), (FLEX, 1), (FLEX, 2)]
    all_of_it = [(AVERAGE, 0), (FLEX, 0), (AVERAGE, 1), (FLEX, 1), (FLEX, 2), (REG, 5), (REG, 6)]
    assert runs(open_campaign(project, "wide")) == all_of_it, "it has grown to hold them"
    assert runs(ask(project)) == all_of_it
    assert runs(ask(project, seeds="1")) == [(cell, 0) for cell in (AVERAGE, FLEX, REG)]


def test_without_a_name_and_cells_all_of_both_tables_is_meant(project: Path) -> None:
    ask(project, "extensions/pools/gem", name=None, seeds="2")
    asked = runs(ask(project, name=None))
    assert len(asked) == 2 * 33
    assert (AVERAGE, 1) in asked
    assert ("extensions/pools/gem", 1) in asked


def test_seeds_that_all_cells_share_are_stored_as_ever(project: Path) -> None:
    ask(project, AVERAGE, seeds="2")
    ask(project, FLEX, seeds="3")
    request = ask(project, AVERAGE, seeds="3").request
    assert (request.seeds, request.own_seeds) == (3, {})
    assert "own_seeds" not in (project / "results/wide/campaign.json").read_text()
    text = ask(project, FLEX, seeds="9").request.as_json()
    assert Request.model_validate_json(text).seeds_of(FLEX) == list(range(9))


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("3", [0, 1, 2]),
        ("5-7", [5, 6, 7]),
        ("7-7", [7]),
        ("8,3,3-4", [3, 4, 8]),
        ("1000", range(1000)),
    ],
)
def test_seeds_as_they_are_given_and_said(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == [*seeds]
    assert parse_seeds(seeds_text(seeds)) == [*seeds]


@pytest.mark.parametrize(
    "text", ["0", "1001", "5-1000", "9-5", "-1", "1,", "", "x", "1.5", "١", "9" * 5000]
)
def test_seeds_that_cannot_be(text: str) -> None:
    with pytest.raises(UserError, match=r"^--seeds '.*': expected a number such as 5"):
        parse_seeds(text)


def test_each_cell_is_held_to_its_own_seeds(project: Path, records: Records) -> None:
    ask(project, AVERAGE, FLEX, name="made")
    campaign = ask(project, FLEX, seeds="5-6", name="made").whole
    for cell, seed in runs(campaign)[:-1]:
        records.leave(campaign, cell, seed)
    aggregate(campaign)
    cells = read_results(project, "made").cells
    assert cells["asked"].tolist() == [1, 3]
    report = markdown(project, "made")
    assert "1 to 3 seeds each" in report
    assert "| table1/cifar10/flexpool | 2 | 3 | 0 | 0 | none | seed 6 |" in report
    assert f"run {AVERAGE} --protocol short --seeds 1 --campaign made" in report
    assert f"run {FLEX} --protocol short --seeds 0,5-6 --campaign made" in report


def test_a_gain_has_no_verdict_before_the_seeds_of_both_are_there(records: Records) -> None:
    """Nine seeds of two cells were asked for: the others' three are no reason to look earlier."""
    seeds = {AVERAGE: range(9), FLEX: range(9), REG: range(3)}
    asked = new_request("made", "paper", {}).asking(seeds)
    save_campaign(begin_or_extend(records.root, asked))
    campaign = open_campaign(records.root, "made")
    for seed in range(3):
        for cell, gain in ((AVERAGE, 0), (FLEX, 1), (REG, 2)):
            records.leave(campaign, cell, seed, 90.0 + gain + seed / 100 * gain)
    aggregate(campaign)
    found = read_results(records.root, "made").gains.set_index("cell")["verdict"]
    assert found.to_dict() == {FLEX: "incomplete (3/9 seeds)", REG: "gain"}


def test_cells_with_one_spec_are_refused_with_both_names(project: Path) -> None:
    refusal = rf"^{FLEX}, {SOFTMAX}: the same spec under protocol released: choose one of them$"
    with pytest.raises(UserError, match=refusal):
        request_campaign(project, [FLEX, SOFTMAX], "released", None, None, {})
    found = request_campaign(project, [FLEX], "released", None, None, {})
    save_campaign(found)
    with pytest.raises(
        UserError, match=r"the same spec .*\nor take .*`replicate drop CELL released`"
    ):
        request_campaign(project, [SOFTMAX], "released", None, None, {})


def test_a_campaign_that_has_cells_with_one_spec_is_reported(records: Records) -> None:
    campaign = records.begin([FLEX, SOFTMAX], "released", seeds=1)
    for cell in (FLEX, SOFTMAX):
        records.leave(campaign, cell, 0)
    assert aggregate(campaign) == []
    assert SOFTMAX in markdown(records.root, "made")


def test_a_changed_setting_does_not_take_the_real_campaigns_name(project: Path) -> None:
    tried = ask(project, AVERAGE, name=None, training_epochs="1")
    assert tried.name == "short-epochs-1"
    assert ask(project, name=None).name == "short"
    assert ask(project, AVERAGE, name=None, training_epochs="1").request == tried.request
    ask(project, AVERAGE, name="wide", training_epochs="2")
    assert ask(project, REG, name="wide").request.settings == {"training.epochs": "2"}


def test_a_changed_campaign_that_has_the_name_keeps_it(project: Path) -> None:
    ask(project, AVERAGE, name="short", training_epochs="2")
    assert ask(project, AVERAGE, name=None, training_epochs="2").name == "short"


def test_names_made_of_settings_are_short_and_tell_them_apart() -> None:
    many = {f"training.{letter * 30}": "0.5" for letter in "abc"}
    one, other = changed_name("short", many), changed_name("short", {**many, "training.x": "1"})
    assert one != other
    assert len(one) <= 60


def _begin_two(records: Records) -> Campaign:
    records.begin([AVERAGE, REG], "short", name="other")
    campaign = records.begin([AVERAGE, LEAF], "short", seeds=1)
    for cell in (AVERAGE, LEAF):
        records.leave(campaign, cell, 0)
    aggregate(campaign)
    return campaign


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a spec gone": lambda root: (root / f"experiments/{LEAF}.yaml").unlink(),
    "a spec damaged": lambda root: (root / f"experiments/{LEAF}.yaml").write_text("extends: ["),
    "a request gone": lambda root: (root / "results/made/campaign.json").unlink(),
    "a request damaged": lambda root: (root / "results/made/campaign.json").write_text("{"),
    "a protocol gone": lambda root: (root / "experiments/protocols/short.yaml").unlink(),
    "a copy": lambda root: shutil.copytree(root / "results/made", root / "results/made-copy"),
    "a copy with spaces": lambda root: shutil.copytree(
        root / "results/made", root / "results/made (copy)"
    ),
    "a hidden copy": lambda root: shutil.copytree(root / "results/made", root / "results/.made"),
    "an empty folder": lambda root: (root / "results/empty").mkdir(),
    "an editor's file": lambda root: (
        (root / f"experiments/{LEAF}.yaml").with_name("._flexpool.yaml").write_bytes(b"\0\5")
    ),
    "an editor's link": lambda root: (
        (root / f"experiments/{LEAF}.yaml").with_name(".#flexpool.yaml").symlink_to("me@host.1")
    ),
    "a hidden protocol": lambda root: (root / "experiments/protocols/.#short.yaml").symlink_to("x"),
    "a file with a space": lambda root: (root / f"experiments/{LEAF} (copy).yaml").write_text(""),
}
QUIET = {
    "a hidden copy",
    "an empty folder",
    "an editor's file",
    "an editor's link",
    "a hidden protocol",
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_wrong_with_one_is_a_line_and_the_rest_is_as_usual(
    records: Records, replicate: Replicate, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(render, "_drawn", lambda _: b"<svg/>")
    campaign = _begin_two(records)
    DAMAGE[damage](records.root)
    for command in ("status", "power", "list", f"logs {AVERAGE}", "data list"):
        code, out, err = replicate(*command.split())
        assert code == 0, (command, err)
        if command != f"logs {AVERAGE}":
            assert "Traceback" not in err
            assert len(err.splitlines()) <= 1, (command, err)
        if damage in QUIET and not command.startswith("logs"):
            assert err == "", command
    asked = not damage.startswith("a request")
    assert ("made: 2 of 2 done" in replicate("status")[1]) == asked
    assert "other: 0 of 4 done" in replicate("status")[1] or damage == "a protocol gone"
    assert (LEAF in replicate("power")[1]) == asked
    before = (campaign.results / "cells.csv").read_bytes()
    assert replicate("aggregate", "made")[0] == (0 if asked else 2), "it cannot be guessed"
    assert (campaign.results / "cells.csv").read_bytes() == before
    code, out, err = replicate("report", "made")
    assert code == 0, err
    report = Path(out.strip()).read_text()
    assert AVERAGE in report
    lost = damage in ("a spec gone", "a spec damaged", "a protocol gone") or not asked
    assert ("Cells shown as their records hold them" in report) == lost
    assert ("as recorded" in " ".join(replicate("status")[1].split())) == (lost and asked)


def test_a_copy_says_what_it_is(records: Records, replicate: Replicate) -> None:
    _begin_two(records)
    DAMAGE["a copy"](records.root)
    code, _, err = replicate("status", "made-copy")
    assert code == 2
    assert err.endswith(
        "a copy of campaign 'made': name the folder so, or move it out of results\n"
    )


def test_a_lost_spec_stops_what_would_train_it_alone(
    records: Records, replicate: Replicate
) -> None:
    _begin_two(records)
    DAMAGE["a spec gone"](records.root)
    assert replicate("plan", AVERAGE, "--campaign", "made")[0] == 0
    code, _, err = replicate("plan", "--campaign", "made")
    assert code == 2
    first, advice = err.splitlines()
    assert first.endswith(
        "table1/fashion-mnist/flexpool-reg-dropout.yaml: cannot be read: No such file or directory"
    )
    assert "or take the cell out of campaign made: `replicate drop CELL made`" in advice


def test_jobs_end_without_request_or_specs(
    records: Records, replicate: Replicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin_two(records)
    shutil.rmtree(records.root / "results/made/runs")
    DAMAGE["a request damaged"](records.root)
    assert replicate("cancel", "made")[:2] == (0, "cancelled: nothing was queued or running\n")
    code, _, err = replicate("cancel", "absent")
    assert code == 2
    assert "no campaign 'absent'" in err
