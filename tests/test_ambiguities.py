"""Every alternative of an ambiguity is a valid spec that differs from its cell in that one point."""

from pathlib import Path
from typing import Any

import pytest

from replicate.errors import UserError
from replicate.paper.ambiguities import Alternative, Ambiguity, read_ambiguities
from replicate.plan import readings
from replicate.specs import catalogue, resolve
from replicate.specs.spec import Spec
from tests.apply import apply

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = read_ambiguities(ROOT)
ALTERNATIVES = {  # how many readings besides the default each open point has
    **{"A01": 1, "A02": 2, "A03": 4, "A04": 1, "A05": 1, "A06": 2, "A07": 1, "A08": 2, "A09": 1},
    **{
        "A10": 2,
        "A11": 2,
        "A12": 0,
        "A13": 1,
        "A14": 0,
        "A15": 0,
        "A16": 2,
        "A17": 3,
        "A18": 2,
        "A19": 0,
    },
}
DEFAULTS = {  # what the paper protocol must hold for the default of each point
    "A01": {"model.block": "he"},
    "A02": {"model.constraint": "none", "loss.penalty_weight": 0.0},
    "A03": {"model.constraint": "none", "loss.penalty_weight": 1.0},
    "A04": {"model.dropout": 0.25, "model.dropout_on": "vector"},
    "A05": {"model.inference": "last"},
    "A06": {"augmentation.geometry": "scale", "augmentation.scale_range": (0.8, 1.2)},
    "A07": {"augmentation.normalise": "dataset"},
    "A08": {"dataset.size": 28, "dataset.fit": "none", "dataset.channels": 1},
    "A09": {"dataset.stored_size": 64, "dataset.size": 32, "dataset.fit": "average"},
    "A10": {"training.schedule": "onecycle", "training.learning_rate": 0.1},
    "A11": {"training.weight_decay": 0.0},
    "A13": {"training.drop_last": False},
    "A16": {"training.pool_rate_factor": 1.0},
    "A17": {"loss.head_weights": (0.1, 0.2, 0.7)},
    "A18": {"training.precision": "float32"},
}
PAIRS = [
    pytest.param(entry, alternative, id=f"{entry.id}-{alternative.slug}")
    for entry in ENTRIES
    for alternative in entry.alternatives
]


@pytest.fixture(scope="module")
def specs() -> dict[str, Spec]:
    names = catalogue.cell_names(ROOT)
    tables = [name for name in names if name.startswith("table")]
    return {cell.name: cell.spec for cell in resolve.load(ROOT, tables, "paper")}


def test_all_19_points_and_their_readings_are_there() -> None:
    assert {entry.id: len(entry.alternatives) for entry in ENTRIES} == ALTERNATIVES
    assert len(PAIRS) == 27


@pytest.mark.parametrize(("entry", "alternative"), PAIRS)
def test_an_alternative_changes_its_own_keys_and_nothing_else(
    specs: dict[str, Spec], entry: Ambiguity, alternative: Alternative
) -> None:
    cells = [name for name in specs if entry.bears_on(name)]
    assert entry.cell in cells
    for name in cells:
        changed = apply(specs[name], alternative)
        assert readings.differences(specs[name], changed) == set(alternative.changes)
        assert changed.identity != specs[name].identity


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_paper_protocol_takes_the_default(specs: dict[str, Spec], name: str) -> None:
    entry = next(entry for entry in ENTRIES if entry.id == name)
    assert entry.cell is not None
    spec = specs[entry.cell].model_dump()
    seen = {key: spec[key.split(".")[0]][key.split(".")[1]] for key in DEFAULTS[name]}
    assert seen == DEFAULTS[name]


def test_every_point_with_alternatives_has_its_default_checked() -> None:
    assert DEFAULTS.keys() == {name for name, count in ALTERNATIVES.items() if count}


@pytest.mark.parametrize(
    ("name", "cells"),
    [("A02", 8), ("A03", 16), ("A04", 8), ("A05", 16), ("A08", 8), ("A09", 8), ("A16", 24)],
)
def test_the_cells_a_point_bears_on(specs: dict[str, Spec], name: str, cells: int) -> None:
    entry = next(entry for entry in ENTRIES if entry.id == name)
    assert sum(entry.bears_on(cell) for cell in specs) == cells


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.blok": "released"}, "model.blok: no such key"),
        ({"generated.train_images": 100}, "generated.train_images: no such key"),
        ({"model.block": "he"}, "model.block: the cell has it already"),
        ({"model.block": "released", "model.sac": False}, "model.sac: the cell has it already"),
        ({"model.block": "new"}, "model.block: Input should be 'he' or 'released'"),
        ({"loss.head_weights": [0.1, 0.9]}, "loss.head_weights has 2 values"),
    ],
)
def test_an_alternative_that_is_none(
    specs: dict[str, Spec], changes: dict[str, Any], message: str
) -> None:
    alternative = Alternative(slug="other", title="Other", changes=changes)
    with pytest.raises(UserError, match=message):
        apply(specs["table1/cifar10/flexpool"], alternative)


def test_differences_sees_every_leaf(specs: dict[str, Spec]) -> None:
    a, b = specs["table1/cifar10/avgpool"], specs["table2/cifar10/flexpool"]
    assert readings.differences(a, a) == set()
    assert readings.differences(a, b) == {
        *("method.name", "method.title", "model.pool", "model.sac", "loss.head_weights"),
        *("published.table", "published.column", "published.value"),
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: A02", "id: A01", "ids must differ and rise"),
        ("model.block: released", "protocol.comparable: true", "protocol.comparable"),
        ("model.block: released", "modle.block: released", "modle.block"),
        ("slug: resized\n", "slug: padded\n", "given twice: padded"),
        ("cell: table1/cifar10/flexpool-reg\n", "cell: table1/cifar10/flexpool\n", "matches none"),
        ("cell: table1/cifar10/flexpool\n", "cell: null\n", "give the cell"),
        ("    alternatives: []\n", "    alternatives: []\n    extra: 1\n", "extra: Extra inputs"),
        ("    no_alternatives: No cell", "    title2: No cell", "why there are none|title2"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (ROOT / "experiments/paper/ambiguities.yaml").read_text()
    assert old in text
    folder = tmp_path / "experiments/paper"
    folder.mkdir(parents=True)
    (folder / "ambiguities.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as caught:
        read_ambiguities(tmp_path)
    assert f"{folder}/ambiguities.yaml:" in str(caught.value)
