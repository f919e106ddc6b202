"""What makes thousands of cases affordable."""

import functools
from collections.abc import Iterator

import pytest

from replicate import strictyaml


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> Iterator[None]:
    """Most cases read the same files but for one: a text that was parsed is not parsed again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strictyaml, "parse", functools.lru_cache(1000)(strictyaml.parse))
        yield
