"""How a machine is shared among runs."""

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


def test_the_processor_has_a_name() -> None:
    name = machine.processor()
    assert name == name.strip() != ""
    assert "\n" not in name
