"""Epochs trained again against the recorded ones: what is judged, and what is only said."""

from replicate.records.epoch import Epoch
from replicate.results import discrepancies
from tests import making


def epochs(*losses: float) -> list[Epoch]:
    numbered = enumerate(losses, start=1)
    return [making.epoch(number, loss=loss, head_losses=(loss,)) for number, loss in numbered]


def test_elsewhere_the_first_epoch_alone_is_judged() -> None:
    """Rounding grows from step to step: a sound run was seen to be off by 75 % in its third epoch."""
    recorded = epochs(2.0, 1.0, 0.5)
    assert list(discrepancies.of_first_losses(recorded, epochs(2.19, 9.0, 9.0))) == []
    (line,) = discrepancies.of_first_losses(recorded, epochs(2.21, 1.0, 0.5))
    assert line == "epoch 1: head 1 lost 2.0 as recorded, 2.21 again"
    assert discrepancies.drift(recorded[1:], epochs(2.0, 1.5, 0.45)[1:]) == 0.5


def test_on_the_same_machine_every_epoch_is() -> None:
    recorded = epochs(2.0, 1.0, 0.5)
    assert list(discrepancies.of_epochs(recorded, epochs(2.0, 1.0))) == []
    lines = list(discrepancies.of_epochs(recorded, epochs(2.0, 1.0000001)))
    assert [line.split(" ")[2] for line in lines] == ["loss", "head_losses"]
