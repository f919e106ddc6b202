"""Every command with arguments that are wrong, odd or far too much."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st

from replicate import data
from replicate.data import official
from replicate.plan.campaign import Campaign, campaign_names, open_campaign, save_campaign
from replicate.specs import spec
from replicate.workflows import run as local
from replicate.workflows import sensitivity  # before anything that it imports is patched
from replicate.workflows import submit as slurm
from tests.hostile.cases import call, contents, each, judge, refused_or, undone

ROOT = Path(__file__).parents[2]
CELL = "table1/cifar10/flexpool"
KNOWN: dict[str, list[str]] = {
    "cell": [CELL, "table1", "*/avgpool", "extensions/pools/gem", f"{CELL}@a03-off"],
    "protocol": ["paper", "short", "smoke", "released"],
    "campaign": ["made", "other", "smoke"],
    "number": [
        "0",
        "1",
        "3",
        "1000",
        "1001",
        "-1",
        "1e3",
        "0x1",
        "9" * 30,
        "9" * 5000,
        "nan",
        "inf",
        "1.5",
        "١",
    ],
    "setting": [
        "training.epochs=1",
        "model.pool=gem",
        "training=1",
        "dataset.title='a b'",
        "training.epochs",
    ],
    "folder": [".", "nowhere", "campaign.json", "/dev/null", "/proc/self/mem", "loop", "a/../b"],
    "time": ["14m", "2h30m", "17:30", "2026-12-24 08:00", "0s", "9" * 5000 + "m", "0001-01-01"],
    "word": ["float32", "bfloat16", "auto", "cifar10", "flexpool", "cpu", "A03", "a14", "one.yaml"],
}
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
ODD = st.sampled_from(
    [
        *(
            "",
            " ",
            ".",
            "..",
            "../made",
            "/",
            "made/",
            "./made",
            "/etc",
            "~",
            "*",
            "[",
            "**/*",
            "{}",
            "@",
            "a@b@c",
        ),
        *(
            "-",
            "--",
            "---",
            "--help",
            "-h",
            "=",
            "a=b=c",
            "x" * 300,
            "x" * 5000,
            "a\nb",
            "a\tb",
            "\x1b[2J",
            "\x7f",
        ),
        *(
            "ü",
            "ﬁ",
            "☃",
            "\u202e",
            "\ufeffmade",
            "made ",
            "Made",
            "MADE",
            "'",
            '"',
            "`id`",
            "$(id)",
            ";id",
            "|",
            "%00",
        ),
        *(
            "\udcff",
            "<b>",
            "&amp;",
            "\\",
            "nul",
            "con",
            "0",
            "-0",
            "1_000",
            "None",
            "null",
            "!!python/name:os.system",
        ),
    ]
)
OPTIONS = {
    "--protocol": "protocol", "--seeds": "number", "--campaign": "campaign", "--set": "setting",
    "--precision": "word", "--workers": "number", "--threads": "number", "--cluster": "word",
    "--checkpoint-seconds": "number", "--data-dir": "folder", "--cache-dir": "folder", "--root": "folder",
    "--table": "number", "--dataset": "word", "--method": "word", "--every": "number", "--lines": "number",
    "--output": "folder", "--deadline": "time", "--retry-failed": "", "--dry-run": "",
    "--json": "", "--yes": "",
}  # fmt: skip
COMMANDS: dict[str, tuple[list[str], str]] = {
    "list": (["cell"], "--table --dataset --method --protocol --json --root"),
    "show": (["cell"], "--protocol --set --root"),
    "schema": ([], "--root"),
    "plan": (["cell"], "--protocol --seeds --campaign --set --precision --workers --threads --root"),
    "run": (
        ["cell"],
        "--protocol --seeds --campaign --set --precision --checkpoint-seconds --deadline --data-dir",
    ),
    "submit": (["cell"], "--cluster --protocol --seeds --campaign --set --dry-run --cache-dir --root"),
    "status": (["campaign"], "--every --root"),
    "wait": (["campaign"], "--every --root"),
    "cancel": (["campaign"], "--root"),
    "logs": (["cell", "campaign"], "--lines --root"),
    "aggregate": (["campaign"], "--root"),
    "report": (["campaign"], "--root"),
    "power": (["campaign"], "--root --json"),
    "campaigns": ([], "--root --json"),
    "merge": (["folder"], "--campaign --root"),
    "compare": (["campaign", "campaign"], "--root --json"),
    "drop": (["cell", "campaign"], "--root"),
    "archive": (["campaign"], "--root"),
    "remove": (["campaign"], "--yes --root"),
    "sensitivity": (["word", "cell"], "--protocol --seeds --campaign --set --precision --root"),
    "export": (["campaign"], "--output --root"),
    "data list": ([], "--data-dir --cache-dir --root"),
    "data prepare": (["word"], "--data-dir --cache-dir --root"),
    "data verify": ([], "--cache-dir"),
}  # fmt: skip


def value(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from(KNOWN[kind]) | ODD | TEXT


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with a few arguments and options, mostly its own."""
    command = draw(st.sampled_from(sorted(COMMANDS)))
    takes, options = COMMANDS[command]
    line = command.split()
    for kind in takes:
        line += draw(st.lists(value(kind), min_size=0 if kind == "cell" else 1, max_size=1))
    own = (
        st.sampled_from(options.split())
        if draw(st.integers(0, 9))
        else st.sampled_from(sorted(OPTIONS))
    )
    for option in draw(st.lists(own, max_size=3)):
        kind = OPTIONS[option]
        line += [option, draw(value(kind))] if kind else [option]
    return line


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a few specs and a campaign; what would train saves its request alone."""
    folder = tmp_path_factory.mktemp("project")
    left_out = ("networks", "super-class", "table2", "fashion-mnist", "cifar100", "tiny-imagenet")
    ignore = shutil.ignore_patterns(*left_out, "a0[!3]*", "a1*")
    shutil.copytree(ROOT / "experiments", folder / "experiments", ignore=ignore)
    (folder / "loop").symlink_to("loop")
    origin: Any = SimpleNamespace(base_folder="none", train_list=[], test_list=[], resources=[])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(local, "run_campaign", _begin)
        patch.setattr(slurm, "submit_campaign", _begin)
        patch.setattr(slurm, "print_requests", lambda *_: None)
        patch.setattr(sensitivity, "run_sensitivity", _begin)
        patch.setattr(data, "prepare", lambda spec, *_: spec.dataset.name)
        patch.setattr(official, "_published", lambda _: origin)
        assert call("run", CELL, "--protocol", "smoke", "--campaign", "made").code == 0
        yield folder


def _begin(campaign: Campaign, *_: object) -> int:
    save_campaign(campaign)
    return 0


def test_the_stand_ins_begin_a_campaign(project: Path) -> None:
    assert (project / "results/made/campaign.json").is_file()
    assert judge(call("status", "made"))


def test_any_command_with_any_arguments(project: Path) -> None:
    def check(line: list[str]) -> None:
        with undone(project):
            if (
                refused_or(project, *line)
                and line[0] == "run"
                and "--help" not in line
                and "-h" not in line
            ):
                assert campaign_names(project)
                assert all(open_campaign(project, name) for name in campaign_names(project))

    each("arguments", command_lines(), check)


PARTS = sorted({*spec.PARTS, "protocol", "published", "x"})


@st.composite
def settings(draw: st.DrawFn) -> str:
    key = ".".join(
        draw(
            st.lists(
                st.sampled_from(
                    [*PARTS, "epochs", "title", "size", "pool", "head_weights", "", "a b", "ü"]
                ),
                min_size=1,
                max_size=3,
            )
        )
    )
    values = [
        "1",
        "-1",
        "0",
        "1e400",
        "1.0e+400",
        "9" * 400,
        "9" * 5000,
        "0x" + "f" * 5000,
        ".nan",
        "-.inf",
        "null",
        "{}",
        "[]",
    ]
    values += [
        "a",
        "'a b'",
        "[1, 2",
        "{a: 1}",
        "&a [*a]",
        "!!python/object/apply:os.system ['id']",
        "'\\\\'",
        '"\\0"',
        '"\\n"',
        "- -",
    ]
    return f"{key}={draw(st.sampled_from(values) | TEXT)}"


def test_any_setting(project: Path) -> None:
    def check(setting: str) -> None:
        line = (CELL, "--protocol", "smoke", "--set", setting)
        shown = refused_or(project, "show", *line)
        begun = refused_or(project, "run", *line, "--campaign", "set")
        assert bool(shown) == bool(begun)
        if begun:  # what is accepted can be read again, planned and asked for
            assert judge(call("plan", "--campaign", "set"))
            assert judge(call("status", "set"))
            shutil.rmtree(project / "results/set")

    each("settings", settings(), check)


NAMES = [
    "../x",
    "/tmp/x",
    "",
    ".",
    "..",
    "made/",
    "./made",
    "a/b",
    "a b",
    "A",
    "a\0b",
    "\0",
    "a\nb",
    "ü",
    "a" * 61,
]
NAMES += [
    "a" * 5000,
    "-",
    "--",
    "a--b",
    "-a",
    "a.",
    "a\\b",
    "~",
    "*",
    "'",
    '"',
    "made\u200b",
    "\ud800",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_campaign_has_the_name_of_a_folder(project: Path, name: str) -> None:
    """Of its own, in results/: no name leads anywhere else, be it of something that is there."""
    (project / "x").mkdir(exist_ok=True)
    shutil.copy(project / "results/made/campaign.json", project / "x")
    before = contents(project)
    commands = ["status", "aggregate", "report", "power", "export", "cancel", "wait"]
    lines = [
        (command, "--", name) for command in commands if name or command not in ("status", "power")
    ]
    lines += (
        [("logs", "--", CELL, name), ("run", "--protocol=smoke", f"--campaign={name}")]
        if name
        else []
    )
    lines += [("sensitivity", "A03", "--protocol=smoke", f"--campaign={name}")] if name else []
    for line in lines:
        answer = call(*line)
        assert not judge(answer), line
        assert "Usage" not in answer.err, line
        # Not by the parser, which would have taken the name for an option.
        assert "-h`)" not in answer.err, line
    assert contents(project) == before
