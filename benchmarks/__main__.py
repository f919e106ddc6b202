"""python -m benchmarks: measure, print the tables, keep them in benchmarks/results/."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import accuracy, harness, machine, startup, training
from benchmarks.table import Options, Section

PIECES: dict[str, Callable[[Options], list[Section]]] = {
    "loop": training.against_loop,
    "ingredients": training.ingredients,
    "pools": training.pools,
    "workers": training.workers,
    "startup": startup.run,
    "harness": harness.run,
    "accuracy": accuracy.run,
}
ALONE = {"accuracy"}
"""Only when named: it needs other images, and half an hour."""
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    given = _parsed()
    options = Options(given.quick, given.rounds or (3 if given.quick else 7), given.data)
    names = given.only or [name for name in PIECES if name not in ALONE]
    print(f"load of the machine: {os.getloadavg()[0]:.1f}; measure when it is idle", flush=True)
    sections = []
    for name in names:
        print(f"measuring: {name}", flush=True)
        new = PIECES[name](options)
        sections += new
        print("\n\n".join(section.markdown() for section in new), flush=True)
    target = given.output or RESULTS / machine.file_name()
    if given.quick and not given.output:
        print("quick: too small to say anything, so not kept")
        return
    target.parent.mkdir(exist_ok=True)
    target.write_text(_document(sections), encoding="utf-8")
    print(f"written: {target}")


def _document(sections: Sequence[Section]) -> str:
    facts = "\n".join(f"- {line}" for line in machine.describe())
    text = "Comparisons are interleaved; ratios are medians over the rounds (n) of one run."
    return "\n\n".join(["# Measured", facts, text, *(one.markdown() for one in sections)]) + "\n"


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=PIECES, help="a piece; repeatable")
    parser.add_argument("--quick", action="store_true", help="small sizes: does everything work?")
    parser.add_argument("--rounds", type=int, help="of every comparison; default 7, quick 3")
    parser.add_argument(
        "--data", help="folder of a prepared cache entry with real images; default: generated ones"
    )
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/<machine>.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
