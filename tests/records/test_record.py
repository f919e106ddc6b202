"""A record is read back as it was written, or not at all."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import ValidationError, structs

from replicate.records import record, run_folder
from replicate.records.record import Answers, CorruptRecord

CELL = "table1/cifar10/flexpool"


@pytest.fixture
def folder(records: Any) -> Path:
    return records.leave(records.begin([CELL]), CELL, 0, 91.25)


def test_round_trip(folder: Path) -> None:
    found = record.read_record(folder)
    assert found is not None
    assert (found.cell, found.seed, found.status) == (CELL, 0, "done")
    assert (found.accuracy, found.epochs[0].accuracy) == (91.25, 90.25)
    assert found.epochs[0].head_losses == (1.0,)
    before = (folder / run_folder.RECORD).read_bytes()
    record.write_record(folder, found)
    assert (folder / run_folder.RECORD).read_bytes() == before


@pytest.mark.parametrize("accuracy", [math.nan, math.inf, 100.5, "90"])
def test_what_could_not_be_read_again_is_not_written(folder: Path, accuracy: Any) -> None:
    before = (folder / run_folder.RECORD).read_bytes()
    found = record.read_record(folder)
    assert found is not None
    epoch = structs.replace(found.epochs[0], accuracy=accuracy)
    with pytest.raises(ValidationError):
        record.write_record(folder, structs.replace(found, epochs=[epoch]))
    assert (folder / run_folder.RECORD).read_bytes() == before


def test_a_record_is_plain_json(folder: Path) -> None:
    found = json.loads((folder / run_folder.RECORD).read_text())
    assert found.keys() == {"checksum", "record"}
    assert found["record"]["epochs"][1]["accuracy"] == 91.25


def test_every_flipped_bit_is_seen(folder: Path) -> None:
    """One bit of every byte: the whole file is covered, the checksum's own frame too."""
    path = folder / run_folder.RECORD
    sound = path.read_bytes()
    for index in range(len(sound)):
        path.write_bytes(
            sound[:index] + bytes([sound[index] ^ (1 << index % 7)]) + sound[index + 1 :]
        )
        with pytest.raises(CorruptRecord):
            record.read_record(folder)
    path.write_bytes(sound)
    assert record.read_record(folder) is not None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text[: len(text) // 2],
        lambda text: text + text,
        lambda text: text.replace("91.25", "95.25"),
        lambda text: "{}",
        lambda text: json.dumps({"checksum": "", "record": {}}),
        lambda text: "\0" * len(text),
    ],
)
def test_what_is_no_whole_record_is_corrupt(folder: Path, damage: Callable[[str], str]) -> None:
    path = folder / run_folder.RECORD
    path.write_text(damage(path.read_text()))
    with pytest.raises(CorruptRecord, match=r"record\.json: "):
        record.read_record(folder)
    assert record.read_status(folder) is None


def test_a_sound_checksum_over_a_foreign_record(folder: Path) -> None:
    body = b'{"format":2}'
    (folder / run_folder.RECORD).write_bytes(record._head(body) + body + b"}\n")
    with pytest.raises(CorruptRecord, match="1"):
        record.read_record(folder)
    assert record.read_status(folder) is None
    assert record.glance(folder) is None


@pytest.mark.parametrize("status", ["done", "diverged", "failed"])
def test_a_glance_sees_the_status(records: Any, status: str) -> None:
    campaign = records.begin([CELL])
    folder = records.leave(campaign, CELL, 0, 91.25, status=status, error="x" * 5000)
    assert record.glance(folder) == record.read_status(folder) == status


def test_a_glance_sees_a_record_cut_short_but_not_one_altered(folder: Path) -> None:
    path = folder / run_folder.RECORD
    whole = path.read_text()
    for end in (0, 1, 200, len(whole) - 1):
        path.write_text(whole[:end])
        assert record.glance(folder) is None
    path.write_text(whole.replace("91.25", "95.25"))
    assert record.glance(folder) == "done"
    assert record.read_status(folder) is None


def test_no_record_is_none(tmp_path: Path) -> None:
    assert record.glance(tmp_path) is None
    assert record.read_record(tmp_path) is None
    assert record.read_status(tmp_path) is None


def test_only_a_finished_run_has_an_accuracy(records: Any) -> None:
    campaign = records.begin([CELL], seeds=3)
    diverged = records.leave(campaign, CELL, 1, 20.0, status="diverged", error="not finite")
    failed = records.leave(campaign, CELL, 2, None)
    for path in (diverged, failed):
        found = record.read_record(path)
        assert found is not None
        assert found.accuracy is None


def test_records_set_aside_keep_their_order(folder: Path) -> None:
    sound = (folder / run_folder.RECORD).read_bytes()
    run_folder.set_aside(folder, "failed")
    assert record.read_record(folder) is None
    (folder / run_folder.RECORD).write_bytes(sound)
    run_folder.set_aside(folder, "failed")
    assert sorted(path.name for path in folder.glob("record*")) == [
        "record-failed-1.json",
        "record-failed-2.json",
    ]


IMAGES = 10_000


def answers(right: int) -> Answers:
    return Answers("f" * 64, np.packbits(np.arange(IMAGES) < right).tobytes())


def test_answers_are_kept_and_give_the_accuracy(records: Any) -> None:
    folder = records.leave(records.begin([CELL]), CELL, 0, 91.25, answers=answers(9125))
    found = record.read_record(folder)
    assert found is not None
    assert found.answers == answers(9125)
    bits = np.unpackbits(np.frombuffer(found.answers.right, np.uint8))[:IMAGES]
    assert 100 * bits.mean() == found.accuracy


@pytest.mark.parametrize(
    "wrong",
    [
        answers(9124),
        Answers("f" * 64, answers(9125).right[:-1]),
        Answers("f" * 64, answers(9125).right + b"\0"),
        Answers("f" * 64, b""),
    ],
)
def test_answers_that_do_not_give_the_accuracy_are_neither_written_nor_read(
    folder: Path, wrong: Answers
) -> None:
    found = record.read_record(folder)
    assert found is not None
    with pytest.raises(ValueError, match="answers"):
        structs.replace(found, answers=wrong)
    odd = structs.asdict(found) | {"answers": wrong}
    body = msgspec.json.encode(odd)  # with a checksum that holds
    (folder / run_folder.RECORD).write_bytes(record._head(body) + body + b"}\n")
    with pytest.raises(CorruptRecord, match="answers"):
        record.read_record(folder)


def test_spare_bits_are_no_answers() -> None:
    """Ten images take two bytes, of which six bits must be zero."""
    assert Answers("", bytes([255, 192])).accuracy(10) == 100
    with pytest.raises(ValueError, match="2 bytes of answers to 10 test images"):
        Answers("", bytes([255, 224])).accuracy(10)


def test_a_run_that_failed_has_no_answers(folder: Path) -> None:
    found = record.read_record(folder)
    assert found is not None
    with pytest.raises(ValueError, match="answers"):
        structs.replace(found, status="diverged", answers=answers(9125))
