"""The shipped specs, and twenty broken ones: each gives one clear line."""

import json
from pathlib import Path

import jsonschema
import pytest

from replicate.errors import UserError
from replicate.files import yaml_lines as strictyaml
from replicate.paper.tables import read_tables
from replicate.specs import catalogue, check, listing, resolve
from replicate.specs.spec import Spec, file_schema

CELL = "table1/cifar10/flexpool"


def test_the_paper_has_32_cells_in_its_own_order(project: Path) -> None:
    names = catalogue.select(catalogue.cell_names(project), [])
    assert len(names) == 32
    assert names[:5] == [
        "table1/cifar10/avgpool",
        "table1/cifar10/flexpool",
        "table1/cifar10/flexpool-reg",
        "table1/cifar10/flexpool-reg-dropout",
        "table1/fashion-mnist/avgpool",
    ]
    assert names[16] == "table2/cifar10/avgpool"


@pytest.mark.parametrize("protocol", ["paper", "short", "smoke"])
def test_specs_and_printed_tables_match_one_to_one(project: Path, protocol: str) -> None:
    names = catalogue.select(catalogue.cell_names(project), [])
    cells = resolve.load(project, names, protocol)
    assert len(cells) == 32
    assert check.problems(read_tables(project), cells) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ('value: "91.92"', "published: expected"),
        ("missing", "missing: the paper prints 91.91 there"),
        ("extends", "its parts describe table1/cifar10/avgpool"),
    ],
)
def test_a_cell_that_differs_from_the_paper_is_found(
    project: Path, change: str, problem: str
) -> None:
    path = project / "experiments" / f"{CELL}.yaml"
    text = path.read_text()
    if change == "missing":
        path.unlink()
    elif change == "extends":
        path.write_text(text.replace("methods/flexpool.yaml", "methods/avgpool.yaml"))
    else:
        path.write_text(text.replace('value: "91.91"', change))
    names = catalogue.select(catalogue.cell_names(project), [])
    (line,) = check.problems(read_tables(project), resolve.load(project, names, "paper"))
    assert problem in line


@pytest.mark.parametrize(
    "name", ["extensions/copy", "table1/cifar10/copy", "table1/fashion-mnist/flexpool"]
)
def test_a_copied_cell_does_not_take_the_printed_number_with_it(project: Path, name: str) -> None:
    text = (project / "experiments" / f"{CELL}.yaml").read_text().replace("../..", "..")
    text = text.replace("..", "../.." if name.startswith("table1") else "..")
    path = project / "experiments" / f"{name}.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as refusal:
        resolve.load(project, [name], "paper")
    assert str(refusal.value) == (
        f"{path}:10: published: a printed number belongs to its own cell, {CELL}:"
        f" write `published: null` in {path}"
    )
    with pytest.raises(UserError, match=r"published: a printed number belongs to its own cell"):
        check.check(project, lambda _: [])
    path.write_text(text.partition("published:")[0] + "published: null\n")
    assert resolve.load(project, [name], "paper")[0].spec.published is None


def test_a_cell_that_extends_another_does_not_inherit_its_printed_number(project: Path) -> None:
    path = project / "experiments/extensions/own.yaml"
    path.write_text("extends: [../table1/cifar10/flexpool.yaml]\nmodel:\n  pool: gem\n")
    (cell,) = resolve.load(project, ["extensions/own"], "paper")
    assert cell.spec.published is None
    assert str(cell.origins["published",]) == f"{path}:1"
    assert "91.91" not in listing.spec(project, "extensions/own", "paper", {})
    assert check.check(project, lambda _: [])
    path.write_text(f"{path.read_text()}published:\n  value: '99.99'\n")
    with pytest.raises(UserError, match=r"published\.table: is missing"):
        resolve.load(project, ["extensions/own"], "paper")


