"""Rules for how runs end: which ends, and what follows. Raises ConfigError."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from pypm.config import values
from pypm.config.faults import nearest
from pypm.config.units import parse_duration, shown
from pypm.core.causes import CAUSES, Cause
from pypm.core.errors import ConfigError
from pypm.core.rule_validity import MOST_RULES, fault_of_rule
from pypm.core.spec import Rule

__all__ = ["rules"]

NOT_DECIDED = ("operator", "config")
"""Causes after which there is nothing to decide: what somebody has ordered is done."""
ACTIONS = ("restart", "hold", "stop")


def rules(value: object) -> tuple[Rule, ...]:
    """One rule or a list of them, each a table."""
    tables = value if isinstance(value, list) else [value]
    if len(tables) > MOST_RULES:
        raise ConfigError(f"{len(tables)} rules; at most {MOST_RULES} are possible")
    return tuple(_numbered(number, table) for number, table in enumerate(tables, 1))


def _numbered(number: int, table: object) -> Rule:
    try:
        return _rule(table)
    except ConfigError as error:
        raise ConfigError(f"rule {number}: {error.message}") from None


def _rule(table: object) -> Rule:
    if not isinstance(table, Mapping):
        raise ConfigError(f'{shown(table)} is no rule: expected such as {{ codes = [75], action = "hold" }}')
    fields = _fields(table)
    if "action" not in fields:
        raise ConfigError(f"it has no action: expected {', '.join(ACTIONS)}")
    _check_action(fields)
    rule = _made(fields)
    if fault := fault_of_rule(rule):
        raise ConfigError(fault)
    return rule


def _fields(table: Mapping[Any, object]) -> dict[str, Any]:
    """What the keys say; raises one ConfigError with all that is wrong with them."""
    fields: dict[str, Any] = {}
    faults: list[str] = []
    for word, value in table.items():
        if word not in WORDS:
            faults.append(f"unknown key {shown(word)}{nearest(str(word), WORDS)}")
            continue
        name, convert = WORDS[word]
        if name in fields:
            faults.append(f"{word} says the same as another key of it")
            continue
        try:
            fields[name] = convert(value)
        except ConfigError as error:
            faults.append(f"{word}: {error.message}")
    if faults:
        raise ConfigError("; ".join(faults))
    return fields


def _check_action(fields: Mapping[str, Any]) -> None:
    """Raise ConfigError for a key that says nothing with this action."""
    goes_with = {"delay": "restart", "for": "hold", "max": "hold"}
    for key, action in goes_with.items():
        if key in fields and fields["action"] != action:
            raise ConfigError(f'{key} goes with action = "{action}"')
    if "max" in fields and "$" not in str(fields.get("for", "")):
        raise ConfigError('max goes with a time from the log, such as for = "$1s"')


def _made(fields: dict[str, Any]) -> Rule:
    hold = fields.pop("for", None)
    if "max" in fields:
        fields["longest"] = fields.pop("max")
    if isinstance(hold, str):
        return Rule(hold_like=hold, **fields)
    return Rule(hold_for=hold, **fields)


def _causes(value: object) -> tuple[Cause, ...]:
    names = value if isinstance(value, list) else [value]
    for name in names:
        if name in NOT_DECIDED:
            raise ConfigError(f"what is ended for {name} is not for rules: what was ordered is done")
        if name not in CAUSES:
            possible = [cause for cause in CAUSES if cause not in NOT_DECIDED]
            hint = nearest(str(name), possible)
            raise ConfigError(f"{shown(name)} is no cause: expected some of {', '.join(possible)}{hint}")
    return tuple(cast("list[Cause]", names))


def _signals(value: object) -> tuple[str, ...]:
    return tuple(map(values.signal_name, value if isinstance(value, list) else [value]))


def _hold(value: object) -> float | str:
    """Seconds, or a text with a place for what a group of the pattern has matched."""
    if isinstance(value, str) and "$" in value:
        if not re.fullmatch(r"\s*(?:\$[1-9]\s*(?:ms|min|s|m|h|d|)\s*)+", value):
            raise ConfigError(f'{shown(value)}: expected a duration such as "10m", or "$1s" or "$1m $2s"')
        return value.strip()
    return parse_duration(value)


WORDS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "action": ("action", values.one_of(*ACTIONS)),
    "cause": ("causes", _causes),
    "causes": ("causes", _causes),
    "code": ("codes", values.exit_codes),
    "codes": ("codes", values.exit_codes),
    "signal": ("signals", _signals),
    "signals": ("signals", _signals),
    "log": ("log", values.text),
    "delay": ("delay", parse_duration),
    "for": ("for", _hold),
    "max": ("max", parse_duration),
    "reason": ("reason", values.text),
}
"""What a rule may say, and the converters."""
