"""`replicate audit`: the paper against itself, at once and without training."""

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Replicate = Callable[..., tuple[int, str, str]]


def outcomes(text: str) -> dict[str, str]:
    """Outcome by claim, from the first line of each row."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: row[-1] for row in rows if row and re.fullmatch(r"C\d\d", row[0])}


def test_all_claims_with_source_finding_and_outcome(
    replicate: Replicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = replicate("audit")
    assert (code, err) == (0, "")
    held = {"C02", "C04", "C05", "C10", "C11", "C21"}
    names = [f"C{number:02}" for number in range(1, 26)]
    assert outcomes(out) == {name: "holds" if name in held else "fails" for name in names}
    assert "25 claims on the printed numbers: fails 19, holds 6." in out.splitlines()
    assert "  4 give less, or another cell's number: C12, C15, C16, C17" in out.splitlines()
    assert (
        "  Table 1 CIFAR10 FlexPool + Reg: −0.04 over FlexPool: C03, C19, C25" in out.splitlines()
    )
    assert "\n14 of the 24 printed gains are larger than chance" in out
    for words in ("Section 4.4.1", "+0.69", "Consistent improvement with FlexPool"):
        assert words in out


def test_a_wrong_printed_number_changes_the_right_claims(
    replicate: Replicate, project: Path
) -> None:
    """Table 1, CIFAR10, FlexPool + Reg above FlexPool: the row rises, and nothing else turns."""
    before = outcomes(replicate("audit")[1])
    spec = project / "experiments/table1/cifar10/flexpool-reg.yaml"
    for path in (project / "experiments/paper/tables.yaml", spec):
        assert path.read_text().count("91.87") == 1
        path.write_text(path.read_text().replace("91.87", "92.00"))
    after = outcomes(replicate("audit")[1])
    assert {name for name in after if after[name] != before[name]} == {"C03", "C25"}
    assert after["C03"] == "holds"


def test_tables_that_differ_from_the_specs_are_one_line(
    replicate: Replicate, project: Path
) -> None:
    path = project / "experiments/paper/tables.yaml"
    path.write_text(path.read_text().replace("91.87", "92.00"))
    code, out, err = replicate("audit")
    assert (code, out) == (2, "")
    assert re.fullmatch(
        r"error: experiments/table1/cifar10/flexpool-reg\.yaml: published: .*\n", err
    )


def test_it_takes_less_than_a_second_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from replicate.paper.ambiguities import read_ambiguities; read_ambiguities(Path());"
        "from replicate.workflows.audit import audit; audit(Path());"
        "print({'torch', 'numpy', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules))"
    )

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert done.stdout == "set()\n"
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 1
