"""run_all.sh, with an environment whose programs only write down how they were called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = """#!/bin/sh
case "$*" in
    *version_info*) exit {old} ;;
    -V) echo Python 3.{minor} ;;
    *"pip --version"*) exit {no_pip} ;;
    *) echo "python $*" >>"{log}"; exit {status} ;;
esac
"""


class Checkout:
    """A copy of the project's entry files, and an environment of pretended programs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        self.env = folder / "an environment"
        self.log = folder / "log"
        self.root.mkdir()
        (self.env / "bin").mkdir(parents=True)
        for name in ("run_all.sh", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root)
        self.python()
        for name in ("uv", "replicate"):
            self.program(name, f'#!/bin/sh\necho "{name} $*" >>"{self.log}"\n')

    def program(self, name: str, text: str) -> None:
        path = self.env / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def python(self, *, old: bool = False, no_pip: bool = False, status: int = 0) -> None:
        values = {"old": int(old), "no_pip": int(no_pip), "status": status, "log": self.log}
        self.program("python", PYTHON.format(minor=9 if old else 11, **values))

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        env = {"PATH": os.environ["PATH"], "VIRTUAL_ENV": str(self.env)} | variables
        command = [str(self.root / "run_all.sh"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd="/")

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ([], "--protocol smoke"),
        (["table1/*", "--seeds", "2"], "--protocol smoke table1/* --seeds 2"),
        (["--protocol", "paper", "--seeds", "5"], "--protocol paper --seeds 5"),
        (["--protocol=paper", "--data-dir", "a b"], "--protocol=paper --data-dir a b"),
        (["--campaign", "begun"], "--campaign begun"),
    ],
)
def test_options_reach_replicate_run(checkout: Checkout, given: list[str], passed: str) -> None:
    assert checkout.run(*given).returncode == 0
    assert checkout.calls()[-1] == f"replicate run {passed}"


def test_a_cluster_gets_the_campaign(checkout: Checkout) -> None:
    checkout.run("--cluster", "one-gpu", "--protocol", "paper", "--seeds", "5", "--wait")
    given = "--cluster one-gpu --protocol paper --seeds 5 --wait"
    assert checkout.calls()[-1] == f"replicate submit {given}"
    checkout.run("--cluster=one-gpu")
    assert checkout.calls()[-1] == "replicate submit --protocol smoke --cluster=one-gpu"


def test_the_exit_status_is_that_of_replicate(checkout: Checkout) -> None:
    checkout.program("replicate", "#!/bin/sh\nexit 2\n")
    assert checkout.run("--nonesuch").returncode == 2


def test_it_installs_once_for_each_state(checkout: Checkout) -> None:
    checkout.run("setup")
    lock, project = checkout.calls()[-2:]
    assert lock.endswith("-r requirements.lock")
    assert project.endswith("--no-deps -e .")
    checkout.run("setup")
    assert checkout.calls() == []
    with (checkout.root / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    checkout.run("setup")
    assert checkout.calls()[-2:] == [lock, project]


def test_a_failed_installation_is_tried_again(checkout: Checkout) -> None:
    checkout.program("uv", "#!/bin/sh\nexit 1\n")
    assert checkout.run().returncode == 1
    assert not any(call.startswith("replicate") for call in checkout.calls())
    checkout.program("uv", f'#!/bin/sh\necho "uv $*" >>"{checkout.log}"\n')
    assert checkout.run().returncode == 0
    assert any("-r requirements.lock" in call for call in checkout.calls())


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ([], "2 --quick"),
        (["all"], "3"),
        (["all", "--durations=5"], "3 --durations=5"),
        (["-k", "a name"], "2 -k a name"),
    ],
)
def test_test_runs_pytest(checkout: Checkout, given: list[str], passed: str) -> None:
    checkout.run("test", *given)
    assert checkout.calls()[-1] == f"python -m pytest -q -n {passed}"


def test_conda_environments_are_used(checkout: Checkout) -> None:
    conda = {"VIRTUAL_ENV": "", "CONDA_PREFIX": str(checkout.env), "CONDA_DEFAULT_ENV": "mine"}
    assert checkout.run("setup", **conda).stdout.strip() == str(checkout.env)


def test_the_base_conda_environment_is_left_alone(checkout: Checkout) -> None:
    (checkout.root / ".venv").symlink_to(checkout.env)
    conda = {"VIRTUAL_ENV": "", "CONDA_PREFIX": "/nonesuch", "CONDA_DEFAULT_ENV": "base"}
    result = checkout.run("setup", **conda)
    assert result.stdout.strip() == str(checkout.root / ".venv")


def test_an_old_python_is_refused(checkout: Checkout) -> None:
    checkout.python(old=True)
    result = checkout.run()
    assert result.returncode == 1
    assert "has no Python 3.11 or newer" in result.stderr
    assert checkout.calls() == []


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("#!/bin/sh\n[ $1 = -V ] && echo Python 3.9.2\nexit 1\n", "needed, found Python 3.9.2"),
        ('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\n', "apt-get install python3-venv"),
    ],
    ids=["old", "without ensurepip"],
)
def test_what_a_bare_debian_lacks_is_named(
    checkout: Checkout, tmp_path: Path, python: str, message: str
) -> None:
    path = tmp_path / "path"
    path.mkdir()
    for name in ("bash", "dirname"):
        (path / name).symlink_to(str(shutil.which(name)))
    (path / "python3").write_text(python)
    (path / "python3").chmod(0o755)
    result = checkout.run(VIRTUAL_ENV="", PATH=str(path))
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert message in line


def test_a_namesake_from_pypi_is_refused(checkout: Checkout) -> None:
    folder = checkout.env / "lib" / "python3.11" / "site-packages" / "replicate"
    folder.mkdir(parents=True)
    assert checkout.run().returncode == 0, "an empty folder hides nothing"
    (folder / "__init__.py").touch()
    done = checkout.run()
    assert done.returncode == 1
    assert "replicate/ hides this project:" in done.stderr
    assert "-m pip uninstall -y replicate flexpooling-replication" in done.stderr
    assert checkout.calls() == []


def test_what_was_uninstalled_is_installed_again(checkout: Checkout) -> None:
    """As that advice does, where it meets the project's own copy."""
    checkout.run()
    (checkout.env / "bin" / "replicate").unlink()
    checkout.run()
    assert any("-e ." in call for call in checkout.calls())


def test_the_users_own_settings_of_pip_do_not_matter(checkout: Checkout) -> None:
    text = PYTHON.replace('echo "python $*"', 'echo "$PIP_USER ${{PIP_TARGET-none}}"')
    values = {"minor": 11, "old": 0, "no_pip": 0, "status": 0, "log": checkout.log}
    checkout.program("python", text.format(**values))
    checkout.run(PIP_USER="1", PIP_TARGET="/elsewhere")
    assert checkout.calls()[0] == "0 none"


def test_cdpath_leads_nowhere_else(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "decoy" / "a checkout").mkdir(parents=True)
    checkout.log.write_text("")
    done = subprocess.run(
        ["bash", "a checkout/run_all.sh"], capture_output=True, text=True, cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "VIRTUAL_ENV": str(checkout.env), "CDPATH": str(tmp_path / "decoy")},
    )  # fmt: skip
    assert done.returncode == 0
    assert "No such file" not in done.stderr
