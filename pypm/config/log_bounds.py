"""What an ecosystem file says of how long logs are kept: raw values to typed ones."""

from __future__ import annotations

from importlib.util import find_spec

from pypm.config.units import parse_duration, parse_size, shown
from pypm.config.values import integer, kind, one_of
from pypm.core.errors import ConfigError

__all__ = ["bytes_of_logs", "compression", "cron_line", "some_time"]

LEAST_NUMBER = 4096
"""A smaller number without a unit is one whose unit was forgotten: every few lines would be a file."""

_compression = one_of("none", "gzip", "zstd")


def bytes_of_logs(value: object) -> int:
    """A size; 0: no bound."""
    size = parse_size(value)
    if 0 < size < LEAST_NUMBER and integer(value) is not None:
        raise ConfigError(f'{shown(value)} is a number of bytes; did you mean "{size}M"?')
    return size


def some_time(value: object) -> float:
    """A duration that is not zero."""
    seconds = parse_duration(value)
    if not seconds:
        raise ConfigError(f"{shown(value)} is no time at all; leave it out for never")
    return seconds


def cron_line(value: object, counts: tuple[int, ...] = (5,)) -> str:
    """A cron line with one of these counts of fields, which has a moment to come."""
    from cronsim import CronSim, CronSimError

    if not isinstance(value, str):
        raise ConfigError(f'{shown(value)} is {kind(value)}: expected a cron line such as "0 0 * * *"')
    from datetime import UTC, datetime

    try:
        if len(value.split()) not in counts:
            raise CronSimError(
                f"it has not {' or '.join({5: 'five', 6: 'six'}[count] for count in counts)} fields"
            )
        next(CronSim(value, datetime.now(UTC)))
    except CronSimError as error:
        raise ConfigError(f'{shown(value)}: {error}: expected a cron line such as "0 0 * * *"') from None
    except StopIteration:
        raise ConfigError(f'{shown(value)} never comes: expected a cron line such as "0 0 * * *"') from None
    return value


def compression(value: object) -> str:
    """What rotated files are compressed with; refused where nothing here can do that."""
    chosen = _compression(value)
    if chosen == "zstd" and not (_is_there("compression.zstd") or _is_there("zstandard")):
        hint = "pip install 'pypm[zstd]', or \"gzip\""
        raise ConfigError(f"{shown(value)} needs Python 3.14 or the package zstandard: {hint}")
    return chosen


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package in which it would be
        return False
