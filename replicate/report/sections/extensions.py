"""What specs outside the tables ask for besides an accuracy: super-classing, and odd measurements."""

from collections.abc import Iterator

import pandas as pd

from replicate.report.document import Entry, Section, Table, Text, entry
from replicate.report.tables import signed
from replicate.results.read import Results
from replicate.specs.spec import Pretraining

ODDITIES = {
    "batch-means": "Mean of the batches' means",
    "training-images": "On the training images",
}
ODD_TEXT = (
    "The authors' scripts report the mean of the test batches' means, in which images of a short last batch "
    "count more, and some of them evaluate on the folder that they trained on. Here both are measured on "
    "the same finished runs, beside the accuracy, to show by how much they would flatter it. They stand in "
    "no other table and decide no verdict."
)
SUPER_TEXT = (
    "These runs were first trained on coarse classes (A15): those epochs end at number 0 in epochs.csv.gz. "
    "The two accuracies are of different classes and must not be compared."
)


def pretraining(results: Results) -> Section:
    """Both phases of the cells with super-classing."""
    specs = results.campaign.specs
    finished = results.epochs[results.epochs["run_id"].isin(results.done["run_id"])]
    rows = tuple(
        _phases(str(cell), own, first, specs[str(cell)].training.epochs)
        for cell, own in finished.groupby("cell", sort=False)
        if (first := specs[str(cell)].pretraining)
    )
    columns = ("Cell", "Coarse classes (%)", "Fine classes (%)")
    table = Table("Accuracy after each phase, mean over the finished seeds", columns, rows)
    return Section("Super-classing", (Text(SUPER_TEXT), table) if rows else ())


def _phases(cell: str, epochs: pd.DataFrame, first: Pretraining, fine: int) -> tuple[Entry, ...]:
    def after(number: int, count: int) -> Entry:
        value = epochs.loc[epochs["epoch"] == number, "accuracy"].mean()
        return entry(f"{value:.2f}", f"after {count} epoch{'s' * (count > 1)}", sort=value)

    return entry(cell), after(0, first.epochs), after(fine, fine)


def measured_oddly(results: Results) -> Section:
    """The accuracy, and what the released code's ways to measure it would give."""
    groups = results.oddities.groupby("cell", sort=False)
    rows = tuple((entry(str(cell)), *_measured(own)) for cell, own in groups)
    columns = ("Cell", "Accuracy (%)", *ODDITIES.values())
    table = Table("One run, measured in three ways: means over the finished seeds", columns, rows)
    title = "How the released code measures accuracy"
    return Section(title, (Text(ODD_TEXT), table) if rows else ())


def _measured(odds: pd.DataFrame) -> Iterator[Entry]:
    honest = odds.drop_duplicates("seed")["accuracy"].mean()
    yield entry(f"{honest:.2f}", sort=honest)
    for name in ODDITIES:
        value = odds.loc[odds["oddity"] == name, "odd_accuracy"].mean()
        difference = f"{signed(value - honest, 2)} points"
        known = (f"{value:.2f}", difference) if pd.notna(value) else ("not measured",)
        yield entry(*known, sort=value)
