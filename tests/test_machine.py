"""How a machine is shared among runs."""

import platform
from pathlib import Path

import pytest

from replicate import machine


@pytest.mark.parametrize(
    ("runs", "gpus", "workers", "threads", "expected"),
    [
        (32, 0, None, None, (8, 1)),  # one a core
        (3, 0, None, None, (3, 2)),  # no idle workers
        (32, 2, None, None, (2, 4)),  # one a GPU
        (32, 2, 6, None, (6, 1)),
        (32, 0, 3, 5, (3, 5)),
        (32, 0, 20, None, (20, 1)),
        (0, 0, None, None, (1, 8)),
    ],
)
def test_share(
    monkeypatch: pytest.MonkeyPatch,
    runs: int,
    gpus: int,
    workers: int | None,
    threads: int | None,
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 8)
    assert machine.share(runs, gpus, workers, threads) == expected


GIVEN = [  # the variable, GPUs that torch sees, those of the pool
    (None, 3, ("0", "1", "2")),
    (None, 0, ()),
    ("2,3", 2, ("2", "3")),
    (" 2 , 3,7", 2, ("2", "3")),  # the third is not there
    ("GPU-5ebe9f43, GPU-8c2a", 2, ("GPU-5ebe9f43", "GPU-8c2a")),
    ("MIG-c7384736,MIG-a28ad590 ,MIG-16c4", 1, ("MIG-c7384736", "MIG-a28ad590", "MIG-16c4")),
    ("MIG-c7384736", 0, ()),
    ("", 0, ()),
    ("-1", 0, ()),
]


def give(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if value is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)


@pytest.mark.parametrize(("value", "count", "expected"), GIVEN)
def test_cards_are_those_that_were_given(
    monkeypatch: pytest.MonkeyPatch, value: str | None, count: int, expected: tuple[str, ...]
) -> None:
    give(monkeypatch, value)
    assert machine.cards(count) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, 4), ("2,3", 2), ("0,-1,1", 1), ("-1", 0), ("", 0), (" ", 0), ("MIG-1,MIG-2", 2)],
)
def test_gpus_are_those_that_were_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str | None, expected: int
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidia3", "nvidiactl"):
        (tmp_path / name).touch()
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path)
    give(monkeypatch, value)
    assert machine.gpus() == expected


def test_the_processor_has_a_name() -> None:
    name = machine.processor()
    assert name == name.strip() != ""
    assert "\n" not in name


GIVEN = "processor\t: 0\nvendor_id\t: X\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: {}\nstepping\t: 1\n\n"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("AMD EPYC 9354 32-Core Processor", "AMD EPYC 9354 32-Core Processor"),
        ("Intel(R) Xeon(R) CPU E5-2680 v3 @ 2.50GHz", "Intel(R) Xeon(R) CPU E5-2680 v3 @ 2.50GHz"),
        ("AMD EPYC", "AMD EPYC (family 25, model 17)"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "Intel(R) Xeon(R) CPU @ 2.20GHz (family 25, model 17)"),
        ("", f"{platform.machine()} (family 25, model 17)"),
    ],
)
def test_a_name_that_several_processors_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str, name: str
) -> None:
    """Their last digits differ: no record may pass one for another."""
    facts = tmp_path / "cpuinfo"
    facts.write_text(2 * GIVEN.format(given))
    monkeypatch.setattr(machine, "_CPUINFO", facts)
    assert machine.processor() == name


@pytest.mark.parametrize("text", [None, "Processor\t: AArch64\nCPU part\t: 0xd0c\n"])
def test_a_processor_without_a_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None
) -> None:
    facts = tmp_path / "cpuinfo"
    if text is not None:
        facts.write_text(text)
    monkeypatch.setattr(machine, "_CPUINFO", facts)
    assert machine.processor() == platform.machine()
