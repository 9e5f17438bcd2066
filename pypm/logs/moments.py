"""Moments as people write them: ``1h`` ago, ``10:30``, ``yesterday 18:00``, ``2026-11-22 10:30``."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

__all__ = ["MOMENT_FORMS", "parse_moment"]

MOMENT_FORMS = (
    "90s, 2h30m, 1d (ago); 10:30; today, yesterday 18:00; 2026-11-22, 2026-11-22 10:30:15; "
    "2026-11-22T10:30:15Z; @1795343400"
)
"""What a person is shown who wrote something else."""

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
UNIT = r"ms|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?|w(?:eeks?)?"
AGO = re.compile(rf"-?((?:[0-9]+(?:\.[0-9]+)?\s*(?:{UNIT})\s*)+)(?:ago)?")
PART = re.compile(rf"([0-9]+(?:\.[0-9]+)?)\s*({UNIT})")
CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,6})?)?")
ZONE = r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
DATED = re.compile(rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:[T ]\s*({CLOCK.pattern})\s*({ZONE}))?", re.ASCII)
DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}
UNIX = re.compile(r"@([0-9]{1,11}(?:\.[0-9]+)?)")


def parse_moment(text: str, now: datetime, *, past: bool = False) -> int:
    """The moment that ``text`` names, in milliseconds since 1970.

    ``now`` is aware; times without a zone are local ones. With ``past``, a time of day that is yet to come
    is yesterday's. Raises ``ValueError`` for what is none of the forms, or names no day or time.
    """
    words = text.strip()
    if words == "now":
        return milliseconds(now)
    if match := UNIX.fullmatch(words):
        return int(float(match[1]) * 1000)
    if match := AGO.fullmatch(words):
        seconds = sum(float(number) * seconds_in(unit) for number, unit in PART.findall(match[1]))
        return milliseconds(now) - round(seconds * 1000)
    if CLOCK.fullmatch(words):
        moment = local(now.astimezone().date(), words)
        if past and moment > now:
            moment = local(now.astimezone().date() - timedelta(days=1), words)
        return milliseconds(moment)
    return milliseconds(dated(words, now))


def seconds_in(unit: str) -> float:
    """The seconds of a unit, which may be written out."""
    return UNITS.get(unit) or UNITS[unit[0]]


def dated(words: str, now: datetime) -> datetime:
    """A moment of which the day is said. Raises ``ValueError``."""
    day, _, rest = words.partition(" ")
    if day in DAYS and (not rest or CLOCK.fullmatch(rest.strip())):
        return local(now.astimezone().date() + timedelta(days=DAYS[day]), rest.strip())
    match = DATED.fullmatch(words)
    if match is None:
        raise ValueError(f"no moment: {words!r}")
    moment = local(date.fromisoformat(match[1]), match[2] or "")
    if match[3]:
        zone = datetime.fromisoformat(f"2000-01-01T00:00:00{match[3]}").tzinfo
        moment = moment.replace(tzinfo=zone)
    return moment


def local(day: date, clock: str) -> datetime:
    """A day at a time of day, midnight if there is none, in the local zone. Raises ``ValueError``."""
    at = clock_time(clock) if clock else time()
    return datetime.combine(day, at).astimezone()


def clock_time(text: str) -> time:
    """``9:05``, ``09:05:07``, ``09:05:07.250``. Raises ``ValueError`` for a time that no clock shows."""
    clock, _, fraction = text.replace(",", ".").partition(".")
    hour, minute, second = [*map(int, clock.split(":")), 0][:3]
    return time(hour, minute, second, int(fraction.ljust(6, "0")) if fraction else 0)


def milliseconds(moment: datetime) -> int:
    """An aware moment in milliseconds since 1970."""
    return round(moment.timestamp() * 1000)
