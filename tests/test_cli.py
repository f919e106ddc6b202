"""The command line as a user meets it: quick help, exit codes, one line for a mistake."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from replicate import cli
from tests.making import Records

ROOT = Path(__file__).parents[1]
Replicate = Callable[..., tuple[int, str, str]]
HEAVY = {"torch", "torchvision", "submitit", "pandas", "matplotlib", "scipy"}


def _imported(statement: str) -> set[str]:
    """The heavy libraries that a fresh interpreter has imported after a statement."""
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import replicate",
        "import replicate.cli",
        "import replicate.specs.catalogue, replicate.plan, replicate.plan.campaign, replicate.records.record",
        "import replicate.plan.state, replicate.paper.claims, replicate.plan.readings",
    ],
)
def test_what_starts_quickly_imports_nothing_heavy(statement: str) -> None:
    assert _imported(statement) == set()


def test_that_check_can_fail() -> None:
    assert _imported("import replicate.training.loop") >= {"torch"}


def test_reports_need_no_torch() -> None:
    assert "torch" not in _imported("import replicate.report.render, replicate.results.aggregate")


def test_help_answers_at_once() -> None:
    """Half a second of the processor, which other tests on this machine do not change."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "replicate", "--help"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.5


@pytest.mark.parametrize(
    "command",
    [
        *("list", "show", "check", "schema", "plan", "run", "status", "aggregate", "report"),
        *("verify", "audit", "power", "sensitivity", "export", "campaigns", "merge", "compare"),
        *("drop", "archive", "remove", "wait", "cancel", "logs", "submit"),
        *("data list", "data prepare", "data verify"),
    ],
)
def test_every_command_explains_itself(replicate: Replicate, command: str) -> None:
    code, out, _ = replicate(*command.split(), "--help")
    assert code == 0
    assert "Usage" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run", "--protocol is missing: choose from paper, released, short, smoke"),
        ("run --protocol papr", "no protocol 'papr': choose from paper, released, short, smoke"),
        ("run table3 --protocol smoke", "no cell matches 'table3'"),
        ("run --protocol smoke --campaign ../x", "name '../x': lower-case letters"),
        ("run --protocol smoke --set epochs", "--set 'epochs': expected KEY=VALUE"),
        ("run --protocol smoke --set training.epochs=1 --set training.epochs=2", "each key once"),
        ("run --protocol smoke --set training.epochs=5e-4", "write 5.0e-4"),
        (
            "run --protocol smoke --precision fp64",
            "error: --precision 'fp64': choose from auto, float32, tf32, bfloat16\n",
        ),
        (
            "run --protocol smoke --precision tf32 --set training.precision=float32",
            "--precision and --set training.precision are the same: give one of them",
        ),
        ("run --protocol smoke --root nowhere", "nowhere/experiments: no such folder"),
        ("run --protocol paper --data-dir there", ""),
        ("show table1/cifar10/flexpol", "no cell matches 'table1/cifar10/flexpol'"),
        ("list --dataset mnist", "no cell matches all of these filters"),
        ("status absent", "no campaign 'absent'"),
        ("report absent", "no campaign 'absent'"),
        ("aggregate absent", "no campaign 'absent'"),
        ("data prepare mnist", "no data set 'mnist': choose from cifar10, fashion-mnist"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    replicate: Replicate, project: Path, arguments: str, message: str
) -> None:
    (project / "there").mkdir()
    (project / "there" / "cifar10").touch()  # a file where a folder belongs
    code, _, err = replicate(*arguments.split())
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1, err
    assert not (project / "results").exists() or not list(
        (project / "results").glob("*/campaign.json")
    )


@pytest.mark.parametrize(
    "arguments", ["run --seeds 0", "run --seeds x", "nonsense", "run --worker 2"]
)
def test_typer_refuses_what_is_no_option(replicate: Replicate, arguments: str) -> None:
    code, _, err = replicate(*arguments.split())
    assert code == 2
    assert "Traceback" not in err


def test_list_filters(replicate: Replicate) -> None:
    _, out, _ = replicate("list", "--table", "2", "--dataset", "cifar100")
    cells = [line.split()[0] for line in out.splitlines()[2:]]
    assert cells == [
        f"table2/cifar100/{method}"
        for method in ("avgpool", "flexpool", "flexpool-reg", "flexpool-reg-dropout")
    ]
    assert "65.57" in out


def test_list_shows_every_cell_the_papers_first(replicate: Replicate, project: Path) -> None:
    _, out, _ = replicate("list")
    cells = [line.split()[0] for line in out.splitlines()[2:]]
    files = (project / "experiments" / "extensions").rglob("*.yaml")
    extensions = [f"extensions/{path.parent.name}/{path.stem}" for path in files]
    assert [cell.partition("/")[0] for cell in cells[:32]] == ["table1"] * 16 + ["table2"] * 16
    assert cells[32:] == sorted(cells[32:])
    assert len(cells) == 32 + len(extensions)
    for pool in ("attention", "gem", "max", "softmax"):
        assert f"extensions/pools/{pool}" in cells
    assert "extensions/networks/vgg16/flexpool" in cells


def test_plan_says_what_would_run_and_writes_nothing(replicate: Replicate, project: Path) -> None:
    before = sorted(project.rglob("*"))
    code, out, _ = replicate("plan", "table1/cifar10", "--protocol", "smoke", "--seeds", "2")
    assert code == 0
    assert out.splitlines()[0] == "table1/cifar10/avgpool seeds 0-1"
    assert "campaign smoke: 0 of 8 done; 8 to do." in out
    assert "32,000 training images" in out
    assert sorted(project.rglob("*")) == before


def test_a_campaign_that_was_begun_is_asked_for_by_its_name(
    replicate: Replicate, records: Records
) -> None:
    records.begin(["table1/cifar10/avgpool", "table2/cifar10/flexpool"], seeds=2)
    _, out, _ = replicate("plan", "--campaign", "made", "--root", str(records.root))
    assert "campaign made: 0 of 4 done; 4 to do." in out
    _, out, _ = replicate(
        "plan", "table1/cifar10", "--campaign", "made", "--root", str(records.root)
    )
    said = "campaign made: 0 of 8 done; 8 to do, of those named here; 0 of 10 done in all."
    assert said in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "list --table 3",
            "'--table': Input should be less than or equal to 2, got '3' (see `replicate list -h`)",
        ),
        (
            "list --tabel 1",
            "(Possible options: --dataset, --help, --table) (see `replicate list -h`)",
        ),
        ("cancel", "Missing argument 'campaign' (see `replicate cancel -h`)"),
        ("logs a b c", "Got unexpected extra argument(s) (c) (see `replicate logs -h`)"),
        ("run --seeds", "Option '--seeds' requires an argument"),
        ("statsu", "No such command 'statsu'. Did you mean 'status'? (see `replicate -h`)"),
    ],
)
def test_a_misuse_is_one_line_with_the_way_out(replicate: Replicate, words: str, said: str) -> None:
    code, out, err = replicate(*words.split())
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(said)


def test_without_a_command_there_is_the_help(replicate: Replicate) -> None:
    for words in ([], ["data"]):
        code, _, err = replicate(*words)
        assert code == 2
        assert err.startswith("Usage: ")
        assert "Commands:" in err


def test_nobody_who_gives_up_a_question_sees_a_trace(
    replicate: Replicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(*_: object) -> None:
        raise typer.Abort

    monkeypatch.setattr("replicate.workflows.campaigns.campaigns", give_up)
    monkeypatch.setattr("sys.argv", ["replicate", "campaigns"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == "aborted"
