"""Our training step: against the usual loop, by ingredient, by pool, by workers and threads."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from statistics import median
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import images, loop, ours
from benchmarks.ours import AVERAGE, AVERAGE_SAC, FLEX, FLEX_SAC, Ingredients
from benchmarks.table import Found, Options, Section, ratio, spread
from benchmarks.targets import held
from benchmarks.teams import Measured, Team, Work, compete
from replicate import machine
from replicate.training import engine

EAGER = Ingredients()
COMPILED = Ingredients(compiled=True)
WAYS = {"eager": EAGER, "compiled": COMPILED}
BATCH, QUICK_BATCH = 1000, 100
_SHOWN = 8


def against_loop(options: Options) -> list[Section]:
    """All cores for each: the loop in one process with all threads, ours as a worker a core."""
    loops, own, ceilings = _against(options)
    measured = compete({**loops, **own, **ceilings}, options.rounds)
    best, fastest, ceiling = (_fastest(measured, teams) for teams in (loops, own, ceilings))
    times = ratio(measured[fastest].speeds, measured[best].speeds)
    peak = max(measured[name].mebibytes for name in own) / 1024
    batch = _common(options)["batch"]
    notes = [images.said(options.data), f"Batches of {batch}. Ratios are to the best loop."]
    rows = _speeds({name: measured[name] for name in [*loops, *own]}, best)
    found = held("loop", f"{times:.2f}", times) | held("memory", f"{peak:.2f} GiB", peak)
    title = "Our step against the loop that people write"
    rates = {name: median(measured[name].speeds) for name in own}
    share = _share(rates, median(measured[ceiling].speeds), _flops(options))
    return [Section(title, _COLUMNS, rows, notes, found), share]


def _against(options: Options) -> tuple[dict[str, Team], ...]:
    """The loop's ways, ours, and the processor's own convolution, which no network can exceed."""
    cores, batch = machine.cores(), options.size(32, 4)
    usual = {"cell": FLEX, **_common(options), "threads": cores}
    loops = {
        "loop, no loader workers": Team(loop.build, {**usual, "loaders": 0}),
        f"loop, {cores} loader workers": Team(loop.build, {**usual, "loaders": cores}),
    }
    own = {
        f"ours, {way}, {cores} workers x 1 thread": _ours(options, chosen, cores)
        for way, chosen in WAYS.items()
    }
    ceilings = {
        "one process": Team(convolve, {"batch": batch, "threads": cores}),
        "one a core": Team(convolve, {"batch": batch, "threads": 1}, cores),
    }
    return loops, own, ceilings


def _ours(options: Options, chosen: Ingredients, processes: int = 1, **more: int) -> Team:
    """Processes of one thread."""
    common = {"cell": FLEX, **_common(options), "threads": 1, "ingredients": chosen}
    return Team(ours.build, {**common, **more}, processes)


def _fastest(measured: Mapping[str, Measured], names: Iterable[str]) -> str:
    return max(names, key=lambda name: median(measured[name].speeds))


def _share(rates: Mapping[str, float], ceiling: float, flops: float) -> Section:
    """From images a second of each variant, operations a second of the processor, and operations an image."""
    shares = {name: rate * flops / ceiling for name, rate in rates.items()}
    rows = [
        (name, f"{rates[name] * flops / 1e9:.0f}", f"{ceiling / 1e9:.0f}", f"{share:.0%}")
        for name, share in shares.items()
    ]
    columns = ("variant", "GFLOP/s", "processor's own", "share")
    step = f"A step is {flops / 1e6:.0f} MFLOP an image."
    note = f"Its own: 3x3 convolution of 256 channels, 28x28. {step}"
    found = held("convolution", f"{max(shares.values()):.0%}", 100 * max(shares.values()))
    title = "Share of the processor's own bfloat16 convolution rate"
    return Section(title, columns, rows, [note], found)


def ingredients(options: Options) -> list[Section]:
    """Each left out of what the suite does on a processor; and compiling, which it leaves out, put in."""
    variants = {
        "as the suite does": EAGER,
        "without bfloat16": replace(EAGER, bfloat16=False),
        "without channels_last": replace(EAGER, channels_last=False),
        "without keeping memory": replace(EAGER, memory=False),
        "with none of these": Ingredients(False, False, False, False),
        "and compiled": COMPILED,
    }
    teams = {name: _ours(options, chosen, steps=1) for name, chosen in variants.items()}
    rows = _speeds(compete(teams, options.rounds), "as the suite does")
    notes = [images.said(options.data), "One process of one thread; data in memory in all of them."]
    return [Section("Ingredients", _COLUMNS, rows, notes)]


def profile(options: Options) -> list[Section]:
    """Where the processor time of a step goes."""
    engine.start(1)
    common = _common(options)
    step = ours.stepping(ours.run_of(FLEX, common["batch"], 2, EAGER, common["entry"]))
    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(options.rounds):
            step()
    spent = {one.key: one.self_cpu_time_total for one in profiler.key_averages()}
    total = sum(spent.values())
    most = sorted(spent, key=spent.__getitem__, reverse=True)[:_SHOWN]
    shares = {name: spent[name] / total for name in most}
    shares["all others"] = 1 - sum(shares.values())
    rows = [(name, f"{share:.1%}") for name, share in shares.items()]
    convolution = sum(own for name, own in spent.items() if "convolution" in name) / total
    seconds = total / options.rounds / 1e6
    notes = [
        images.said(options.data),
        f"Batches of {common['batch']}, one thread, bfloat16, {options.rounds} steps of {seconds:.2f} s.",
        f"Were all but convolution free, a step would be {1 / convolution:.2f} times as fast.",
    ]
    return [Section("Where the time of a step goes", ("operator", "share"), rows, notes)]


def workers(options: Options) -> list[Section]:
    cores = machine.cores()
    teams = {
        f"{processes} x {threads}": _ours(options, EAGER, processes, threads=threads)
        for processes, threads in dict.fromkeys([(cores, 1), (1, cores), (1, 1)])
    }
    rows = _speeds(compete(teams, options.rounds), f"1 x {cores}")
    return [Section("Workers x threads (eager)", _COLUMNS, rows, [images.said(options.data)])]


def pools(options: Options) -> list[Section]:
    """In one process, step by step in turns: the closest comparison there is."""
    engine.start(1)
    common = _common(options)
    cells = {
        "AvgPool": AVERAGE,
        "FlexPool": FLEX,
        "AvgPool, SAC": AVERAGE_SAC,
        "FlexPool, SAC": FLEX_SAC,
    }
    bases = {"FlexPool": "AvgPool", "FlexPool, SAC": "AvgPool, SAC"}
    ratios: dict[str, dict[str, float]] = {name: {} for name in bases}
    rows: list[tuple[object, ...]] = []
    for way, chosen in WAYS.items():
        runs = {
            name: ours.run_of(cell, common["batch"], 2, chosen, common["entry"])
            for name, cell in cells.items()
        }
        times = ours.step_times(runs, 3 * options.rounds)
        for name, base in bases.items():
            ratios[name][way] = ratio(times[name], times[base])
        for name, own in times.items():
            shown = f"{ratios[name][way]:.3f} of {bases[name]}" if name in bases else ""
            rows.append((way, name, ours.milliseconds(own), shown, len(own)))
    columns = ("way", "classifier", "ms a step", "ratio", "n")
    notes = [images.said(options.data), f"Batches of {common['batch']}, one thread, bfloat16."]
    found = _over("pool", ratios["FlexPool"]) | _over("sac", ratios["FlexPool, SAC"])
    return [Section("FlexPool and SAC over AvgPool", columns, rows, notes, found)]


def _over(target: str, ratios: Mapping[str, float]) -> dict[str, Found]:
    """Met where every way of computing is within it."""
    shown = ", ".join(f"{share:.3f} {way}" for way, share in ratios.items())
    return held(target, shown, max(ratios.values()))


_COLUMNS = ("variant", "images/s", "range", "ratio", "peak MiB", "n")


def _common(options: Options) -> dict[str, Any]:
    batch = options.size(BATCH, QUICK_BATCH)
    return {"batch": batch, "steps": 2, "entry": options.data}


def _speeds(measured: dict[str, Measured], base: str) -> list[tuple[object, ...]]:
    return [
        (
            name, f"{median(own.speeds):.0f}", spread(own.speeds),
            f"{ratio(own.speeds, measured[base].speeds):.2f}", f"{own.mebibytes:.0f}", len(own.speeds),
        )
        for name, own in measured.items()
    ]  # fmt: skip


def _flops(options: Options) -> float:
    """Of forward and backward pass, an image."""
    run = ours.run_of(FLEX, 10, 2, EAGER, options.data)
    step = ours.stepping(run)
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops()) / 10


def convolve(batch: int, threads: int) -> Work:
    """Blocks of the processor's own convolution; counts operations instead of images."""
    engine.start(threads)
    x = torch.randn(batch, 256, 28, 28, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    w = torch.randn(256, 256, 3, 3, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    flop = 2 * batch * 256 * 256 * 9 * 28 * 28

    def block() -> int:
        with torch.no_grad():
            for _ in range(10):
                F.conv2d(x, w, padding=1)
        return 10 * flop

    return block
