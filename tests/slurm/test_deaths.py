"""Jobs that end without a word, or never begin: each is named in one line, and nothing waits for it."""

import pytest

from tests.slurm.login import QUICK, Login

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
CELL = "table1/cifar10/avgpool"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"memory_gb": 0.1}, "out of memory; raise memory_gb in the profile"),
        ({"modules": ["cuda/99"]}, "module cuda/99 cannot be loaded"),
        ({"setup": ["echo the disk is full >&2; exit 7"]}, "failed (7:0): the disk is full"),
    ],
)
def test_a_death_is_one_line_with_the_log(
    login: Login, changes: dict[str, object], said: str
) -> None:
    login.submit(CELL, *QUICK, **changes)
    output = login.wait(code=1)
    (line,) = [line for line in output.splitlines() if "ended without a result" in line]
    assert said in line
    assert line.startswith(f"  {CELL} seed 0: task ")
    assert line.endswith("_0_log.err")


def test_a_task_that_can_never_begin_is_not_waited_for(login: Login) -> None:
    login.submit(CELL, *QUICK, cpus=64)
    output = login.wait(code=1)
    assert f"{CELL} seed 0: task " in output
    assert " cannot begin: Partition" in output
    login.good("cancel", "smoke")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"partition": "nonesuch"}, "invalid partition specified: nonesuch"),
        ({"memory_gb": 9999.0}, "Memory specification can not be satisfied"),
        ({"constraint": "nonesuch"}, "Invalid feature specification"),
    ],
)
def test_a_request_that_slurm_refuses(login: Login, changes: dict[str, object], said: str) -> None:
    done = login.call("submit", CELL, *QUICK, "--cluster", login.profile(**changes))
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "SLURM refuses the request: " in line
    assert said in line
