"""What makes thousands of cases affordable."""

import functools
import os
from collections.abc import Iterator

import pytest
from matplotlib.figure import Figure

from replicate import strictyaml
from replicate.report import render


@pytest.fixture(scope="module", autouse=True)
def quickly() -> Iterator[None]:
    """Most cases read the same files but for one; and no power cut is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strictyaml, "parse", functools.lru_cache(1000)(strictyaml.parse))
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures, which take seconds a case."""
    monkeypatch.setattr(render, "picture", lambda *_: b"<svg/>")
    drawings = (
        "figures.bars",
        "figures.trend",
        "figures.forest",
        "curves.curves",
        "weights.sums",
        "weights.maps",
    )
    for name in drawings:
        monkeypatch.setattr(f"replicate.report.{name}", lambda *_: Figure())
