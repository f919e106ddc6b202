"""The protocol of the released code: its values, the 16 cells that it has, the 16 that it has not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from replicate.errors import UserError
from replicate.plan.state import CampaignState, RunState
from replicate.report.render import as_markdown
from replicate.report.sections.overview import document
from replicate.results import aggregate
from replicate.results.read import read_results
from replicate.specs import catalogue, resolve
from tests import making

Replicate = Callable[..., tuple[int, str, str]]
LACKING = "table1/cifar10/flexpool-reg"


def test_its_values_are_those_of_the_code(project: Path) -> None:
    """Section 4 of the paper's dossier, value by value."""
    single, sac = (
        cell.spec
        for cell in resolve.load(
            project, ["table1/cifar10/flexpool", "table2/cifar10/flexpool"], "released"
        )
    )
    for spec in (single, sac):
        model, training, augmentation = spec.model, spec.training, spec.augmentation
        assert (model.network, model.block, model.constraint) == ("resnet20", "released", "softmax")
        assert (model.pool, model.dropout, model.inference) == ("flex", 0.0, "last")
        assert (training.optimizer, training.learning_rate) == ("sgd", 0.05)
        assert (training.schedule, training.weight_decay) == ("onecycle", 1e-4)
        assert (training.epochs, training.batch_size, training.drop_last) == (100, 32, False)
        assert (training.pool_rate_factor, training.precision) == (1.0, "float32")
        assert (augmentation.flip, augmentation.geometry) == (True, "none")
        assert augmentation.normalise == "imagenet"
        assert spec.loss.penalty_weight == 0.0
        assert not spec.comparable
    assert single.loss.head_weights == (1.0,)
    assert sac.loss.head_weights == (0.01, 0.11, 0.88)


def test_it_has_the_avgpool_and_flexpool_cells(project: Path) -> None:
    names = catalogue.offered(project, [], "released")
    assert len(names) == 16
    assert {name.rpartition("/")[2] for name in names} == {"avgpool", "flexpool"}
    assert len(resolve.load(project, names, "released")) == 16
    assert len(catalogue.offered(project, [], "paper")) == 32


def test_a_cells_own_weights_win_over_the_protocols(project: Path) -> None:
    names = ["extensions/sensitivity/a17-released-comment"]
    (cell,) = resolve.load(project, names, "released")
    assert cell.spec.loss.head_weights == (0.05, 0.1, 0.85)


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("pattern", [LACKING, "*/flexpool-reg-dropout"])
def test_what_was_not_released_is_refused_in_one_line(
    replicate: Replicate, command: str, pattern: str
) -> None:
    code, _, err = replicate(command, pattern, "--protocol", "released")
    assert code == 2
    assert err == f"error: {pattern}: not released: protocol released has no such method\n"


def test_its_spec_is_refused_in_one_line(replicate: Replicate, project: Path) -> None:
    code, _, err = replicate("show", LACKING, "--protocol", "released")
    assert code == 2
    assert err == (
        f"error: {project}/experiments/{LACKING}.yaml:1: spec: "
        "not released: protocol released has no method flexpool-reg\n"
    )


def test_a_folder_gives_the_cells_that_there_are(replicate: Replicate) -> None:
    code, out, _ = replicate("plan", "table1/cifar10", "--protocol", "released")
    assert code == 0
    assert "table1/cifar10/avgpool" in out
    assert "flexpool-reg" not in out


def test_list_says_not_released(replicate: Replicate) -> None:
    code, out, _ = replicate("list", "table1", "table2", "--protocol", "released")
    assert code == 0
    lacking = [line for line in out.splitlines() if line.endswith("not released")]
    assert len(lacking) == 16
    assert all("flexpool-reg" in line for line in lacking)
    assert "not released" not in replicate("list", "table1", "table2")[1]


def test_the_report_says_not_released(project: Path, records) -> None:
    cells = ["table1/cifar10/avgpool", "table1/cifar10/flexpool"]
    campaign = records.begin(cells, "released", 2, "code")
    for cell in cells:
        for seed in (0, 1):
            records.leave(campaign, cell, seed, 90.0 + seed)
    aggregate.aggregate(campaign)
    text = as_markdown(document(read_results(project, "code"))).decode()
    row = next(line for line in text.splitlines() if line.startswith("| CIFAR10 | **90.50"))
    assert row.count("not released") == 2
    assert (
        "30 of the paper's 32 cells are not part of this campaign, 16 of them not released" in text
    )
    assert "not comparable" in text


def test_a_replacement_that_is_not_there_is_named(project: Path) -> None:
    path = project / "experiments/protocols/released.yaml"
    path.write_text(path.read_text().replace("sac-released.yaml", "sac-relaesed.yaml"))
    with pytest.raises(UserError, match=r"protocol.instead: no file .*sac-relaesed.yaml"):
        resolve.load(project, ["table2/cifar10/flexpool"], "released")


