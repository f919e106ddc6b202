"""oddities.csv: accuracies measured as the released code does. Apart from all others, and only there
where a spec asks for them.

A row a finished run and oddity: the run's accuracy, and what the odd way gives, both in percent.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from replicate import sums
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
    """The rows; none where there is no file."""
    sums.check(results / FILE)
    try:
        with (results / FILE).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return []
    types = Odd.__annotations__
    return [Odd(**{name: types[name](value) for name, value in row.items()}) for row in rows]
