"""What makes thousands of cases affordable."""

import functools
import os
from collections.abc import Iterator

import pytest

from replicate.files import yaml_lines as strictyaml
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
    monkeypatch.setattr(render, "_drawn", lambda _: b"<svg/>")
