"""When training must stop: after a span of time, or at a time of the clock."""

import re
from datetime import UTC, datetime, timedelta

from replicate.errors import UserError

_SPAN = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_MAX_DAYS = 366
CONCLUDING_SECONDS = 30
"""Kept of the time for CSV files and report, or a quarter of it where it is short. They take 7 to 8 s of a
core of an AMD EPYC, twice as long where others use it too; and an epoch may end up to 3 s late."""


def parse_deadline(text: str, now: datetime) -> datetime:
    """The moment that `text` names, such as 14m, 2h30m, 17:30 or 2026-12-24 08:00, in local time.

    `now` knows its time zone: a span is as long where the clock is put back meanwhile.

    Raises:
        UserError: it is none of these, is past, or more than a year away.
    """
    found = _span(text, now) or _clock(text, now)
    if found is None:
        raise UserError(
            f"--deadline {text!r}: expected a span such as 90s, 14m or 2h30m, a time such as 17:30, "
            "or a date and time such as '2026-12-24 08:00'"
        )
    if not now < found <= now + timedelta(days=_MAX_DAYS):
        raise UserError(f"--deadline {text!r}: {found:%Y-%m-%d %H:%M} is not within the next year")
    return found


def training_ends(end: datetime, now: datetime) -> float:
    """Seconds since 1970 at which training must stop, so that all is written by `end`."""
    span = (end - now).total_seconds()
    return end.timestamp() - min(CONCLUDING_SECONDS, span / 4)


def _span(text: str, now: datetime) -> datetime | None:
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    try:
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return now + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except (OverflowError, ValueError):  # the latter for thousands of digits
        return datetime.max.replace(tzinfo=UTC)


def _clock(text: str, now: datetime) -> datetime | None:
    """A time without a date is the next one."""
    try:
        at = datetime.strptime(text, "%H:%M")
    except ValueError:
        return _date(text)
    today = now.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0, tzinfo=None)
    found = today.astimezone()
    return found if found > now else (today + timedelta(days=1)).astimezone()


def _date(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return found.astimezone()
    except (ValueError, OverflowError, OSError):  # at the beginning or the end of all dates
        return found.replace(tzinfo=UTC)