def test_a_broken_protocol_part_is_one_line(project: Path) -> None:
    path = project / "experiments/protocols/released.yaml"
    path.write_text(path.read_text().replace("    others: not released", "    other: not released"))
    with pytest.raises(UserError) as caught:
        catalogue.offered(project, [], "released")
    first, second = str(caught.value).splitlines()
    assert "protocol.covers.other: unknown key; valid keys: methods, others" in first
    assert "protocol.covers.others: is missing" in second


def test_oddities_are_shown_apart_and_enter_no_table(project: Path, records) -> None:
    name = "extensions/released/single-flexpool"
    campaign = records.begin([name, "table1/cifar10/flexpool"], "released", 2, "odd")
    for seed, odd in ((0, 91.0), (1, 93.0)):
        measured = {"batch-means": odd, "training-images": 99.0}
        records.leave(campaign, name, seed, 90.0, oddities=measured)
    records.leave(campaign, "table1/cifar10/flexpool", 0, 80.0)
    aggregate.aggregate(campaign)
    results = read_results(project, "odd")
    assert results.cells.loc[name, "mean"] == 90.0
    text = as_markdown(document(results)).decode()
    section = text.split("## How the released code measures accuracy")[1].split("\n## ")[0]
    (row,) = (line for line in section.splitlines() if name in line)
    assert [part.strip() for part in row.strip("|").split("|")] == [
        name, "90.00", "**92.00**<br>+2.00 points", "**99.00**<br>+9.00 points",
    ]  # fmt: skip
    assert "table1" not in section
    assert text.count("99.00") == 1

    records.leave(campaign, name, 0, 90.0)
    records.leave(campaign, name, 1, 90.0)
    aggregate.aggregate(campaign)
    assert not (campaign.results / "oddities.csv").exists()
    again = as_markdown(document(read_results(project, "odd"))).decode()
    assert "How the released code measures" not in again


def test_both_phases_of_super_classing_are_shown(project: Path, records) -> None:
    name = "extensions/super-class/single-flexpool"
    campaign = records.begin([name], "paper", 1, "super", {"training.epochs": "1"})
    run = campaign.runs[0]
    assert (run.spec.first_epoch, run.spec.epochs) == (-9, 11)
    epochs = [
        making.epoch(number, accuracy) for number, accuracy in ((-9, 60.0), (0, 70.0), (1, 40.0))
    ]
    records.leave(campaign, name, 0, 40.0, epochs=epochs)
    aggregate.aggregate(campaign)
    results = read_results(project, "super")
    assert results.runs.loc[0, ["accuracy", "best_accuracy", "best_epoch"]].tolist() == [40, 40, 1]
    text = as_markdown(document(results)).decode()
    section = text.split("## Super-classing")[1].split("\n## ")[0]
    assert "| **70.00**<br>after 10 epochs | **40.00**<br>after 1 epoch |" in section


def test_status_tells_the_phases_apart(project: Path, records) -> None:
    campaign = records.begin(["extensions/super-class/single-flexpool"], "paper", 1, "super")
    for number, share, said in [(-9, 1, "pretraining epoch 1 of 10"), (5, 15, "epoch 5 of 100")]:
        one = RunState(campaign.runs[0], "running", {"epoch": number, "accuracy": 50.0})
        assert one.share == share / 110
        (line,) = CampaignState([one], campaign.runs_folder).details()
        assert line.endswith(f"{said}, 50.00 %")


def test_super_classing_has_every_method_with_and_without_sac(project: Path) -> None:
    names = [n for n in catalogue.cell_names(project) if n.startswith("extensions/super-class/")]
    specs = [cell.spec for cell in resolve.load(project, names, "paper")]
    assert len(specs) == 8
    assert len({(spec.method.name, spec.model.sac) for spec in specs}) == 8
    for spec in specs:
        assert spec.dataset.name == "cifar100"
        assert spec.pretraining is not None
        assert (spec.pretraining.classes, spec.pretraining.epochs) == ("coarse", 10)
        assert (spec.training.epochs, spec.published) == (100, None)
        table = "table2" if spec.model.sac else "table1"
        (base,) = resolve.load(project, [f"{table}/cifar100/{spec.method.name}"], "paper")
        assert spec.model == base.spec.model


def test_one_epoch_of_each_phase_can_be_asked_for(project: Path) -> None:
    short = {"training.epochs": "1", "pretraining.epochs": "1"}
    (cell,) = resolve.load(project, ["extensions/super-class/sac-flexpool"], "paper", short)
    assert (cell.spec.epochs, cell.spec.first_epoch) == (2, 0)
