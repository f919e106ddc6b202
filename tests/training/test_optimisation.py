import math
from collections.abc import Callable

import pytest
import torch

from replicate.models import build_model
from replicate.specs.spec import Spec
from replicate.training.optimisation import build_optimizer, build_schedule

MakeSpec = Callable[..., Spec]
STEPS = 40


def cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def one_cycle(step: int, start: float, middle: float, end: float) -> float:
    """Up over the first 30 % of the steps, down over the rest (Smith and Topin, as the library)."""
    peak = 0.3 * STEPS - 1
    if step <= peak:
        return cosine(start, middle, step / peak)
    return cosine(middle, end, (step - peak) / (STEPS - 1 - peak))


def table(spec: Spec, key: str) -> list[list[float]]:
    """The value of every parameter group at every step."""
    optimizer = build_optimizer(build_model(spec), spec.training)
    schedule = build_schedule(optimizer, spec.training, STEPS)
    rows = []
    for _ in range(STEPS):
        values = [group[key] for group in optimizer.param_groups]
        rows.append([v[0] if key == "betas" else v for v in values])
        optimizer.step()
        schedule.step()
    return rows


def test_one_cycle_rates_of_both_groups(make_spec: MakeSpec) -> None:
    rates = table(make_spec(learning_rate=0.1, pool_rate_factor=0.01), "lr")
    for step, (network, pools) in enumerate(rates):
        expected = one_cycle(step, 0.1 / 25, 0.1, 0.1 / 25 / 1e4)
        assert network == pytest.approx(expected, rel=1e-9)
        assert pools == pytest.approx(expected / 100, rel=1e-9)


@pytest.mark.parametrize(
    ("optimizer", "key", "low"), [("adam", "betas", 0.85), ("sgd", "momentum", 0.9)]
)
def test_one_cycle_turns_momentum_the_other_way(
    make_spec: MakeSpec, optimizer: str, key: str, low: float
) -> None:
    for step, values in enumerate(table(make_spec(optimizer=optimizer), key)):
        assert values == pytest.approx([one_cycle(step, 0.95, low, 0.95)] * 2, rel=1e-9)


def test_annealing_starts_at_the_rate_and_ends_near_nought(make_spec: MakeSpec) -> None:
    spec = make_spec(learning_rate=0.1, schedule="anneal", pool_rate_factor=0.5)
    for step, (network, pools) in enumerate(table(spec, "lr")):
        assert network == pytest.approx(cosine(0.1, 0, step / STEPS), rel=1e-6)
        assert pools == pytest.approx(network / 2, rel=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_annealing_leaves_momentum_alone(make_spec: MakeSpec, optimizer: str) -> None:
    key = "betas" if optimizer == "adam" else "momentum"
    rows = table(make_spec(optimizer=optimizer, schedule="anneal"), key)
    assert rows == [[0.9, 0.9]] * STEPS


@pytest.mark.parametrize(("pool", "groups"), [("avg", 1), ("flex", 2)])
def test_every_parameter_is_in_one_group(make_spec: MakeSpec, pool: str, groups: int) -> None:
    spec = make_spec(pool=pool, sac=True, weight_decay=1e-4)
    model = build_model(spec)
    optimizer = build_optimizer(model, spec.training)
    assert len(optimizer.param_groups) == groups
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(map(id, model.parameters()))
    assert {group["weight_decay"] for group in optimizer.param_groups} == {1e-4}
    if pool == "flex":
        assert [p.shape[1] for p in optimizer.param_groups[1]["params"]] == [16, 32, 64]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_step_is_that_of_the_unfused_optimiser(make_spec: MakeSpec, optimizer: str) -> None:
    spec = make_spec(optimizer=optimizer, weight_decay=0.1)
    ours, theirs = build_model(spec), build_model(spec)
    theirs.load_state_dict(ours.state_dict())
    classes = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    momentum = {"momentum": 0.9} if optimizer == "sgd" else {}
    reference = classes[optimizer](
        theirs.parameters(), lr=0.01, weight_decay=0.1, fused=False, **momentum
    )
    optimiser = build_optimizer(ours, spec.training)
    for _ in range(3):
        for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            its.grad = mine.grad.clone()
        optimiser.step()
        reference.step()
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, its)
