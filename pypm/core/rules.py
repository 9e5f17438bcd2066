"""Rules of an app for how its runs end: the first one that fits decides what follows. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from signal import Signals
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pypm.core.spec import Rule

if TYPE_CHECKING:  # `pypm start` checks patterns, and pays for no instances
    from pypm.core.instance import RunEnd

__all__ = [
    "LogMatch",
    "RuleError",
    "Ruling",
    "compile_log_pattern",
    "hold_time",
    "patterns_to_read",
    "rule_for",
    "search_lines",
]

LONGEST_LINE = 2000
"""Characters of a line that are looked through."""
KEPT = 200
"""Characters of a line or of a group that are kept."""
LEAST_HOLD = 1.0
"""Seconds: what is held for less would be a restart without a brake."""
UNITS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
PART = r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(ms|min|s|m|h|d|)\s*"


class RuleError(ValueError):
    """What is wrong with a rule, for people."""


class LogMatch(msgspec.Struct, frozen=True):
    """A line of a run that fits a pattern, and the pattern's groups; both may have been cut."""

    pattern: str
    line: str
    groups: tuple[str, ...] = ()


class Ruling(NamedTuple):
    """The rule that fits, its place (from 1), and the line of the log by which it does."""

    rule: Rule
    number: int
    match: LogMatch | None


def patterns_to_read(rules: tuple[Rule, ...], end: RunEnd) -> tuple[str, ...]:
    """The patterns on which it depends which rule decides; none: the log need not be read."""
    patterns: list[str] = []
    if end.cause in ("spawn", "dependency"):  # it has not written anything
        return ()
    for rule in rules:
        if not _fits(rule, end):
            continue
        if rule.log is None:
            break
        patterns.append(rule.log)
    return tuple(dict.fromkeys(patterns))


def compile_log_pattern(text: str) -> re.Pattern[str]:
    """The regular expression as it is applied to a line. Raises RuleError for what none is."""
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise RuleError(f"{text!r} is no regular expression: {error}") from None
    if pattern.search("") is not None:
        raise RuleError(f"{text!r} also matches where there is nothing")
    return pattern


def search_lines(patterns: Sequence[str], lines: Sequence[str]) -> tuple[LogMatch, ...]:
    """For each pattern the newest of the ``lines`` (oldest first) that it is found in."""
    found = []
    for pattern in patterns:
        compiled = re.compile(pattern)
        for line in reversed(lines):
            if match := compiled.search(line[:LONGEST_LINE]):
                groups = tuple((group or "")[:KEPT] for group in match.groups())
                found.append(LogMatch(pattern, line.strip()[:KEPT], groups))
                break
    return tuple(found)


def rule_for(rules: tuple[Rule, ...], end: RunEnd, matches: Collection[LogMatch] = ()) -> Ruling | None:
    """The first rule that fits the end of a run; ``matches`` are those of its ``patterns_to_read``."""
    found = {match.pattern: match for match in matches}
    for number, rule in enumerate(rules, 1):
        if _fits(rule, end) and (rule.log is None or rule.log in found):
            return Ruling(rule, number, None if rule.log is None else found[rule.log])
    return None


def _fits(rule: Rule, end: RunEnd) -> bool:
    """Whether all but the pattern fits. How a run ended that we have ended says nothing."""
    if rule.causes and end.cause not in rule.causes:
        return False
    if rule.codes and (end.planned or end.code not in rule.codes):
        return False
    numbers = [Signals[name].value for name in rule.signals]
    return not numbers or (not end.planned and end.signal in numbers)


def hold_time(ruling: Ruling) -> float | None:
    """Seconds for which an instance is held; None: until somebody starts it."""
    rule = ruling.rule
    if not rule.hold_like:
        return None if rule.hold_for is None else max(rule.hold_for, LEAST_HOLD)
    groups = () if ruling.match is None else ruling.match.groups
    seconds = _seconds(re.sub(r"\$([1-9])", lambda place: _group(groups, int(place[1])), rule.hold_like))
    return rule.longest if seconds is None else min(max(seconds, LEAST_HOLD), rule.longest)


def _group(groups: tuple[str, ...], number: int) -> str:
    return groups[number - 1] if number <= len(groups) else ""


def _seconds(text: str) -> float | None:
    """A duration such as ``30``, ``30s``, ``1m 30s``; None for what is none."""
    text = text.strip()
    parts = re.findall(PART, text)
    if not parts or re.sub(PART, "", text):
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)
