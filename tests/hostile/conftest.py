"""What makes thousands of cases affordable."""

import functools
import os
from collections.abc import Iterator

import pytest

from replicate import strictyaml


@pytest.fixture(scope="module", autouse=True)
def quickly() -> Iterator[None]:
    """Most cases read the same files but for one; and no power cut is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strictyaml, "parse", functools.lru_cache(1000)(strictyaml.parse))
        patch.setattr(os, "fsync", lambda _: None)
        yield