def test_the_paper_protocol_is_the_default_reading(spec: Spec) -> None:
    """Section 5 of the paper's dossier: what the text says, and the default reading of the rest."""
    training = spec.training
    assert (training.epochs, training.batch_size, training.optimizer) == (100, 1000, "adam")
    assert (training.learning_rate, training.schedule) == (0.1, "onecycle")
    assert (training.weight_decay, training.pool_rate_factor) == (0.0, 1.0)
    assert (training.drop_last, training.precision) == (False, "float32")
    augmentation = spec.augmentation
    assert (augmentation.flip, augmentation.geometry) == (True, "scale")
    assert (augmentation.scale_range, augmentation.normalise) == ((0.8, 1.2), "dataset")
    model = spec.model
    assert (model.network, model.block, model.constraint) == ("resnet20", "he", "none")
    assert (model.dropout_on, model.inference) == ("vector", "last")
    assert spec.generated is None
    assert spec.comparable


def test_methods_and_classifiers_are_the_papers(project: Path) -> None:
    names = catalogue.select(catalogue.cell_names(project), ["*/cifar10/*"])
    found = {
        cell.name: (
            cell.spec.model.pool,
            cell.spec.loss.penalty_weight,
            cell.spec.model.dropout,
            cell.spec.loss.head_weights,
        )
        for cell in resolve.load(project, names, "paper")
    }
    methods = {
        "avgpool": ("avg", 0.0, 0.0),
        "flexpool": ("flex", 0.0, 0.0),
        "flexpool-reg": ("flex", 1.0, 0.0),
        "flexpool-reg-dropout": ("flex", 1.0, 0.25),
    }
    weights = {"table1": (1.0,), "table2": (0.1, 0.2, 0.7)}
    assert found == {
        f"{table}/cifar10/{method}": (*values, heads)
        for table, heads in weights.items()
        for method, values in methods.items()
    }


@pytest.mark.parametrize("protocol", ["short", "smoke", "released"])
def test_only_the_paper_protocol_is_comparable(project: Path, protocol: str) -> None:
    (cell,) = resolve.load(project, [CELL], protocol)
    assert not cell.spec.comparable


def test_short_is_paper_with_ten_epochs(project: Path) -> None:
    (paper_cell,), (short,) = (resolve.load(project, [CELL], p) for p in ("paper", "short"))
    assert short.spec.training == paper_cell.spec.training.model_copy(update={"epochs": 10})
    for part in ("dataset", "generated", "model", "loss", "augmentation"):
        assert getattr(short.spec, part) == getattr(paper_cell.spec, part)


