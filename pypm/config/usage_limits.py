"""What an ecosystem file says of how much an app may use before something follows: raw to typed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pypm.config.faults import Place
from pypm.config.units import parse_duration, parse_size, shown
from pypm.core.errors import ConfigError
from pypm.core.spec import CpuLimit

__all__ = ["CPU_ACTIONS", "cpu_limit", "levels_in_bytes", "memory_level", "runtime"]

CPU_ACTIONS = ("alert", "restart")
CPU_KEYS = ("percent", "for", "action")
CPU_FORM = '{ percent = 90, for = "5m", action = "restart" }'
LEVELS = ("memory_warn", "memory_high")


def memory_level(value: object) -> int | float:
    """A size in bytes, or a part of the limit from percent such as ``"80%"``; 0: there is no such level."""
    if value is False:
        return 0
    if not isinstance(value, str) or not value.strip().endswith("%"):
        return parse_size(value)
    share = _number(value.strip().removesuffix("%"))
    if share is None or not 0 <= share <= 100:
        raise ConfigError(f'{shown(value)}: expected a size, or percent of the limit such as "80%"')
    return share / 100


def cpu_limit(value: object) -> CpuLimit | None:
    """How much CPU time for how long has which consequence; None for ``false`` or 0: nothing has."""
    if value is False or value == 0:
        return None
    if not isinstance(value, Mapping):
        value = {"percent": value}
    if unknown := sorted(set(map(str, value)) - set(CPU_KEYS)):
        raise ConfigError(f'"{unknown[0]}" is no part of it: expected such as {CPU_FORM}')
    if "percent" not in value:
        raise ConfigError(f"it has no percent: expected such as {CPU_FORM}")
    percent, action = value["percent"], value.get("action", "alert")
    written = percent.strip().removesuffix("%") if isinstance(percent, str) else percent
    number = _number(written)
    if number is None or number <= 0:
        raise ConfigError(f"{shown(percent)} is no percent of one core: expected such as {CPU_FORM}")
    if action not in CPU_ACTIONS:
        raise ConfigError(f'{shown(action)}: expected "alert" or "restart"')
    seconds = parse_duration(value.get("for", "5m"))
    if seconds < 1:
        raise ConfigError("that is too short: a second is the least")
    return CpuLimit(number, seconds, "restart" if action == "restart" else "alert")


def runtime(value: object) -> float | None:
    """Seconds that a run may last; None for 0: as long as it likes."""
    return parse_duration(value) or None


def levels_in_bytes(limits: dict[str, Any], memory: int | None, place: Place) -> None:
    """Make bytes of the levels that are parts of the limit ``memory``."""
    for key in LEVELS:
        level = limits.get(key)
        if isinstance(level, float):
            if memory is None and level:
                place.fault(
                    f"limits.{key}", "is a part of the limit, but there is none: set memory, or a size"
                )
            limits[key] = int(level * (memory or 0))
    warn, high = (limits.get(key) or 0 for key in LEVELS)
    for key, level in zip(LEVELS, (warn, high), strict=True):
        if memory and level > memory:
            place.fault(f"limits.{key}", "is more than the limit on memory, beyond which it is restarted")
    if warn and high and warn > high:
        place.fault(
            "limits.memory_warn", "is more than memory_high: people are told before the agent is asked"
        )
    if limits.get("memory_high_signal") and not (memory or limits.get("memory_high")):
        place.fault("limits.memory_high_signal", "needs a limit on memory, or memory_high as a size")
    has_end = limits.get("max_runtime") or "max_runtime" in place.failed
    if limits.get("runtime_jitter") and not has_end:
        place.fault("limits.runtime_jitter", "there is no max_runtime that it could put off")
    if limits.get("recycle_grace") and not has_end:
        place.fault("limits.recycle_grace", "there is no max_runtime beyond which it could let work go on")


def _number(value: object) -> float | None:
    """A finite number, also in text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if number - number == 0 else None
