"""What is said where something is wrong: the cause by its name, and advice that helps when it is followed."""

import ast
import io
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import replicate as r
from replicate import cli
from replicate.dispatch.code import PACKAGE
from replicate.dispatch.slurm import sbatch
from replicate.dispatch.slurm.profile import read_profile
from replicate.records.run_folder import claimed
from replicate.text import console, table
from replicate.workflows import follow
from tests.making import Records

FLEX = "table1/cifar10/flexpool"
NAMED = {"replicate wait", "replicate submit"}
"""Commands that a text speaks of, without advising them."""
Replicate = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "words", [["status"], ["campaigns"], ["report", "short"], ["logs", FLEX], ["power"]]
)
def test_a_folder_that_is_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replicate: Replicate, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = replicate(*words)
    assert (code, out) == (2, "")
    assert "experiments: no such folder" in err
    assert "--root" in err


@pytest.mark.parametrize("link", [False, True])
def test_results_that_are_no_folder(project: Path, replicate: Replicate, link: bool) -> None:
    results = project / "results"
    results.symlink_to(project / "nowhere") if link else results.touch()
    for words in (["status"], ["plan", "--protocol", "smoke"]):
        code, _, err = replicate(*words)
        assert code == 2
        assert "results: is no folder, nor a link to one: move it away" in err


def test_a_campaign_without_csv_files(records: Records, replicate: Replicate) -> None:
    """As after a second Ctrl-C: training it again would be the wrong advice."""
    campaign = records.begin([FLEX], name="made")
    records.leave(campaign, FLEX, 0, 90.0)
    _, _, err = replicate("report", "made")
    assert "cells.csv: no such file: `replicate aggregate made` makes it from the records" in err
    assert replicate("aggregate", "made")[0] == 0
    assert replicate("report", "made")[0] == 0


def test_a_protocol_that_does_not_exist(project: Path, replicate: Replicate) -> None:
    code, _, err = replicate("plan", "--protocol", "Smoke")
    assert code == 2
    assert "no protocol 'Smoke': choose from paper, released, short, smoke" in err


def test_a_misspelt_key_comes_before_what_is_missing_for_it(
    project: Path, replicate: Replicate
) -> None:
    file = project / "experiments/extensions/mine.yaml"
    file.write_text("extend: [../table1/cifar10/flexpool.yaml]\npublished: null\n")
    first = replicate("show", "extensions/mine")[2].splitlines()[0]
    assert "mine.yaml:1: extend: unknown key; valid keys: protocol" in first
    assert first.endswith("extends")


@pytest.mark.parametrize("value", ["", " 3"])
def test_a_value_in_the_place_of_keys(project: Path, replicate: Replicate, value: str) -> None:
    file = project / "experiments/extensions/mine.yaml"
    file.write_text(f"extends: [../table1/cifar10/flexpool.yaml]\ntraining:{value}\n")
    err = replicate("show", "extensions/mine")[2]
    assert "mine.yaml:2: training: keys are due here (epochs, batch_size" in err


def test_a_cell_file_with_another_ending(project: Path, replicate: Replicate) -> None:
    (project / "experiments/extensions/mine.yml").write_text("extends: []\n")
    assert "mine.yml: is no cell: rename it, to end in .yaml" in replicate("list")[2]


def test_dropping_is_advised_for_cells_of_the_campaign_alone(
    records: Records, replicate: Replicate
) -> None:
    records.begin([FLEX, "table1/cifar10/avgpool"], name="made")
    (records.root / "experiments/extensions/mine.yaml").write_text("extends: [nowhere.yaml]\n")
    err = replicate("plan", "extensions/mine", "--campaign", "made")[2]
    assert "nowhere.yaml" in err
    assert "replicate drop" not in err


def test_a_cell_without_a_log_is_one_line_for_all_campaigns(
    records: Records, replicate: Replicate
) -> None:
    for name in ("one", "two"):
        records.begin([FLEX], name=name)
    code, _, err = replicate("logs", "nowhere")
    assert code == 2
    assert err.count("no cell matches 'nowhere'") == 1


