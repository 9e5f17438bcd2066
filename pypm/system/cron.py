"""The moments of a cron line, in the machine's time zone or a named one."""

from __future__ import annotations

import os
from datetime import UTC, datetime, tzinfo

__all__ = ["local_zone", "next_moment", "zone_named"]

LOCAL = "/etc/localtime"

_local: tuple[object, tzinfo] | None = None
"""The zone of the machine, and by what it can be told that it has become another one."""


def next_moment(line: str, after: float, zone: tzinfo | None = None) -> float | None:
    """The first moment of a cron line after a time, both in seconds since 1970; ``None``: there is none.

    In local time, unless ``zone`` says otherwise, with the rules of Debian's cron where clocks are changed. A
    line of six fields begins with seconds. Raises ``ValueError`` for what is no cron line.
    """
    from cronsim import CronSim, CronSimError

    line, shift = _whole_minutes(line)
    begin = datetime.fromtimestamp(after - shift, zone or local_zone())
    try:
        for moment in CronSim(line, begin):
            # In the hour that comes twice, what is in its first pass is over in the second one.
            if moment.timestamp() + shift > after:
                return float(moment.timestamp() + shift)
    except CronSimError as error:
        raise ValueError(str(error)) from error
    return None


def _whole_minutes(line: str) -> tuple[str, int]:
    """A line of five fields, and the seconds that come on top of it, where the first one of six is a number.

    The rules for changed clocks hold for five fields only.
    """
    first, _, rest = line.strip().partition(" ")
    if len(line.split()) == 6 and first.isdecimal() and int(first) < 60:
        return rest, int(first)
    return line, 0


def zone_named(name: str) -> tzinfo:
    """The time zone of this name. Raises ``ValueError`` where there is none."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(f"there is no time zone {name!r} here") from error


def local_zone() -> tzinfo:
    """The zone of this machine, with its rules for changing clocks, which an offset alone does not have."""
    global _local
    name = os.environ.get("TZ", "").removeprefix(":")
    mark = _mark(name)
    if _local is None or _local[0] != mark:
        _local = (mark, _read_local(name))
    return _local[1]


def _mark(name: str) -> object:
    try:
        status = os.stat(name if name.startswith("/") else LOCAL)
    except OSError:
        return name
    return name, status.st_dev, status.st_ino, status.st_mtime_ns


def _read_local(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        if name and not name.startswith("/"):
            return ZoneInfo(name)
        with open(name or LOCAL, "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC if not name else datetime.now(UTC).astimezone().tzinfo or UTC
