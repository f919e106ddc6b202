from collections.abc import Callable

import pytest

from replicate.dispatch.slurm import packing
from replicate.dispatch.slurm.profile import Profile
from replicate.plan.runs import Run
from replicate.specs.spec import Spec


@pytest.fixture
def runs(spec: Spec) -> Callable[[str, int], list[Run]]:
    """Runs of cells named by letters, seed by seed, as a campaign lists them."""

    def make(cells: str, seeds: int) -> list[Run]:
        return [Run(cell, spec, seed) for seed in range(seeds) for cell in cells]

    return make


def _profile(**changes: object) -> Profile:
    values: dict[str, object] = {
        **{"partition": None, "account": None, "qos": None, "constraint": None, "gpus": 1},
        **{"minutes": 100, "cpus": 1, "memory_gb": 1.0, "parallel": 100, "least_minutes": 0.0},
        **{"images_per_second": 1.0, "modules": (), "setup": (), "environment": {}},
    }
    return Profile.model_validate({**values, **changes})


def _packed(runs: list[Run], minutes: float, **profile: object) -> list[str]:
    tasks = packing.pack(runs, _profile(**profile), lambda run: minutes * 60)
    return [" ".join(f"{run.cell}{run.seed}" for run in task) for task in tasks]


def test_seeds_of_a_cell_share_a_task(runs: Callable[[str, int], list[Run]]) -> None:
    assert _packed(runs("ab", 3), 10) == ["a0 a1 a2", "b0 b1 b2"]


def test_a_cell_is_cut_below_the_time_limit(runs: Callable[[str, int], list[Run]]) -> None:
    # 80 of 100 minutes hold two runs of 30
    assert _packed(runs("a", 5), 30) == ["a0 a1", "a2 a3", "a4"]


def test_a_run_above_the_limit_is_a_task(runs: Callable[[str, int], list[Run]]) -> None:
    assert _packed(runs("ab", 1), 1000) == ["a0", "b0"]


def test_small_cells_share_a_task_of_the_least_length(
    runs: Callable[[str, int], list[Run]],
) -> None:
    assert _packed(runs("abcde", 2), 5, least_minutes=15.0) == [
        "a0 a1 b0 b1",
        "c0 c1 d0 d1",
        "e0 e1",
    ]


def test_there_are_as_many_tasks_as_run_at_once(runs: Callable[[str, int], list[Run]]) -> None:
    # 6 x 10 minutes for 3 at once: 20 minutes each
    assert _packed(runs("abcdef", 1), 10, parallel=3) == ["a0 b0", "c0 d0", "e0 f0"]


def test_every_run_is_in_exactly_one_task(runs: Callable[[str, int], list[Run]]) -> None:
    all_runs = runs("abcdefg", 7)
    for minutes in (0.1, 3, 17, 79, 81, 500):
        packed = " ".join(_packed(all_runs, minutes, parallel=4)).split()
        assert sorted(packed) == sorted(f"{run.cell}{run.seed}" for run in all_runs)


def test_arrays_are_the_fewest_that_the_limit_allows(
    runs: Callable[[str, int], list[Run]],
) -> None:
    tasks = [[run] for run in runs("a", 7)]
    assert [len(array) for array in packing.arrays(tasks, 3)] == [3, 3, 1]
    assert [len(array) for array in packing.arrays(tasks, 7)] == [7]
