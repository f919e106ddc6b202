"""oddities.csv: accuracies measured as the released code does. Apart from all others, and only there
where a spec asks for them.

A row a finished run and oddity: the run's accuracy, and what the odd way gives, both in percent.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from replicate import atomic, sums
from replicate.errors import UserError
from replicate.results.digest import Digest

FILE = "oddities.csv"


class Odd(NamedTuple):
    """A row."""

    cell: str
    seed: int
    run_id: str
    oddity: str
    accuracy: float
    odd_accuracy: float


def write(results: Path, runs: Iterable[Digest]) -> None:
    """Write the file; without a row, remove it."""
    rows = [
        Odd(one.cell, one.seed, one.id, name, one.run["accuracy"], value)
        for one in runs
        for name, value in one.oddities.items()
    ]
    if not rows:
        sums.remove(results / FILE)
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Odd._fields, *rows])
    with sums.replacing(results / FILE) as file:
        file.write(text.getvalue().encode())


def read(results: Path) -> list[Odd]:
    """The rows; none where there is no file.

    Raises:
        UserError: a file with anything else in it.
    """
    sums.check(results / FILE)
    try:
        text = io.StringIO(atomic.read(results / FILE).decode(), newline="")
        return [_row(row) for row in csv.DictReader(text)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{results / FILE}: cannot be read ({reason}): make it again with `replicate aggregate`"
        ) from None


def _row(row: dict[str, str]) -> Odd:
    types = Odd.__annotations__
    if row.keys() != types.keys():
        raise ValueError(f"columns {', '.join(map(str, row))}")
    odd = Odd(**{name: types[name](value) for name, value in row.items()})
    if not (0 <= odd.accuracy <= 100 and 0 <= odd.odd_accuracy <= 100):
        raise ValueError(f"{odd.accuracy} and {odd.odd_accuracy} percent")
    return odd
