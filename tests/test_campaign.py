"""What a campaign remembers of the commands that asked for it."""

from pathlib import Path

import pytest

from replicate.errors import UserError
from replicate.plan.campaign import (
    Campaign,
    begin_or_extend,
    open_campaign,
    parse_request,
    read_request,
    save_campaign,
)


def _asked(project: Path, note: str) -> Campaign:
    values = {"name": "own", "protocol": "smoke", "settings": {}, "seeds": 1, "note": note}
    wanted = parse_request({**values, "cells": ["table1/cifar10/avgpool"]})
    found = begin_or_extend(project, wanted)
    save_campaign(found)
    return found


def test_a_note_stays_until_another_is_given(project: Path) -> None:
    notes = [_asked(project, note).request.note for note in ("", "a sample only", "", "all of it")]
    assert notes == ["", "a sample only", "a sample only", "all of it"]
    assert open_campaign(project, "own").request.note == "all of it"


def test_a_note_of_two_lines_is_refused(project: Path) -> None:
    with pytest.raises(UserError, match=r"^note 'a\\nb': one line without control characters$"):
        _asked(project, "a\nb")
    assert read_request(project, "own") is None