BROKEN = {
    "text for a number": (
        "weight_decay: 0.0",
        "weight_decay: 5e-4",
        "'5e-4' is ambiguous in YAML: write 5.0e-4",
    ),
    "quoted number": ("weight_decay: 0.0", 'weight_decay: "5.0e-4"', "valid number, got '5.0e-4'"),
    "no for false": ("flip: true", "flip: no", "'no' is ambiguous in YAML: write false"),
    "octal": ("epochs: 100", "epochs: 0100", "'0100' is ambiguous"),
    "duplicate key": (
        "epochs: 100",
        "epochs: 100\n  epochs: 10",
        "training.epochs: duplicate key, first on line",
    ),
    "unknown key": (
        "epochs: 100",
        "epoch: 100",
        "training.epoch: unknown key; valid keys: epochs, batch_size",
    ),
    "unknown part": (
        "\ntraining:",
        "\ntrainning:",
        "trainning: unknown key; valid keys: protocol, dataset",
    ),
    "fraction of an epoch": ("epochs: 100", "epochs: 1.5", "valid integer, got 1.5"),
    "no epochs": ("epochs: 100", "epochs: 0", "greater than or equal to 1, got 0"),
    "negative rate": ("learning_rate: 0.1", "learning_rate: -0.1", "greater than 0, got -0.1"),
    "infinite rate": ("learning_rate: 0.1", "learning_rate: .inf", "finite number, got inf"),
    "bool for a number": ("weight_decay: 0.0", "weight_decay: false", "valid number, got False"),
    "unknown optimiser": (
        "optimizer: adam",
        "optimizer: lamb",
        "should be 'adam' or 'sgd', got 'lamb'",
    ),
    "range the wrong way": (
        "[0.8, 1.2]",
        "[1.2, 0.8]",
        "augmentation: scale_range must be 0 < low <= high",
    ),
    "part is a value": (
        "augmentation:",
        "augmentation: 3\nx:",
        "augmentation: keys are due here (flip, ",
    ),
    "not a mapping": (None, "- a\n- b\n", "expected a mapping of keys"),
    "broken YAML": (None, "training: [", "not valid YAML"),
    "empty": (None, "", "expected a mapping of keys, got None"),
    "missing base": ("protocol:", "extends: [nothing.yaml]\nprotocol:", "extends: no file"),
    "base outside": ("protocol:", "extends: [../../../x.yaml]\nprotocol:", "lies outside"),
    "circle": ("protocol:", "extends: [paper.yaml]\nprotocol:", "a circle"),
    "extends a word": (
        "protocol:",
        "extends: short.yaml\nprotocol:",
        "expected a list of file names",
    ),
    "code": ("epochs: 100", "epochs: !!python/object/apply:os.system ['true']", "is not used here"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_spec_gives_one_clear_line(project: Path, replicate, case: str) -> None:
    old, new, message = BROKEN[case]
    path = project / "experiments" / "protocols" / "paper.yaml"
    text = path.read_text()
    assert old is None or text.count(old) == 1
    path.write_text(new if old is None else text.replace(old, new))
    code, _, err = replicate("show", CELL)
    assert code == 2
    about = [line for line in err.splitlines() if message in line]
    assert len(about) == 1, err
    assert about[0].startswith(f"error: {path}:")
    assert "Traceback" not in err


def test_a_missing_value_names_the_cell(project: Path, replicate) -> None:
    path = project / "experiments" / "protocols" / "paper.yaml"
    path.write_text(path.read_text().replace("  epochs: 100\n", ""))
    code, _, err = replicate("show", CELL)
    assert code == 2
    assert err.splitlines() == [
        f"error: {project}/experiments/{CELL}.yaml:1: training.epochs: is missing: "
        "write it here or in a file this one extends"
    ]


def test_all_problems_of_all_files_come_at_once(project: Path, replicate) -> None:
    folder = project / "experiments"
    for name, old, new in [
        ("protocols/paper.yaml", "epochs: 100", "epochs: 0"),
        ("methods/flexpool.yaml", "pool: flex", "pool: fleks"),
        ("table2/cifar100/avgpool.yaml", '"63.79"', "63.79"),
    ]:
        path = folder / name
        path.write_text(path.read_text().replace(old, new))
    code, _, err = replicate("check")
    assert code == 2
    places = sorted({line.split(": ")[1] for line in err.splitlines()})
    assert [Path(place.rpartition(":")[0]).relative_to(folder).as_posix() for place in places] == [
        "methods/flexpool.yaml",
        "protocols/paper.yaml",
        "table2/cifar100/avgpool.yaml",
    ]


def test_show_names_the_file_and_line_of_every_value(project: Path, replicate) -> None:
    code, out, _ = replicate("show", CELL, "--protocol", "short")
    assert code == 0
    rows = {line.split()[0]: line.split()[-1] for line in out.splitlines()[2:]}
    assert rows["training.epochs"].startswith("experiments/protocols/short.yaml:")
    assert rows["training.batch_size"].startswith("experiments/protocols/paper.yaml:")
    assert rows["model.pool"].startswith("experiments/methods/flexpool.yaml:")
    file, line = rows["published.value"].rsplit(":", 1)
    assert (project / file).read_text().splitlines()[int(line) - 1].strip() == 'value: "91.91"'


def test_settings_lie_over_the_files(project: Path) -> None:
    (cell,) = resolve.load(project, [CELL], "paper", {"training.epochs": "3"})
    assert cell.spec.training.epochs == 3
    assert not cell.spec.comparable, "no published number describes a changed run"
    assert str(cell.origins["training", "epochs"]) == "--set training.epochs:1"


def test_precision_alone_leaves_a_run_comparable(project: Path) -> None:
    (cell,) = resolve.load(project, [CELL], "paper", {"training.precision": "bfloat16"})
    assert cell.spec.comparable


@pytest.mark.parametrize("key", ["published.value", "protocol.comparable", "epochs", "method.name"])
def test_settings_cannot_touch_what_is_not_training(project: Path, key: str) -> None:
    with pytest.raises(UserError, match="not a setting"):
        resolve.load(project, [CELL], "paper", {key: "1"})


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("table1", 16),
        ("table1/cifar10", 4),
        ("*/flexpool-reg", 8),
        (CELL, 1),
        ("table2/cifar100/", 4),
        ("table*/cifar10", 8),
    ],
)
def test_selects_by_name_folder_and_glob(project: Path, pattern: str, count: int) -> None:
    assert len(catalogue.select(catalogue.cell_names(project), [pattern])) == count


