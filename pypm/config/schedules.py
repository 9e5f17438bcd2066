"""What an ecosystem file says of when an app runs, or is restarted: raw values to typed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pypm.config.faults import Place, nearest
from pypm.config.log_bounds import cron_line
from pypm.config.units import parse_duration, shown
from pypm.config.values import kind
from pypm.core.errors import ConfigError
from pypm.core.spec import ScheduleSpec

__all__ = ["cron", "cron_restart", "every", "schedule_spec", "time_zone"]

LEAST_EVERY = 1.0
"""Seconds; what comes more often is no job."""


def cron(value: object) -> str:
    """A cron line of five fields, or of six that begin with seconds, which has a moment to come."""
    return cron_line(value, (5, 6))


def cron_restart(value: object) -> str | None:
    """A cron line; ``None`` for what PM2 takes for none."""
    return None if value in (False, 0, "0", "", None) else cron(value)


def every(value: object) -> float:
    """Seconds between two runs."""
    seconds = parse_duration(value)
    if seconds < LEAST_EVERY:
        raise ConfigError(f'{shown(value)} is less than a second: expected such as "15m", "1h"')
    return seconds


def time_zone(value: object) -> str:
    """The name of a time zone that is there."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    if not isinstance(value, str):
        raise ConfigError(f'{shown(value)} is {kind(value)}: expected a time zone such as "Europe/Berlin"')
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        known = available_timezones()
        hint = nearest(value, known) if known else "; this machine has none: install tzdata"
        raise ConfigError(f"there is no time zone {shown(value)}{hint}") from None
    return value


def schedule_spec(settings: Mapping[str, Any], place: Place) -> ScheduleSpec | None:
    """The schedule of an app whose settings have one; what does not go together is a fault of ``place``."""
    schedule = settings.get("schedule")
    if not schedule:
        return None
    if ("cron" in schedule) == ("every" in schedule) and not place.failed & {"cron", "every"}:
        place.fault("schedule", 'expected either cron = "0 4 * * *" or every = "15m"')
    if "timezone" in schedule and "every" in schedule:
        place.fault("timezone", 'an interval ("every") is the same in all time zones')
    if settings.get("cron_restart"):
        place.fault("cron_restart", "restarts what is kept running; an app with a schedule is not")
    if settings.get("autorestart", "never") != "never":
        place.fault("autorestart", "an app with a schedule is not kept running: its next run comes by that")
    return ScheduleSpec(**schedule)
