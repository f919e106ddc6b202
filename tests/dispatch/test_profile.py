from pathlib import Path

import pytest

from replicate.dispatch.slurm import profile
from replicate.errors import UserError


def test_the_examples_are_sound(project: Path) -> None:
    one = profile.read_profile(project, "one-gpu")
    assert (one.gpus, one.cpus, one.memory_gb, one.minutes) == (1, 32, 40.0, 720)
    assert profile.read_profile(project, "cpu").gpus == 0


def test_an_unknown_profile_names_the_known(project: Path) -> None:
    with pytest.raises(UserError, match=r"no cluster profile 'gpus'.*choose from cpu, one-gpu"):
        profile.read_profile(project, "gpus")


def test_a_file_of_ones_own(project: Path, tmp_path: Path) -> None:
    text = (project / "experiments" / "clusters" / "cpu.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("minutes: 240", "minutes: 5"))
    assert profile.read_profile(project, str(tmp_path / "mine.yaml")).minutes == 5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("minutes: 240", 'minutes: "04:00:00"', "minutes: Input should be a valid integer"),
        ("minutes: 240", "minutes: 1", "minutes: Input should be greater than or equal to 2"),
        ("minutes: 240", "", "minutes: Field required"),
        ("gpus: 0", "gpus: 0\nqueue: fast", "queue: Extra inputs are not permitted"),
        ("memory_gb: 4.0", "memory_gb: 4G", "memory_gb: Input should be a valid number"),
        ("modules: []", 'modules: ["cuda; rm -rf /"]', "modules.0: String should match pattern"),
        ("partition: null", 'partition: "a b"', "partition: String should match pattern"),
        ("environment: {}", "environment: {A-B: x}", "should match pattern"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    project: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (project / "experiments" / "clusters" / "cpu.yaml").read_text()
    path = tmp_path / "mine.yaml"
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=r"mine.yaml:\d+: ") as error:
        profile.read_profile(project, str(path))
    assert message in str(error.value)
