"""What makes thousands of cases affordable."""

import pytest

from replicate.report import render


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures, which take seconds a case."""
    monkeypatch.setattr(render, "_drawn", lambda _: b"<svg/>")
