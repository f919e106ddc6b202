"""Spec files, profiles and the paper's own files with something wrong in them."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from hypothesis import strategies as st

from replicate.dispatch.slurm import profile
from replicate.specs import resolve
from replicate.specs.spec import Spec
from replicate.workflows import submit
from tests.hostile.cases import CASES, call, damaged, each, judge, mutated, refused_or

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "experiments"
PAGE = (ROOT / "docs" / "reliability.md").read_text()
CELL = "table2/cifar10/flexpool-reg-dropout"
FILES = (
    f"{CELL}.yaml",
    *("protocols/paper.yaml",) * 4,
    *("protocols/short.yaml", "protocols/smoke.yaml"),
    *("datasets/cifar10.yaml",) * 3,
    *("methods/flexpool-reg-dropout.yaml", "classifiers/sac.yaml"),
)
CLUSTERS = ("clusters/cpu.yaml", "clusters/one-gpu.yaml")
PAPER = tuple(f"paper/{name}.yaml" for name in ("tables", "claims", "figures", "ambiguities"))
PARSED = {
    name: yaml.safe_load((SHIPPED / name).read_text()) for name in (*FILES, *CLUSTERS, *PAPER)
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one cell, which is quicker to read and to compare than 103 files."""
    folder = tmp_path_factory.mktemp("specs")
    for name in (*FILES, *CLUSTERS, *PAPER):
        (folder / "experiments" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHIPPED / name, folder / "experiments" / name)
    return folder


@st.composite
def changes(draw: st.DrawFn, files: tuple[str, ...]) -> tuple[str, str]:
    """A file and its text, in which one value is another."""
    name = draw(st.sampled_from(files))
    value = mutated(draw, PARSED[name])
    return name, yaml.safe_dump(value, allow_unicode=True, sort_keys=False)


@st.composite
def broken(draw: st.DrawFn, files: tuple[str, ...]) -> tuple[str, bytes]:
    """A file and its bytes, with some of them damaged."""
    name = draw(st.sampled_from(files))
    return name, damaged(draw, (SHIPPED / name).read_bytes())


@contextmanager
def written(root: Path, name: str, text: str | bytes) -> Iterator[None]:
    """Put a text in the place of a file, for a while."""
    path = root / "experiments" / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
    try:
        yield
    finally:
        shutil.copy(SHIPPED / name, path)


def show(root: Path, case: tuple[str, str | bytes]) -> None:
    """`show` refuses, or shows a spec that is one: typed, finite, and the same when it is read again."""
    with written(root, *case):
        answer = refused_or(root, "show", CELL, "--protocol", "smoke", "--root", str(root))
        if answer:
            assert CELL in answer.out
            (cell,) = resolve.load(root, [CELL], "smoke")
            again = Spec.model_validate_json(
                json.dumps(cell.spec.model_dump(mode="json"), allow_nan=False)
            )
            assert again.run_id(0) == cell.spec.run_id(0)


def test_a_changed_value(root: Path) -> None:
    each("specs", changes(FILES), lambda case: show(root, case))


def test_a_damaged_text(root: Path) -> None:
    each("texts", broken(FILES), lambda case: show(root, case))


def test_the_papers_own_files(root: Path) -> None:
    def check(case: tuple[str, str | bytes]) -> None:
        with written(root, *case):
            refused_or(root, "audit", "--root", str(root))
            refused_or(root, "show", CELL, "--root", str(root))
            if "ambiguities" in case[0]:
                with patch("replicate.workflows.sensitivity.run_sensitivity", lambda *_: 0):
                    refused_or(
                        root, "sensitivity", "A03", "--protocol", "smoke", "--root", str(root)
                    )

    each("paper", changes(PAPER) | broken(PAPER), check)


def test_cluster_profiles(root: Path) -> None:
    """Read for a dry run, without the cluster."""

    def read(campaign: Any, options: submit.Options) -> None:
        profile.read_profile(root, options.cluster)

    def check(case: tuple[str, str | bytes]) -> None:
        with written(root, *case):
            name = Path(case[0]).stem
            asked = ("--dry-run", "--protocol", "smoke", "--root", str(root))
            with patch.object(submit, "print_requests", read):
                refused_or(root, "submit", "--cluster", name, *asked, CELL)

    each("profiles", changes(CLUSTERS) | broken(CLUSTERS), check)


def test_all_the_cases_together() -> None:
    assert f" are {sum(CASES.values()):,} different cases" in PAGE


def test_a_value_that_is_accepted_is_shown(root: Path) -> None:
    """So that the cases above are not all refused, whatever they say."""
    with written(root, "classifiers/sac.yaml", (SHIPPED / "classifiers/sac.yaml").read_bytes()):
        answer = call("show", CELL, "--root", str(root))
        assert judge(answer)
        assert "training.epochs" in answer.out


@pytest.mark.parametrize(
    "name", ["a\0b", "a\nb", "\x1b[2J", "../../../etc/passwd", "/dev/zero", "", "."]
)
def test_what_cannot_be_extended(root: Path, name: str) -> None:
    cell = {**PARSED[f"{CELL}.yaml"], "extends": [name]}
    released = {**PARSED["protocols/smoke.yaml"]}
    released["protocol"] = {**released["protocol"], "instead": {name: "methods/avgpool.yaml"}}
    for file, value in ((f"{CELL}.yaml", cell), ("protocols/smoke.yaml", released)):
        with written(root, file, yaml.safe_dump(value)):
            answer = call("show", CELL, "--protocol", "smoke", "--root", str(root))
            assert not judge(answer)
            assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("times", [1, 2])
def test_files_that_extend_each_other_without_end(root: Path, times: int) -> None:
    """Two hundred in a row, once or twice each: 2**200 files to merge."""
    folder = root / "experiments" / "chain"
    folder.mkdir()
    for place in range(200):
        names = [f"{place + 1}.yaml"] * times if place < 199 else []
        (folder / f"{place}.yaml").write_text(yaml.safe_dump({"extends": names}))
    for start in ("../../chain/0.yaml", "../../chain/150.yaml")[:times]:
        cell = {**PARSED[f"{CELL}.yaml"], "extends": [start]}
        with written(root, f"{CELL}.yaml", yaml.safe_dump(cell)):
            answer = call("show", CELL, "--protocol", "smoke", "--root", str(root))
        assert not judge(answer)
        assert f"more than {resolve.MAX_FILES} files" in answer.err
    shutil.rmtree(folder)
