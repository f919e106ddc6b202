"""Where the numbers come from: one line while every run was made alike, the differences where not."""

import re
from collections.abc import Iterator

import pandas as pd

from replicate.report.document import Section, Text
from replicate.results.origins import ORIGINS, UNKNOWN
from replicate.results.read import Results, records
from replicate.text import many

COMMON = {name: what for name, what in ORIGINS.items() if name != "fingerprint"} | {
    "threads": "threads"
}
SHORT, DIGITS = 12, 16
"""Of a digest of code and of a fingerprint, enough to tell any two apart."""


def section(results: Results) -> Section:
    found = results.contrasts.made
    if found.empty:
        return Section("Provenance", (Text("No run has finished."),))
    said = (_uniform(found), *_differences(found), _days(found), _images(found), _answers(results))
    return Section("Provenance", (Text(" ".join(filter(None, said))),))


def _uniform(found: pd.DataFrame) -> str:
    same = [
        f"{what} {found[name].iloc[0]}"
        for name, what in COMMON.items()
        if found[name].nunique() == 1
    ]
    whose = f"The same in all {len(found)} finished runs" if len(found) > 1 else "The finished run"
    return f"{whose}: {', '.join(same) or 'nothing'}."


def _days(found: pd.DataFrame) -> str:
    days = sorted({start[: len("2026-01-31")] for start in found["started"]} - {UNKNOWN})
    if not days:
        return ""
    return f"Begun on {days[0]}." if len(days) == 1 else f"Begun from {days[0]} to {days[-1]}."


def _answers(results: Results) -> str:
    known, finished = int(results.done["right"].notna().sum()), len(results.done)
    if known == finished:
        return ""
    which, verb = f"Only {known}" if known else "None", "say" if known > 1 else "says"
    return f"{which} of the {finished} records {verb} which test images its network got right."


def _differences(found: pd.DataFrame) -> Iterator[str]:
    for name, what in COMMON.items():
        if found[name].nunique() > 1:
            values = (_value(str(value), own) for value, own in found.groupby(name))
            yield f"Differing: {what} {'; '.join(values)}."


def _value(value: str, own: pd.DataFrame) -> str:
    """Of a digest its first digits; provenance.csv has them all."""
    digest, _, rest = value.partition(" ")
    short = digest[:SHORT] if re.fullmatch("[0-9a-f]{40,64}", digest) else digest
    text = " ".join(filter(None, [short, rest]))
    return f"{text} ({many(len(own), 'run')}, {many(own['cell'].nunique(), 'cell')})"


def _images(found: pd.DataFrame) -> str:
    alike = found.groupby(["dataset", "source", "fingerprint"], sort=False, as_index=False).size()
    said = "; ".join(
        f"{one['dataset']} from source {one['source']}, {one['fingerprint'][:DIGITS]} "
        f"({many(one['size'], 'run')})"
        for one in records(alike)
    )
    return f"Images, with the first {DIGITS} digits of their fingerprints (SHA-256): {said}."
