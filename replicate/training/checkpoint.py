"""A run's state on disk: written whole or not at all, never read when damaged or another run's."""

import hashlib
import io
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from replicate.errors import UserError
from replicate.files import atomic
from replicate.files.checksums import set_aside

_MAGIC = b"replicate checkpoint 1\n"
_DIGEST_SIZE = hashlib.sha256().digest_size

State = dict[str, Any]


def save(path: Path, state: State) -> None:
    """Replace the file in one step, so that a crash leaves the old one or the new one."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(path) as file:
        file.write(_MAGIC + hashlib.sha256(payload).digest() + payload)


def load(path: Path, run_id: str, fingerprint: str) -> State | None:
    """The state saved for this run on these images; None where there is none or it is damaged.

    A damaged file is set aside as `<name>.corrupt`, and the run starts anew. Raises UserError for
    another run's state.
    """
    if not path.exists():
        return None
    payload = _intact(path.read_bytes())
    if payload is None:
        set_aside(path)
        return None
    try:
        state: State = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} holds more than numbers ({reason}): remove it") from None
    for what, saved, wanted in [
        ("run", state["run_id"], run_id),
        ("data", state["fingerprint"], fingerprint),
    ]:
        if saved != wanted:
            raise UserError(
                f"{path} is a checkpoint of {what} {saved}, not of {what} {wanted}: "
                "remove it, or train into another folder"
            )
    return state


def _intact(content: bytes) -> bytes | None:
    """The payload, if the content begins as it must and the checksum holds."""
    start = len(_MAGIC) + _DIGEST_SIZE
    digest, payload = content[len(_MAGIC) : start], content[start:]
    whole = content.startswith(_MAGIC) and hashlib.sha256(payload).digest() == digest
    return payload if whole else None
