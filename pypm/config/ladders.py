"""Ladders of actions: what is done, step by step, about an agent in trouble. Raises ConfigError."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from pypm.config import values
from pypm.config.faults import nearest
from pypm.config.units import parse_duration, shown
from pypm.core.errors import ConfigError
from pypm.core.spec import Rung, Sign

__all__ = ["evidence", "ladder"]

ACTIONS = ("alert", "dump", "restart")
SIGNS = ("output", "io", "cpu")
MOST_RUNGS = 20
FORMS = '"alert", "dump", "restart", a signal such as "SIGUSR1", or one of them with "after 30s"'


def ladder(value: object) -> tuple[Rung, ...]:
    """One step or a list of steps; each a text, or a table of ``action`` or ``signal``, and ``after``."""
    steps = value if isinstance(value, list) else [value]
    if not steps or len(steps) > MOST_RUNGS:
        raise ConfigError(f"expected 1 to {MOST_RUNGS} steps, each {FORMS}")
    rungs = tuple(_rung(step) for step in steps)
    if any(rung.action == "restart" for rung in rungs[:-1]):
        raise ConfigError('nothing comes after "restart"')
    return rungs


def _rung(step: object) -> Rung:
    if isinstance(step, Mapping):
        return _table(step)
    match = re.fullmatch(r"(\S+)(?:\s+after\s+(.+))?", step.strip()) if isinstance(step, str) else None
    if match is None:
        raise ConfigError(f"{shown(step)} is no step: expected {FORMS}")
    return _named(match[1], parse_duration(match[2]) if match[2] else 0.0)


def _table(step: Mapping[str, Any]) -> Rung:
    rest = dict(step)
    after = parse_duration(rest.pop("after", 0))
    action, signal = rest.pop("action", None), rest.pop("signal", None)
    if rest:
        raise ConfigError(
            f"unknown key {shown(next(iter(rest)))} in a step; it has action or signal, and after"
        )
    if action in ACTIONS and signal is None:
        return _named(action, after)
    if signal is not None and action in (None, "signal"):
        return Rung("signal", values.signal_name(signal), after)
    raise ConfigError(f"{shown(step)} is no step: expected {FORMS}")


def _named(word: str, after: float) -> Rung:
    if word in ACTIONS:
        return Rung(cast("Any", word), None, after)
    if not word.upper().startswith("SIG"):
        from signal import Signals

        hint = nearest(word, ACTIONS) or nearest(f"SIG{word}", Signals.__members__)
        raise ConfigError(f"{shown(word)} is no step: expected {FORMS}{hint}")
    return Rung("signal", values.signal_name(word), after)


def evidence(value: object) -> tuple[Sign, ...]:
    """A list of signs of work; an empty one: nothing but progress counts."""
    names = value if isinstance(value, list) else [value]
    for name in names:
        if name not in SIGNS:
            hint = nearest(str(name), SIGNS)
            raise ConfigError(f"{shown(name)} is no sign of work: expected some of {', '.join(SIGNS)}{hint}")
    return tuple(dict.fromkeys(cast("list[Sign]", names)))
