"""Precisions that this machine cannot compute in: the machine's lack, never a run's failure."""

from collections.abc import Iterable

from replicate.errors import UserError


def lacking(precisions: Iterable[str]) -> dict[str, str]:
    """What is to be said of those of some specs' precisions that this machine lacks.

    Raises UserError for what keeps it from training in any.
    """
    from replicate.training import engine

    engine.choose("float32", 0)
    found = {}
    for precision in precisions:
        try:
            engine.choose(precision, 0)
        except UserError as error:
            found[precision] = str(error).partition(";")[0]  # without advice for a single run
    return found