def test_a_campaign_being_trained_is_not_verified(records: Records, replicate: Replicate) -> None:
    """What is made again would differ, as more has been trained since."""
    campaign = records.begin([FLEX], name="made")
    folder = campaign.runs_folder / campaign.runs[0].folder_name
    folder.mkdir(parents=True)
    with claimed(folder):
        code, _, err = replicate("verify", "made")
    assert code == 2
    assert "is being trained: end that first" in err


def test_nobody_is_asked_through_a_closed_stdin(
    records: Records, replicate: Replicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = records.begin([FLEX], name="made")
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = replicate("remove", "made")
    assert code == 2
    assert "nobody to ask: --yes deletes them, `replicate archive made` keeps them elsewhere" in err
    assert campaign.results.is_dir()


def _advised() -> Iterator[str]:
    """Every command in the texts of the package, with `x` where a text puts something in."""
    for path in PACKAGE.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
        for node in filter(lambda one: one not in docstrings, nodes):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            said = (one.value if isinstance(one, ast.Constant) else "x" for one in parts)
            yield from re.findall(r"`(replicate [^`]+)`", "".join(map(str, said)))


@pytest.mark.parametrize("command", sorted({*_advised()} - NAMED))
def test_a_command_that_is_advised_can_be_typed_as_it_stands(command: str) -> None:
    group: Any = typer.main.get_command(cli.app)
    name, *words = shlex.split(command)[1:]
    if name == "data":
        group, (name, *words) = group.commands["data"], words
    group.commands[name].make_context(name, words)


def test_one_that_lacks_its_campaign_would_be_seen() -> None:
    with pytest.raises(Exception, match="Missing parameter: campaign"):
        test_a_command_that_is_advised_can_be_typed_as_it_stands("replicate cancel")


def test_a_file_never_takes_the_place_of_a_closed_stream() -> None:
    code = "import os; from replicate.cli import _settle; _settle(); os.write(9, b'%d' % os.open('.', 0))"
    shell = f'exec 9>&1; "{sys.executable}" -c "{code}" <&- >&- 2>&-'
    found = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert int(found.stdout) > 2


def test_status_watched_without_a_terminal_says_each_state_once(
    records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign = records.begin([FLEX], seeds=1, name="made")
    watching = threading.Thread(target=follow.watch_status, args=([campaign], 0.05))
    watching.start()
    time.sleep(0.5)
    records.leave(campaign, FLEX, 0, 90.0)
    watching.join(10)
    states = [line for line in capsys.readouterr().out.splitlines() if line.startswith("made: ")]
    assert states == ["made: 0 of 1 done", "made: 1 of 1 done"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_notebook_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    assert console(Terminal()).is_terminal
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not console(Terminal()).is_terminal


def test_a_long_name_is_folded_before_the_words_beside_it() -> None:
    name = "smoke-test-images-100-train-images-500"
    row = (name, "smoke", 2, "0 of 2 done, 2 interrupted", "12.3 MB", "2026-11-29 02:21")
    text = table(("campaign", "protocol", "cells", "state", "size", "last change"), [row], 80)
    assert max(map(len, text.splitlines())) <= 80
    assert {"interrupted", "2026-11-29", "12.3"} <= {*text.split()}


def test_results_in_a_notebook_are_a_line(records: Records, replicate: Replicate) -> None:
    campaign = records.begin([FLEX], name="made")
    records.leave(campaign, FLEX, 0, 90.0)
    replicate("aggregate", "made")
    assert len(repr(r.read("made", records.root))) < 200
    assert "plot" in dir(r)


def test_a_line_of_setup_that_fails_ends_the_task(project: Path) -> None:
    folder = project / "experiments/clusters"
    text = (folder / "cpu.yaml").read_text().replace("setup: []", 'setup: ["true", "false"]')
    assert '"false"' in text
    (folder / "mine.yaml").write_text(text)
    lines = sbatch._setup(read_profile(project, "mine"), project)
    found = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (1, "this line of `setup` failed: false\n")
