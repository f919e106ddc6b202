"""Jobs that end without a word, or never begin: each is named in one line, and nothing waits for it."""

from typing import Any

import pytest

from tests.slurm.login import QUICK, Login

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
CELL = "table1/cifar10/avgpool"


DEATHS: dict[str, dict[str, Any]] = {
    "out of memory; raise memory_gb in the profile": {
        **{"memory_gb": 0.1, "environment": {"EPOCH_SECONDS": "10"}},  # SLURM looks every 2 s
    },
    "module cuda/99 cannot be loaded": {"modules": ["cuda/99"]},
    "failed (7:0): the disk is full": {"setup": ["echo the disk is full >&2; exit 7"]},
}


def test_a_death_is_one_line_with_the_log_and_what_cannot_begin_another(login: Login) -> None:
    """Side by side, each in a project of its own."""
    login.submit(CELL, *QUICK, cpus=64)
    dying = {said: login.beside(f"death-{number}") for number, said in enumerate(DEATHS)}
    for said, one in dying.items():
        one.submit(CELL, *QUICK, **DEATHS[said])
    for said, one in dying.items():
        lines = one.wait(code=1).splitlines()
        (line,) = [line for line in lines if "ended without a result" in line]
        assert said in line
        assert line.startswith(f"  {CELL} seed 0: task ")
        assert line.endswith("_0_log.err")
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
