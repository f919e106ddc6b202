"""What the suite should reach, and what a run of the benchmarks has found of it."""

from collections.abc import Mapping, Sequence

from benchmarks.table import Found, Section
from replicate import machine

TARGETS: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "loop": (
        "CPU, batch 1000: images a second of all workers over the usual loop's", "at least {}", (5,)
    ),
    "convolution": (
        "the same over the processor's own bfloat16 convolution rate", "at least {} %", (50,)
    ),
    "pool": ("FlexPool over AvgPool, time of a step", "at most {}", (1.03,)),
    "sac": ("FlexPool over AvgPool, both with SAC, time of a step", "at most {}", (1.08,)),
    "beside": ("time beside training and evaluation in a run of 10 epochs", "at most {} %", (3,)),
    "memory": ("peak memory of a worker, batch 1000, beyond the data", "at most {} GiB", (1.6,)),
    "gpu-step": ("one H100, bfloat16, a step of 1000 images", "at most {} ms; stretch 2.4", (4,)),
    "gpu-cell": (
        "one H100, a CIFAR-10 cell of 100 epochs with tests, once compiled",
        "at most {} s; stretch 12", (22,),
    ),
    "harness": (
        "plan, status, aggregate, report over 20,000 runs",
        "at most {}, {}, {}, {} s, {} GiB", (1, 2, 10, 30, 1),
    ),
    "smoke": ("`replicate run --protocol smoke`, 32 cells", "at most {} minutes", (4,)),
    "accuracy": (
        "Fashion-MNIST, bfloat16, eager and compiled, against float32 and eager",
        "within two standard errors", (),
    ),
}  # fmt: skip
"""What is measured, and what it should be: within limits, which are in the units of the text."""
GPU = ("gpu-step", "gpu-cell")


def held(name: str, shown: str, *values: float) -> dict[str, Found]:
    """What was measured of a target, against its limits."""
    _, rule, limits = TARGETS[name]
    sign = -1 if rule.startswith("at least") else 1
    pairs = zip(values, limits, strict=True)
    return {name: Found(shown, all(sign * value <= sign * limit for value, limit in pairs))}


def section(sections: Sequence[Section]) -> Section:
    """Every target, with what was found of it."""
    found = {name: one for own in sections for name, one in own.found.items()}
    rows = [
        (what, rule.format(*limits), *_shown(name, found))
        for name, (what, rule, limits) in TARGETS.items()
    ]
    return Section("Targets", ("what", "target", "measured", "met"), rows)


def _shown(name: str, found: Mapping[str, Found]) -> tuple[str, str]:
    if name in found:
        return found[name].value, "yes" if found[name].met else "no"
    if name in GPU and not machine.gpus():
        return "", "not measured: no GPU"
    return "", "not measured"
