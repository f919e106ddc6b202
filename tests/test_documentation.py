"""The code and the commands in the documentation run, and its links lead somewhere."""

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from replicate import data
from replicate.plan.campaign import Campaign, save_campaign
from replicate.workflows import run as local
from replicate.workflows import sensitivity  # before anything that it imports is patched
from replicate.workflows import submit as slurm
from tests.hostile.cases import call

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/extending.md", "docs/cluster.md")
LAYER = ROOT / "docs" / "layer.md"


def code(page: Path) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))


def test_the_page_of_the_layer_runs_and_says_what_is_so() -> None:
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    exec(compile(code(LAYER), str(LAYER), "exec"), names)
    model, pool, picture, logits = (names[name] for name in ("model", "pool", "picture", "logits"))
    assert tuple(model.avgpool.weights().shape) == (512, 2, 2)
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 10)
    assert pool.weight.grad.any()
    torch.testing.assert_close(picture, torch.full((8, 8), 1 / 64))
    assert [tuple(head.shape) for head in logits] == [(16, 10)] * 3
    with pytest.raises(ValueError, match=r"maps of 512x2x2 .* got 512x3x3"):
        model(torch.randn(2, 3, 96, 96))


@pytest.mark.parametrize("page", ["README.md", "docs/layer.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_readme_leads_to_the_layer() -> None:
    assert "(docs/layer.md)" in (ROOT / "README.md").read_text()


def test_the_examples_of_style_are_from_the_code_itself() -> None:
    def bare(text: str) -> str:
        return "\n".join(line.strip() for line in text.splitlines())

    sources = [bare(path.read_text()) for path in (ROOT / "replicate").rglob("*.py")]
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in map(bare, blocks):
        assert any(block in source for source in sources), block


def commands(page: str) -> Iterator[list[str]]:
    """Of the page's shell blocks, each as `replicate` or `cp` is called; not installation and tests."""
    text = (ROOT / page).read_text()
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.rstrip("& ").partition(" > ")[0], comments=True)
            words = words[1:] if words[:1] == ["nohup"] else words
            if words[:1] == ["./run_all.sh"] and words[1:2] not in (["setup"], ["test"]):
                verb = "submit" if "--cluster" in words else "run"
                smoke = [] if "--protocol" in words else ["--protocol", "smoke"]
                words = ["replicate", verb, *smoke, *words[1:]]
            if words[:1] in (["replicate"], ["cp"]):
                yield words


def _begin(campaign: Campaign, *_: object) -> int:
    save_campaign(campaign)
    return 0


@pytest.fixture
def checkout(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[list[str]], Any]:
    """What a clone holds, and its examples as files; what would train only begins its campaign."""
    for name in ("results/short-cpu", "reports/short-cpu"):
        shutil.copytree(ROOT / name, project / name)
    for name in ("requirements.lock", "environment.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, project)
    for page in PAGES:
        for name, text in re.findall(
            r"```yaml\n# (\S+)\n(.*?)```", (ROOT / page).read_text(), re.DOTALL
        ):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    elsewhere = tmp_path / "elsewhere/results"
    shutil.copytree(ROOT / "results/short-cpu", elsewhere / "short")
    monkeypatch.chdir(project)
    monkeypatch.setattr(local, "run_campaign", _begin)
    monkeypatch.setattr(slurm, "submit_campaign", _begin)
    monkeypatch.setattr(slurm, "print_requests", lambda *_: None)
    monkeypatch.setattr(sensitivity, "run_sensitivity", _begin)
    monkeypatch.setattr("replicate.workflows.verify.verify", lambda *_: 0)
    monkeypatch.setattr("replicate.report.render.render", lambda root, name: root / name)
    monkeypatch.setattr(data, "prepare", lambda spec, *_: spec.dataset.name)

    def run(words: list[str]) -> Any:
        words = [word.replace("~", str(tmp_path), 1) if word[:1] == "~" else word for word in words]
        if words[0] == "cp":
            return shutil.copy(*words[1:])
        return call(*words[1:])

    return run


NEED_MORE = ("wait", "status paper", "cancel", "compare", "merge", "drop", "remove", "archive")
"""Commands that need what the ones before have trained, or SLURM: they are refused in a line that says so."""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(checkout: Callable[[list[str]], Any], page: str) -> None:
    found = list(commands(page))
    assert found
    for words in found:
        answer = checkout(words)
        if words[0] == "cp":
            continue
        line = " ".join(words[1:])
        assert answer.code in ((0, 2) if line.startswith(NEED_MORE) else (0,)), (line, answer.err)
        assert "No such option" not in answer.err
        assert "Missing argument" not in answer.err
        assert "unexpected extra argument" not in answer.err