def test_an_unknown_cell_is_answered_with_near_ones(project: Path) -> None:
    with pytest.raises(UserError, match=r"for example .*table1/cifar10/flexpool"):
        catalogue.select(catalogue.cell_names(project), ["table1/cifar10/flxpool"])


def test_an_unknown_protocol_is_answered_with_the_known(project: Path) -> None:
    with pytest.raises(
        UserError, match="no protocol 'papr': choose from paper, released, short, smoke"
    ):
        resolve.load(project, [CELL], "papr")


def test_identity_is_what_changes_the_numbers(spec: Spec) -> None:
    def changed(part: str, **values: object) -> Spec:
        return spec.model_copy(update={part: getattr(spec, part).model_copy(update=values)})

    same = [changed("dataset", title="Another title"), changed("protocol", name="other")]
    other = [
        changed("training", epochs=99),
        changed("loss", penalty_weight=0.5),
        changed("dataset", size=64),
    ]
    assert {one.run_id(0) for one in same} == {spec.run_id(0)}
    assert len({one.run_id(0) for one in [spec, *other]} | {spec.run_id(1)}) == 5


def test_keys_that_came_later_leave_the_first_identities_as_they_were(project: Path) -> None:
    names = [CELL, "table2/tiny-imagenet/avgpool"]
    for protocol, ids in [
        ("paper", ["ab7ee640fc5f", "7ade566616da"]),
        ("smoke", ["b5b0f689fc1e", "c4591e0d3599"]),
    ]:
        assert [c.spec.run_id(0) for c in resolve.load(project, names, protocol)] == ids
    (cell,) = resolve.load(project, [CELL], "paper")
    parts = json.loads(cell.spec.identity)
    assert "pretraining" not in parts
    assert "split_seed" not in parts["dataset"]
    assert parts["generated"] is None, "it was there from the first run on"


def test_the_shipped_schema_is_that_of_the_types() -> None:
    path = Path(__file__).parents[1] / "experiments" / "spec.schema.json"
    assert json.loads(path.read_text()) == file_schema(), (
        "make it again: replicate schema > experiments/spec.schema.json"
    )


def test_every_shipped_spec_file_satisfies_the_schema_it_names(project: Path) -> None:
    folder = project / "experiments"
    schema = json.loads((folder / "spec.schema.json").read_text())
    others = {"paper", "clusters"}
    files = [
        path for path in folder.rglob("*.yaml") if path.relative_to(folder).parts[0] not in others
    ]
    assert len(files) >= 32 + 4 + 4 + 3 + 2
    for path in files:
        named = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert (path.parent / named).resolve() == (folder / "spec.schema.json").resolve()
        jsonschema.validate(strictyaml.read(path).value, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"training": {"epoch": 1}}, schema)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "problem"),
    [
        ("torchvision/resnet19", "torchvision has no classifier 'resnet19': for example resnet1"),
        ("torchvision/alexnet", "torchvision/alexnet cannot take images of 32 pixels a side"),
    ],
)
def test_check_builds_every_network(project: Path, replicate, network: str, problem: str) -> None:
    """And nothing is prepared for one that no worker could build."""
    path = project / "experiments" / "extensions" / "mine.yaml"
    text = f"extends: [../table1/cifar10/avgpool.yaml]\nmodel:\n  network: {network}\npublished: null\n"
    path.write_text(text)
    code, _, err = replicate("check")
    assert code == 2
    assert f"extensions/mine.yaml:3: model.network: {problem}" in err
    code, _, err = replicate("run", "extensions/mine", "--protocol", "smoke")
    assert code == 2
    assert f"mine.yaml:3: model.network: {problem}" in err
    assert not (project / "results").exists()
