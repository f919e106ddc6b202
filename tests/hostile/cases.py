"""The command line as thousands of cases call it, in this process, and what is asked of every answer."""

import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from replicate import cli

CASES = {
    "specs": 450,
    "texts": 250,
    "paper": 120,
    "profiles": 150,
    "arguments": 500,
    "settings": 200,
    "csv": 170,
    "drawn": 6,
    "records": 140,
    "campaigns": 100,
}
"""Different cases of each kind."""
LONGEST = 20_000
"""Characters of a refusal: what is seen may be long, the line may not be endless."""
ODD = [
    *(None, True, False, 0, -1, 1, 2, 10**9 + 1, 10**30, 10**400, 0.5, -0.0, 5e-324, 1e308),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "x", "no", "5e-4", "nan", "1", "1.5"),
    *(
        "../x",
        "/etc/passwd",
        "a b",
        "a'b\"c",
        "a\nb",
        "ü—☃",
        "\x00",
        "\x1b[31m",
        "\ud7ff",
        "x" * 5000,
    ),
    *("<script>alert(1)</script>", "=1+1", "$\\bad$", "${HOME}", "%s", "{0}", "a,b;c|d", "--help"),
    *([], {}, [1, "a", None], {"a": 1}, [[]], ["../protocols/paper.yaml"], [0.5, 0.5], [0, 1]),
]
"""Values that somewhere are of the wrong kind, too large, not finite, or not meant for a name."""
OTHERS = st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


def call(*arguments: str) -> Answer:
    """Run a command as the shell would; a bug comes out as its exception."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", "strict", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
    code: Any = 0
    with (
        patch.object(sys, "argv", ["replicate", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
    return Answer(int(code or 0), _written(out), _written(err))


def _written(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined]


def judge(answer: Answer) -> bool:
    """Whether a command was accepted; what is neither accepted nor refused in clear lines fails."""
    shown = f"{answer.code}\n{answer.out[-2000:]}\n{answer.err[-4000:]}"
    assert answer.code in (0, 2), shown
    assert "Traceback" not in answer.out + answer.err, shown
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", answer.err), (
        f"control characters: {shown!r}"
    )
    if answer.code == 2:
        said = answer.err.splitlines()
        lines = [line for line in said if not line.startswith("left out: ")]
        own = [line for line in lines if line.startswith("error: ") and len(line) > 20]
        assert lines == own or _is_help(answer.err), shown
        assert lines, "a refusal says why"
        assert len(answer.err) < LONGEST, len(answer.err)
    return answer.code == 0


def _is_help(text: str) -> bool:
    """Where no command is named."""
    return bool(re.match(r"Usage: .*\n\nCommands:\n", text, re.DOTALL))


def refused_or(folder: Path, *arguments: str) -> Answer | None:
    """The answer of a command that was accepted; a refused one must have left `folder` alone."""
    before = contents(folder)
    answer = call(*arguments)
    if judge(answer):
        return answer
    assert contents(folder) == before, "a refusal wrote something"
    return None


def contents(folder: Path) -> dict[str, bytes | str]:
    """Everything below a folder but locks: bytes of files, targets of links, and folders."""
    found: dict[str, bytes | str] = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.suffix != ".lock":
                found[str(path)] = _content(path)
    return found


def _content(path: Path) -> bytes | str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.is_dir():
        return "folder"
    return path.read_bytes() if path.is_file() else "no file"


def restore(found: dict[str, bytes | str], folder: Path) -> None:
    """Bring plain files and folders back to what `contents` found, whatever is in their place."""
    now = contents(folder)
    for path in sorted(now, reverse=True):
        if now[path] != found.get(path):
            shutil.rmtree(path) if now[path] == "folder" else Path(path).unlink()
    for path, content in sorted(found.items()):
        if now.get(path) == content:
            continue
        if isinstance(content, str):
            Path(path).mkdir()
        else:
            Path(path).write_bytes(content)


@contextmanager
def undone(folder: Path) -> Iterator[None]:
    """Whatever is done to the files of a folder is undone."""
    before = contents(folder)
    try:
        yield
    finally:
        restore(before, folder)


def each(kind: str, strategy: st.SearchStrategy[Any], check: Callable[[Any], object]) -> None:
    """Try CASES[kind] different cases, the same ones every time."""
    seen: set[str] = set()

    @settings(
        max_examples=CASES[kind] * 4,  # many come twice
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(strategy)
    def one(case: Any) -> None:
        if repr(case) not in seen and len(seen) < CASES[kind]:
            check(case)
            seen.add(repr(case))

    one()
    assert len(seen) == CASES[kind]


def mutated(draw: st.DrawFn, value: Any) -> Any:
    """The value, with one place of it replaced, removed, added to, renamed or wrapped."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        what = draw(st.sampled_from(["into", "into", "into", "remove", "add", "rename"]))
        return _changed(draw, value, key, what)
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], mutated(draw, value[place]), *value[place + 1 :]]
    what = draw(st.sampled_from(["odd", "odd", "odd", "list", "part", "times"]))
    if what == "times" and isinstance(value, int | float):
        return value * draw(st.sampled_from([-1, 0, 2, 1000, 10**9, 1e300, 1e-300]))
    wrapped = {"list": [value], "part": {"value": value}}
    return wrapped[what] if what in wrapped else draw(st.sampled_from(ODD) | OTHERS)


def _changed(draw: st.DrawFn, value: dict[str, Any], key: str, what: str) -> dict[str, Any]:
    rest = {name: one for name, one in value.items() if name != key}
    if what == "remove":
        return rest
    if what == "into":
        return {**value, key: mutated(draw, value[key])}
    name = draw(
        st.sampled_from(["", "x", f"{key}s", "extends", "name", "a.b", "0", "ü", "__class__"])
    )
    return {**(value if what == "add" else rest), name: value[key]}


def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with some bytes cut, doubled, flipped or put in."""
    start = draw(st.integers(0, max(len(content) - 1, 0)))
    end = start + draw(st.sampled_from([1, 2, 7, 60, 100_000]))
    piece = draw(
        st.sampled_from(
            [b"", b"\0", b"\xff\xfe", b",", b'"', b"\n", b"\r", b"\t", b"nan", b"[[[{", b"9" * 400]
        )
        | st.just(content[start:end] * 2)
        | st.just(bytes(255 - one for one in content[start:end][:100]))
        | st.binary(max_size=8)
    )
    return content[:start] + piece + content[end:]
