"""What makes thousands of cases affordable."""

import os
from collections.abc import Iterator

import pytest

from replicate.report import render


@pytest.fixture(scope="module", autouse=True)
def quickly() -> Iterator[None]:
    """No power cut is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures, which take seconds a case."""
    monkeypatch.setattr(render, "_drawn", lambda _: b"<svg/>")
