"""When an app's schedule has it run: what is due at a moment of the wall clock, what was missed. Pure.

Moments are Unix times in seconds. A schedule counts from the last moment that was dealt with, which is part
of the state: so each one comes once, whoever is the master, and whatever happens to the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor
from typing import Literal, NamedTuple
from zlib import crc32

from pypm.core.policy import describe_duration
from pypm.core.spec import AppSpec, ScheduleSpec

__all__ = [
    "CLOCK_STEP",
    "GRACE",
    "SET_BACK",
    "Calendar",
    "Look",
    "look",
    "next_run",
    "offset_of",
    "reason_of",
    "schedule_of",
]

GRACE = 60.0
"""Seconds after which a moment is not late any more but missed."""
SET_BACK = 86400.0
"""Seconds by which a clock is set back at most so that the moments that are done do not come again; one that
is set back further was wrong, and the schedule counts from the new time on."""
CLOCK_STEP = 1.0
"""Seconds by which a clock that is kept right may be moved: no reason to count an interval anew."""

Calendar = Callable[[float], float | None]
"""The first moment of a cron line after a time; None: none comes any more."""

WINDOWS = (60.0, 3600.0, 86400.0, 40 * 86400.0, 400 * 86400.0)
"""Seconds before a time in which the last moment before it is looked for, one after the other: each is so
much longer than the one before that few moments are gone through in the first one that has any."""


class Look(NamedTuple):
    """What is to be done about a schedule now, and the last ``moment`` that is dealt with by that.

    ``wait``: nothing. ``run``: its moment is there, or it was ``missed`` and is made up for. ``skip``: what
    was missed stays undone. ``anew``: the clock was set back, and the schedule counts from ``moment`` on.
    """

    action: Literal["wait", "run", "skip", "anew"]
    moment: float
    missed: bool = False


def schedule_of(spec: AppSpec) -> ScheduleSpec | None:
    """The moments at which something is to be done about an app: a job's, or those of ``cron_restart``."""
    if spec.schedule is None and spec.cron_restart is not None:
        return ScheduleSpec(cron=spec.cron_restart)
    return spec.schedule


def reason_of(spec: AppSpec, *, missed: bool = False) -> str:
    """Why something is done at a moment of the app's schedule: ``cron_restart 0 4 * * *``."""
    schedule = spec.schedule
    if schedule is None:
        return f"cron_restart {spec.cron_restart}"
    when = schedule.cron or f"every {describe_duration(schedule.every or 0.0)}"
    return f"schedule {when}" + (", made up for" if missed else "")


def offset_of(schedule: ScheduleSpec, seed: str) -> float:
    """By how many seconds all moments are put off: a part of the jitter, always the same for one ``seed``."""
    return schedule.jitter * crc32(seed.encode()) / 2**32


def next_run(schedule: ScheduleSpec, calendar: Calendar, last: float, offset: float) -> float | None:
    """When the first moment after ``last`` is due; None: none comes any more."""
    moment = _after(schedule, calendar, last)
    return None if moment is None else moment + offset


def look(
    schedule: ScheduleSpec,
    calendar: Calendar,
    last: float,
    now: float,
    offset: float = 0.0,
    began: float | None = None,
) -> Look:
    """Say what is to be done at ``now``, when all moments up to ``last`` are dealt with.

    ``began`` is when its latest run did: what was due before that is done. Of several moments that have
    passed only the last one counts.
    """
    if last - now > (SET_BACK if schedule.every is None else CLOCK_STEP):
        return Look("anew", now)
    passed = _last_before(schedule, calendar, last, now - offset)
    if passed is None:
        return Look("wait", last)
    due = passed + offset
    if began is not None and began >= due:
        return Look("skip", passed)
    missed = now - due > GRACE
    if missed and not schedule.catch_up:
        return Look("skip", passed, missed)
    return Look("run", passed, missed)


def _after(schedule: ScheduleSpec, calendar: Calendar, last: float) -> float | None:
    return calendar(last) if schedule.every is None else last + schedule.every


def _last_before(schedule: ScheduleSpec, calendar: Calendar, last: float, now: float) -> float | None:
    """The last moment after ``last`` and not after ``now``; None: there is none."""
    if schedule.every is not None:
        count = floor((now - last) / schedule.every)
        # The quotient may be a hair too large: a moment does not come before its time.
        while count > 0 and last + count * schedule.every > now:
            count -= 1
        return last + count * schedule.every if count > 0 else None
    for window in WINDOWS:
        if now - window > last and (found := _last_within(calendar, float(ceil(now - window)), now)):
            return found
    return _last_within(calendar, last, now)


def _last_within(calendar: Calendar, begin: float, end: float) -> float | None:
    found, moment = None, calendar(begin)
    while moment is not None and moment <= end:
        found, moment = moment, calendar(moment)
    return found
