"""What a campaign remembers of the commands that asked for it."""

from pathlib import Path

import pytest

from replicate import campaign as campaigns
from replicate.errors import UserError


def _asked(project: Path, note: str) -> campaigns.Campaign:
    values = {"name": "own", "protocol": "smoke", "settings": {}, "seeds": 1, "note": note}
    wanted = campaigns.request({**values, "cells": ["table1/cifar10/avgpool"]})
    found = campaigns.asked(project, wanted)
    campaigns.save(found)
    return found


def test_a_note_stays_until_another_is_given(project: Path) -> None:
    notes = [_asked(project, note).request.note for note in ("", "a sample only", "", "all of it")]
    assert notes == ["", "a sample only", "a sample only", "all of it"]
    assert campaigns.opened(project, "own").request.note == "all of it"


def test_a_note_of_two_lines_is_refused(project: Path) -> None:
    with pytest.raises(UserError, match=r"^note 'a\\nb': one line without control characters$"):
        _asked(project, "a\nb")
    assert campaigns.read(project, "own") is None
