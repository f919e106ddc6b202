"""The code in the documentation runs, and its links lead somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]
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
