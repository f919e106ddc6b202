"""Every promise of docs/reliability.md names a test that exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()


def names_in(path: Path) -> set[str]:
    found = ast.parse(path.read_text()).body
    return {one.name for one in found if isinstance(one, ast.FunctionDef)}


def test_every_named_test_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) >= 20
    missing = [
        name
        for name in named
        if not (ROOT / name[0]).exists() or name[1] not in names_in(ROOT / name[0])
    ]
    assert missing == []


def test_every_row_names_a_test() -> None:
    rows = re.findall(r"^\| (?!When|---)(.+) \|$", PAGE, re.MULTILINE)
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py::test_\w+`$", row)] == []
