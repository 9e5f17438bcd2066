"""The moments of a cron line, in local time."""

from __future__ import annotations

import os
from datetime import UTC, datetime, tzinfo

__all__ = ["next_moment"]

LOCAL = "/etc/localtime"


def next_moment(line: str, after: float) -> float | None:
    """The first moment of a cron line after a time, both in seconds since 1970; ``None``: there is none.

    In local time, with the rules of Debian's cron where clocks are changed. Raises ``ValueError`` for what is
    no cron line.
    """
    from cronsim import CronSim, CronSimError

    try:
        return float(next(CronSim(line, datetime.fromtimestamp(after, local_zone()))).timestamp())
    except CronSimError as error:
        raise ValueError(str(error)) from error
    except StopIteration:
        return None


def local_zone() -> tzinfo:
    """The zone of this machine, with its rules for changing clocks, which an offset alone does not have."""
    from zoneinfo import ZoneInfo

    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name and not name.startswith("/"):
            return ZoneInfo(name)
        with open(name or LOCAL, "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC if not name else datetime.now(UTC).astimezone().tzinfo or UTC
