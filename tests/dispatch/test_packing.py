from collections.abc import Callable
from pathlib import Path

import pytest

from replicate.dispatch.slurm import packing
from replicate.dispatch.slurm.profile import Profile, read_profile
from replicate.plan import forecast
from replicate.plan import runs as plan
from replicate.plan.runs import Run
from replicate.specs import catalogue, resolve
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
    assert _packed(runs("ab", 3), 10, parallel=2) == ["a0 a1 a2", "b0 b1 b2"]


def test_they_do_not_where_that_would_take_longer(runs: Callable[[str, int], list[Run]]) -> None:
    assert _packed(runs("ab", 2), 10, parallel=4) == ["a0", "a1", "b0", "b1"]


def test_tasks_are_cut_below_the_time_limit(runs: Callable[[str, int], list[Run]]) -> None:
    # 80 of 100 minutes hold two runs of 30
    assert _packed(runs("a", 5), 30, parallel=1) == ["a0 a1", "a2 a3", "a4"]


def test_a_run_above_the_limit_is_a_task(runs: Callable[[str, int], list[Run]]) -> None:
    assert _packed(runs("ab", 1), 1000, parallel=1) == ["a0", "b0"]


def test_small_cells_share_a_task_of_the_least_length(
    runs: Callable[[str, int], list[Run]],
) -> None:
    assert _packed(runs("abcde", 2), 5, least_minutes=15.0) == [
        "a0 a1 b0 b1",
        "c0 c1 d0",
        "d1 e0 e1",
    ]


def test_there_are_as_many_tasks_as_run_at_once(runs: Callable[[str, int], list[Run]]) -> None:
    # 6 x 10 minutes for 3 at once: 20 minutes each
    assert _packed(runs("abcdef", 1), 10, parallel=3) == ["a0 b0", "c0 d0", "e0 f0"]


def test_every_run_is_in_exactly_one_task(runs: Callable[[str, int], list[Run]]) -> None:
    all_runs = runs("abcdefg", 7)
    for minutes in (0.1, 3, 17, 79, 81, 500):
        packed = " ".join(_packed(all_runs, minutes, parallel=4)).split()
        assert sorted(packed) == sorted(f"{run.cell}{run.seed}" for run in all_runs)


@pytest.mark.parametrize("parallel", [1, 3, 4, 8, 16])
@pytest.mark.parametrize("cluster", ["one-gpu", "cpu"])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_hardly_a_slot_stands_empty(project: Path, parallel: int, cluster: str, seeds: int) -> None:
    """All cells of the paper, whose runs differ in length by a factor of nine."""
    cells = resolve.load(project, catalogue.offered(project, [], "paper"), "paper")
    profile = read_profile(project, cluster).model_copy(update={"parallel": parallel})
    speeds = forecast.assumed([cell.spec for cell in cells], 2000.0)

    def seconds(run: Run) -> float:
        return forecast.seconds(run.spec, speeds) * (3 if run.spec.model.sac else 1)

    all_runs = plan.runs(cells, {cell.name: range(seeds) for cell in cells})
    tasks = packing.pack(all_runs, profile, seconds)
    wall = forecast.total([sum(map(seconds, task)) for task in tasks], parallel)
    least = max(sum(map(seconds, all_runs)) / parallel, *map(seconds, all_runs))
    assert wall < 1.1 * least
    limit = packing.SAFE_SHARE * profile.minutes * 60
    assert all(len(task) == 1 or sum(map(seconds, task)) <= limit for task in tasks)


def test_arrays_are_the_fewest_that_the_limit_allows(
    runs: Callable[[str, int], list[Run]],
) -> None:
    tasks = [[run] for run in runs("a", 7)]
    assert [len(array) for array in packing.arrays(tasks, 3)] == [3, 3, 1]
    assert [len(array) for array in packing.arrays(tasks, 7)] == [7]
