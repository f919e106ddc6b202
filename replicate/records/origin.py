"""Where the numbers of a run come from, attempt by attempt."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

TELLS_APART = (
    *("code", "python", "torch", "torchvision", "numpy"),
    *("device", "precision", "threads", "compiled"),
)
"""Fields of an origin that can change a number; commits only name the code."""


class Origin(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What numbers depend on beside spec, seed and images; None where that was not noted."""

    code: str | None = None
    """Digest of the code that trains (replicate.dispatch.code)."""
    commit: str | None = None
    """For people: the last that changed what trains."""
    dirty: bool | None = None
    """For people: whether the checkout had changes to what trains that the commit lacks."""
    python: str | None = None
    torch: str | None = None
    torchvision: str | None = None
    numpy: str | None = None
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    compiled: bool | None = None
    captured: bool | None = None
    """Whether steps were replayed as one CUDA graph: the same numbers, sooner."""


class Attempt(Struct, frozen=True, forbid_unknown_fields=True):
    """One process's share of a run."""

    epochs: Annotated[int, Meta(ge=0)]
    """That it trained and that the run went on from."""
    origin: Origin


def differing(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    """Fields of the origin in which the attempts of a run differ: it is mixed within."""
    origins = [one.origin for one in attempts]
    return tuple(name for name in TELLS_APART if len({getattr(o, name) for o in origins}) > 1)
