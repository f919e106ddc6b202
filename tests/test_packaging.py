"""pyproject.toml (ranges), requirements.lock (pins) and environment.yml say the same."""

import re
import shutil
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
FILES = ("pyproject.toml", "requirements.lock", "environment.yml")


def direct_requirements(project: dict) -> list[Requirement]:
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for line in chain.from_iterable(lists)]


def locked_pins(lock: str) -> dict[str, str]:
    """Name and version of every pin; anything but `name==version` and comments is an error."""
    pins: dict[str, str] = {}
    for line in lock.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pin = Requirement(line)
        name, version = canonicalize_name(pin.name), str(pin.specifier).removeprefix("==")
        if str(pin.specifier) != f"=={version}" or name in pins:
            raise ValueError(f"not one exact pin: {line}")
        pins[name] = version
    return pins


def problems(root: Path) -> list[str]:
    """One line for each way in which the three files of a folder contradict each other."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    pins = locked_pins((root / "requirements.lock").read_text())
    environment = yaml.safe_load((root / "environment.yml").read_text())["dependencies"]
    found = []
    for requirement in direct_requirements(project):
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None:
            found.append(f"{requirement.name} is not in requirements.lock")
        elif not requirement.specifier.contains(pin, prereleases=True):
            found.append(f"{requirement} excludes the pin {pin}")
    if {"pip": ["-r requirements.lock", "-e ."]} not in environment:
        found.append("environment.yml does not install requirements.lock and the project")
    conda = [Requirement(entry) for entry in environment if isinstance(entry, str)]
    python = next((entry.specifier for entry in conda if entry.name == "python"), None)
    if python != SpecifierSet(project["requires-python"]):
        found.append(f"environment.yml has Python {python}, not {project['requires-python']}")
    return found


def test_the_three_files_agree() -> None:
    assert problems(ROOT) == []


def test_every_direct_requirement_is_seen() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {requirement.name for requirement in direct_requirements(project)}
    assert names >= {"torch", "torchvision", "submitit", "pydantic", "typer", "pytest", "mypy"}
    assert all(requirement.specifier for requirement in direct_requirements(project))


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("pyproject.toml", r'"torch>=', '"torch>=99.', "torch>=99.* excludes the pin"),
        ("pyproject.toml", r'"jinja2', '"nonesuch>=1", "jinja2', "nonesuch is not in"),
        ("pyproject.toml", r'"mypy>=', '"mypy<', "mypy<.* excludes the pin"),
        ("pyproject.toml", r'python = ">=3.11"', 'python = ">=3.12"', "has Python >=3.11, not"),
        ("requirements.lock", r"(?m)^numpy==\S+", "numpy==1.26.4", "numpy.* excludes the pin"),
        ("requirements.lock", r"(?m)^pytest==.*\n", "", "pytest is not in"),
        ("environment.yml", r"-r requirements.lock", "torch", "does not install"),
        ("environment.yml", r"python>=3.11", "python>=3.10", "has Python >=3.10, not"),
    ],
)
def test_a_contradiction_is_found(
    tmp_path: Path, file: str, old: str, new: str, problem: str
) -> None:
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    text, count = re.subn(old, new, (ROOT / file).read_text())
    assert count == 1
    (tmp_path / file).write_text(text)
    [found] = problems(tmp_path)
    assert re.search(problem, found)


@pytest.mark.parametrize("line", ["torch>=2.11", "torch==2.15.0\ntorch==2.14.0", "torch"])
def test_a_lock_that_is_not_exact_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not one exact pin"):
        locked_pins(line)


def test_the_lock_names_the_command_that_made_it() -> None:
    header = (ROOT / "requirements.lock").read_text().splitlines()[1]
    assert "uv pip compile" in header
    assert header.endswith("pyproject.toml -o requirements.lock")
