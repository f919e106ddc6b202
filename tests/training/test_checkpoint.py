import io
from pathlib import Path

import pytest
import torch

from replicate.errors import UserError
from replicate.training import checkpoint

STATE = {"run_id": "a", "fingerprint": "f", "model": {"weight": torch.arange(1000.0)}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "checkpoint.pt"
    checkpoint.save(path, STATE)
    return path


def test_what_is_saved_is_loaded_and_nothing_else_is_left(file: Path) -> None:
    checkpoint.save(file, STATE | {"epochs": [1]})
    state = checkpoint.load(file, "a", "f")
    assert state is not None
    assert state["epochs"] == [1]
    assert torch.equal(state["model"]["weight"], STATE["model"]["weight"])
    assert [path.name for path in file.parent.iterdir()] == ["checkpoint.pt"]


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "checkpoint.pt", "a", "f") is None


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [flip_a_bit, lambda c: c[:-1], lambda c: c[:20], lambda c: b"", lambda c: b"x" + c],
    ids=["bit", "last byte", "header", "empty", "shifted"],
)
def test_a_damaged_file_is_set_aside(
    file: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = damage(file.read_bytes())  # type: ignore[operator]
    file.write_bytes(damaged)
    assert checkpoint.load(file, "a", "f") is None
    assert not file.exists()
    assert (file.parent / "checkpoint.pt.corrupt").read_bytes() == damaged
    assert "is damaged: set aside as checkpoint.pt.corrupt" in caplog.text


@pytest.mark.parametrize(
    ("run_id", "fingerprint", "message"),
    [("b", "f", "of run a, not of run b"), ("a", "g", "of data f, not of data g")],
)
def test_a_foreign_state_is_refused_and_kept(
    file: Path, run_id: str, fingerprint: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        checkpoint.load(file, run_id, fingerprint)
    assert checkpoint.load(file, "a", "f") is not None


def test_a_failed_save_keeps_the_old_state(file: Path) -> None:
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save(file, {"run_id": "a", "fingerprint": "f", "no": lambda: None})
    assert checkpoint.load(file, "a", "f") is not None


class Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_file_is_not_run(file: Path) -> None:
    """weights_only: a checkpoint from elsewhere cannot do more than hold numbers."""
    fired = file.with_name("fired")
    checkpoint.save(file, STATE | {"attack": Attack(fired)})
    with pytest.raises(UserError, match=r"checkpoint.pt holds more than numbers .*: remove it"):
        checkpoint.load(file, "a", "f")
    assert not fired.exists()
    payload = file.read_bytes()[len(checkpoint._MAGIC) + checkpoint._DIGEST_SIZE :]
    torch.load(io.BytesIO(payload), weights_only=False)
    assert fired.exists(), "so the payload is live"
