"""What every rule for the ends of runs has to be."""

from __future__ import annotations

import re
from signal import Signals

from pypm.core.rules import RuleError, compile_log_pattern
from pypm.core.spec import Rule

__all__ = ["MOST_RULES", "fault_of_rule", "fault_of_rules"]

MOST_RULES = 50


def fault_of_rules(rules: tuple[Rule, ...]) -> str:
    """What is wrong with the rules for how runs end."""
    if len(rules) > MOST_RULES:
        return f"{len(rules)} rules for its ends; at most {MOST_RULES} are possible"
    faults = (
        f"rule {number}: {fault}" for number, rule in enumerate(rules, 1) if (fault := fault_of_rule(rule))
    )
    return next(faults, "")


def fault_of_rule(rule: Rule) -> str:
    """Say what is wrong with one rule; empty if nothing is."""
    times = (rule.delay, rule.hold_for, rule.longest)
    if any(time is not None and not 0 <= time < float("inf") for time in times):
        return "one of its durations is negative or no number"
    if unknown := [name for name in rule.signals if name not in Signals.__members__]:
        return f"there is no signal {unknown[0]}"
    try:
        groups = 0 if rule.log is None else compile_log_pattern(rule.log).groups
    except RuleError as error:
        return f"log: {error}"
    asked = [int(number) for number in re.findall(r"\$([1-9])", rule.hold_like)]
    if asked and rule.log is None:
        return f"for: ${asked[0]} is a group of log, which is not there"
    if asked and max(asked) > groups:
        return f"for: ${max(asked)} is asked for, and log has {groups} groups"
    return ""
