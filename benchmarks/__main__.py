"""python -m benchmarks: measure, print the tables, keep them in benchmarks/results/."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import accuracy, gpu, harness, machine, smoke, startup, targets, training
from benchmarks.table import Options, Section

PIECES: dict[str, Callable[[Options], list[Section]]] = {
    "loop": training.against_loop,
    "ingredients": training.ingredients,
    "pools": training.pools,
    "profile": training.profile,
    "workers": training.workers,
    "startup": startup.run,
    "gpu": gpu.run,
    "harness": harness.run,
    "smoke": smoke.run,
    "accuracy": accuracy.run,
}
ALONE = {"accuracy"}
"""Only when named: it needs other images, and half an hour."""
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    given = _parsed()
    options = Options(given.quick, given.rounds or (2 if given.quick else 5), given.data)
    names = given.only or [name for name in PIECES if name not in ALONE]
    print(f"load of the machine: {os.getloadavg()[0]:.1f}; measure when it is idle", flush=True)
    sections = []
    for name in names:
        print(f"measuring: {name}", flush=True)
        new = PIECES[name](options)
        sections += new
        print("\n\n".join(section.markdown() for section in new), flush=True)
    if given.quick:
        print("quick: too small to say anything, so not kept")
        return
    target = given.output or RESULTS / machine.file_name(given.only or ())
    target.parent.mkdir(exist_ok=True)
    target.write_text(_document(sections), encoding="utf-8")
    print(f"written: {target}")


def _document(sections: Sequence[Section]) -> str:
    all_of_it = [targets.section(sections), *sections]
    facts = "\n".join(f"- {line}" for line in machine.describe())
    text = "Comparisons are interleaved; ratios are medians over the rounds (n) of one run."
    return "\n\n".join(["# Measured", facts, text, *(one.markdown() for one in all_of_it)]) + "\n"


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=PIECES, help="a piece; repeatable")
    parser.add_argument("--quick", action="store_true", help="small sizes: does everything work?")
    parser.add_argument("--rounds", type=int, help="of every comparison; default 5, quick 2")
    parser.add_argument(
        "--data", help="folder of a prepared cache entry with real images; default: generated ones"
    )
    where = "default: benchmarks/results/<machine>.md, with the pieces of --only in its name"
    parser.add_argument("--output", type=Path, help=where)
    return parser.parse_args()


if __name__ == "__main__":
    main()
