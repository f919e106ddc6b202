"""What `--deadline` takes for a time, and how much of it is kept for the report."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from replicate.errors import UserError
from replicate.options import ends
from replicate.plan import deadline as deadlines
from replicate.plan.deadline import CONCLUDING_SECONDS, parse_deadline, training_ends

NOW = datetime(2026, 11, 28, 13, 20, 30).astimezone()
FORMS = (
    "a span such as 90s, 14m or 2h30m, a time such as 17:30, or a date and time such as "
    "'2026-12-24 08:00'"
)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clocks go back at 03:00 on 2026-10-25, and forward at 02:00 on 2027-03-28."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("14m", timedelta(minutes=14)),
        ("2h30m", timedelta(hours=2, minutes=30)),
        ("1d", timedelta(days=1)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("366d", timedelta(days=366)),
    ],
)
def test_a_span_begins_now(text: str, span: timedelta) -> None:
    assert parse_deadline(text, NOW) - NOW == span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17:30", "2026-11-28 17:30"),
        ("13:21", "2026-11-28 13:21"),
        ("13:20", "2026-11-29 13:20"),
        ("08:00", "2026-11-29 08:00"),
        ("00:00", "2026-11-29 00:00"),
        ("2026-12-24 08:00", "2026-12-24 08:00"),
        ("2026-12-24T08:00:00", "2026-12-24 08:00"),
        ("2026-12-24", "2026-12-24 00:00"),
    ],
)
def test_a_time_of_the_clock_is_the_next_one(text: str, expected: str) -> None:
    assert parse_deadline(text, NOW) == datetime.fromisoformat(expected).astimezone()


def test_a_date_may_name_its_zone() -> None:
    assert parse_deadline("2026-12-24T08:00+05:00", NOW) == datetime.fromisoformat(
        "2026-12-24T03:00Z"
    )


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("now", "text", "hours"),
    [
        ("2026-10-25 01:30", "4h", 4),
        ("2026-10-24 18:00", "08:00", 15),
        ("2026-10-24 18:00", "2026-10-25 08:00", 15),
        ("2027-03-27 18:00", "08:00", 13),
        ("2027-03-27 18:00", "14h", 14),
    ],
)
def test_the_night_in_which_the_clock_is_changed(now: str, text: str, hours: int) -> None:
    begun = datetime.fromisoformat(now).astimezone()
    assert parse_deadline(text, begun).timestamp() - begun.timestamp() == 3600 * hours


def _refusal(text: str) -> str:
    with pytest.raises(UserError) as refused:
        parse_deadline(text, NOW)
    return str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "soon", "14", "m", "14 m", "14min", "1D", "1.5h", "-5m", "+5m", "30m2h", "5m5m"),
        *("24:00", "17:60", "17:30:10", "5pm", "17:30 ", "2026-13-01", "2026-12-24 25:00", "a\nb"),
    ],
)
def test_what_is_no_time_is_refused_with_the_forms_that_are(text: str) -> None:
    assert _refusal(text) == f"--deadline {text!r}: expected {FORMS}"


@pytest.mark.parametrize(
    "text",
    [
        *("0s", "0d0h", "2026-11-28 13:20", "2026-11-28", "2020-01-01", "0001-01-01"),
        *("367d", "9999h", "2028-01-01", "9999-12-31 23:59", "999999999d", "9" * 20 + "d"),
        "9" * 5000 + "m",
    ],
)
def test_what_is_past_or_too_far_is_refused(text: str) -> None:
    said = _refusal(text)
    assert said.startswith(f"--deadline {text!r}: ")
    assert said.endswith(" is not within the next year")


def test_the_command_refuses_in_one_line(
    replicate: Callable[..., tuple[int, str, str]], project: Path
) -> None:
    code, out, err = replicate("run", "--protocol", "smoke", "--deadline", "tomorrow")
    assert (code, out, err) == (2, "", f"error: --deadline 'tomorrow': expected {FORMS}\n")
    assert not (project / "results").exists()


@pytest.mark.parametrize(("seconds", "kept"), [(8, 2), (60, 15), (120, 30), (121, 30), (86400, 30)])
def test_time_is_kept_for_the_report(seconds: int, kept: int) -> None:
    end = NOW + timedelta(seconds=seconds)
    assert training_ends(end, NOW) == end.timestamp() - kept


def test_training_ends_by_the_clock_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(None) is None
    before = time.time()
    found = ends("14m")
    assert found is not None
    assert 0 <= found - (before + 14 * 60 - CONCLUDING_SECONDS) < 10
    assert all((ends(text) or 0) > before for text in ("00:00", "23:59", "1d"))
    monkeypatch.setattr(deadlines, "CONCLUDING_SECONDS", 100)
    assert found - 100 < (ends("14m") or 0) < found
