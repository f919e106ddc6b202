"""The examples of docs/extending.md and the README, and the one for a folder of one's own run from photos to
report."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from replicate.results.read import read_results
from replicate.specs import resolve

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text() + (ROOT / "README.md").read_text()
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))
Replicate = Callable[..., tuple[int, str, str]]


def test_every_example_is_found() -> None:
    assert len(EXAMPLES) == TEXT.count("```yaml") == 4


@pytest.fixture
def extended(project: Path) -> Path:
    """The project with every example as a file."""
    for name, text in EXAMPLES.items():
        path = project / name
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return project


def test_the_examples_are_sound(extended: Path, replicate: Replicate) -> None:
    code, out, err = replicate("check")
    assert (code, err) == (0, "")
    assert "long" in out
    for name in EXAMPLES:
        cell = name.removeprefix("experiments/").removesuffix(".yaml")
        if cell.startswith("extensions/"):
            assert replicate("show", cell)[0] == 0
    (cell,) = resolve.load(extended, ["table1/cifar10/flexpool"], "long")
    assert cell.spec.training.epochs == 200


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("paper", r"mine.yaml:\d+: protocol.name: expected the file's, 'mine', got 'paper'"),
        ("mine", r"mine.yaml:\d+: protocol.comparable: only 'paper' is judged against the paper"),
    ],
)
def test_a_copied_protocol_is_not_judged_as_the_papers(
    project: Path, replicate: Replicate, change: str, problem: str
) -> None:
    folder = project / "experiments/protocols"
    text = (folder / "paper.yaml").read_text().replace("name: paper", f"name: {change}")
    (folder / "mine.yaml").write_text(text)
    for command in ("check", "plan table1/cifar10/avgpool --protocol mine"):
        code, _, err = replicate(*command.split())
        assert code == 2
        assert re.search(problem, err), err
    (folder / "mine.yaml").write_text(
        text.replace("name: paper", "name: mine").replace("comparable: true", "comparable: false")
    )
    assert replicate("plan", "table1/cifar10/avgpool", "--protocol", "mine")[0] == 0


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """120 photos of six materials in as many colours, PNG and JPEG, of many sizes."""
    random = np.random.default_rng(0)
    materials = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    for number, name in enumerate(materials):
        folder = tmp_path / "photos" / "waste" / name
        folder.mkdir(parents=True)
        colour = 120 * np.array([number & 1, number >> 1 & 1, number >> 2])
        for i in range(20):
            shape = (*random.integers(40, 120, 2), 3)
            image = (random.integers(0, 100, shape) + colour).astype(np.uint8)
            Image.fromarray(image).save(folder / f"{i:02}.{'png' if i % 2 else 'jpg'}")
    return tmp_path / "photos"


def test_a_folder_of_ones_own_runs_from_photos_to_report(
    extended: Path, replicate: Replicate, photos: Path, tmp_path: Path
) -> None:
    places = ["--data-dir", str(photos), "--cache-dir", str(tmp_path / "cache")]
    code, out, _ = replicate("data", "list", *places)
    assert code == 0
    assert re.search(
        r"waste +100 +20 +folder +not pinned|waste +100 +20 +folder +not read yet", out
    )
    code, out, _ = replicate("data", "prepare", "waste", *places)
    assert code == 0
    assert out.startswith(f"waste: {tmp_path}/cache/waste-folder-resize64-")
    short = ["--set", "training.epochs=2", "--set", "training.batch_size=20"]
    code, out, err = replicate(
        "run",
        "extensions/waste",
        "--protocol",
        "paper",
        "--campaign",
        "paper",
        *short,
        "--workers",
        "1",
        *places,
    )
    assert code == 0, err
    results = read_results(extended, "paper")
    (run,) = results.runs.to_dict("records")
    assert (run["cell"], run["status"], run["source"]) == (
        "extensions/waste/flexpool", "done", "folder",
    )  # fmt: skip
    assert len(run["fingerprint"]) == 64
    report = (extended / "reports/paper/report.md").read_text()
    assert "extensions/waste/flexpool" in report.split("Cells outside the paper's tables")[1]


def test_generated_images_stand_in_for_the_folder(
    extended: Path, replicate: Replicate, tmp_path: Path
) -> None:
    few = ["--set", "generated.train_images=60", "--set", "generated.test_images=12"]
    code, _, err = replicate(
        "run", "extensions/waste", "--protocol", "smoke", "--campaign", "smoke", *few, "--workers", "1",
        "--cache-dir", str(tmp_path / "cache"),
    )  # fmt: skip
    assert code == 0, err
    (run,) = read_results(extended, "smoke").runs.to_dict("records")
    assert (run["status"], run["source"]) == ("done", "generated")
