"""What commands print: tables of 80 columns for people, JSON with documented keys for programs."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from replicate import __version__, cli
from replicate.results.aggregate import aggregate
from replicate.text import folded, table
from tests import making
from tests.making import Records

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "json.md").read_text()
Replicate = Callable[..., tuple[int, str, str]]
FLEX, DROPOUT = "table1/cifar10/flexpool", "table1/fashion-mnist/flexpool-reg-dropout"
TABLES = {
    "list": "list",
    "show": f"show {DROPOUT}",
    "status": "status",
    "power": "power",
    "audit": "audit",
    "data list": "data list",
    "campaigns": "campaigns",
    "compare": "compare made other",
}
"""Commands that print a table, by their names in docs/json.md."""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two campaigns, which no command here changes."""
    records = Records(making.project(tmp_path_factory.mktemp("begun")))
    for name in ("made", "other"):
        campaign = records.begin([FLEX, DROPOUT], name=name)
        for run in campaign.runs[:-1]:
            records.leave(campaign, run.cell, run.seed, 90.0 + run.seed)
        records.leave(campaign, DROPOUT, 1, None, error=f"ValueError: {'word ' * 40}")
        aggregate(campaign)
    return records.root


@pytest.fixture
def asked(begun: Path, replicate: Replicate, monkeypatch: pytest.MonkeyPatch) -> Replicate:
    """The command line in that project."""
    monkeypatch.chdir(begun)
    return replicate


def documented(command: str) -> list[str]:
    (row,) = re.findall(rf"^\| `{command}` \| (.*) \|$", PAGE, re.MULTILINE)
    return list(dict.fromkeys(re.findall(r"`(\w+)`", row)))


@pytest.mark.parametrize("command", TABLES)
def test_every_table_is_also_json_with_the_documented_keys(asked: Replicate, command: str) -> None:
    code, out, err = asked(*TABLES[command].split(), "--json")
    assert (code, err) == (0, "")
    rows = json.loads(out, parse_constant=pytest.fail)
    assert rows
    keys = dict.fromkeys(key for row in rows for key in row)
    assert set(keys) <= set(documented(command))
    if command != "compare":  # made alike: without a row of kind origin
        assert list(keys) == documented(command)


def test_every_command_with_json_is_documented() -> None:
    commands = set(re.findall(r"^\| `([a-z ]+)` \|", PAGE, re.MULTILINE))
    assert commands == {*TABLES, "sensitivity"}


@pytest.mark.parametrize("command", TABLES)
def test_a_table_fits_80_columns(
    asked: Replicate, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    code, out, _ = asked(*TABLES[command].split())
    assert code == 0
    lines = [line for line in out.splitlines() if " " in line.strip()]  # a long path stays whole
    assert max(map(len, lines)) <= 80


def test_what_does_not_fit_is_folded_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("z" * 200, "[bold]a[/] \x1b[2J" + " word" * 30)]
    for width in ("20", "80"):
        monkeypatch.setenv("COLUMNS", width)
        text = table(("cell", "said"), rows)
        assert max(map(len, text.splitlines())) <= int(width)
        assert text.count("z") == 200
        assert text.count("word") == 30
        assert "\x1b" not in text
    assert "[bold]" in text
    long = f"  {'word ' * 20}{'/path' * 30}"
    assert "/path" * 30 in folded(long), "a path can be copied"


COMMANDS = (*cli.app.registered_commands, *cli.manage.app.registered_commands)


def test_help_texts_are_whole(replicate: Replicate) -> None:
    code, out, _ = replicate("--help")
    assert code == 0
    assert "..." not in out.partition("Commands:")[2]
    words = " ".join(out.split())
    for command in COMMANDS:
        first = " ".join(str(command.callback.__doc__).split()).partition(". ")[0]
        assert first.rstrip(".") in words


def test_the_version(replicate: Replicate) -> None:
    assert replicate("--version")[:2] == (0, f"replicate {__version__}\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("replicate sta", {"status"}),
        ("replicate show table1/cifar10/flexpool-reg", {f"{FLEX}-reg", f"{FLEX}-reg-dropout"}),
        ("replicate status m", {"made"}),
        ("replicate run --protocol s", {"short", "smoke"}),
        ("replicate plan --campaign o", {"other"}),
    ],
)
def test_the_shell_completes_commands_cells_campaigns_and_protocols(
    begun: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    expected: set[str],
) -> None:
    monkeypatch.chdir(begun)
    monkeypatch.setenv("_REPLICATE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit):
        cli.app(prog_name="replicate")
    assert set(capsys.readouterr().out.split()) == expected


def test_a_table_for_programs_is_not_watched(asked: Replicate) -> None:
    code, out, err = asked("status", "--watch", "--json")
    assert (code, out) == (2, "")
    assert err == "error: --json and --watch: a program asks again itself; give one of them\n"
