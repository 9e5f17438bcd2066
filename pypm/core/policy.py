"""Restart policy: verdicts with their reasons, from values only."""

from __future__ import annotations

from signal import Signals
from typing import Literal, NamedTuple
from zlib import crc32

from pypm.core.instance import Instance, RunEnd
from pypm.core.rules import Ruling, hold_time
from pypm.core.spec import AppSpec, RestartPolicy

__all__ = [
    "Verdict",
    "describe_duration",
    "describe_exit",
    "describe_ruling",
    "ended_well",
    "recent",
    "restart_delay",
    "should_restart",
    "signal_name",
    "was_healthy",
]

FIRST_GROWING_DELAY = 0.1
"""Seconds before the second restart in a row, where the app names no delay of its own."""
GROWTH = 1.5
SHOWN_LINE = 100
"""Characters of a line of the log that a reason quotes."""
JITTER = 0.1
"""The growing delay varies by this part up and down, so that instances do not fail in step."""


class Verdict(NamedTuple):
    """What follows the end of a run: ``restart`` after ``delay`` seconds, or a status to rest in, and why.

    ``held`` is for ``delay`` seconds, too; None: until somebody starts it.
    """

    kind: Literal["restart", "exited", "errored", "held"]
    reason: str
    delay: float | None = 0.0


def should_restart(instance: Instance, end: RunEnd, now: float, ruling: Ruling | None = None) -> Verdict:
    """Decide what follows a run that nobody asked to end; ``ruling`` is the rule of the app that fits.

    ``exited``: it ended as the policy finds right. ``errored``: it failed and is given up: restarts are off,
    or there were ``max_restarts`` of them within the sliding window already. Unlike PM2, a death by signal is
    not exit code 0, and the brake counts at any age of the app.
    """
    if ruling is not None:
        return _ruled(instance, end, now, ruling)
    if instance.spec.schedule is not None:  # its next run comes by its schedule
        return Verdict("exited", end.reason)
    policy = instance.spec.restart
    if not end.planned:  # the exit code of a run that we ended says nothing
        if end.code is not None and end.code in policy.stop_exit_codes:
            return Verdict("exited", f"{end.reason}, which is one of its stop_exit_codes")
        if policy.autorestart != "always" and end.code == 0:
            return Verdict("exited", end.reason)
    worked = end.planned and end.ready
    if policy.autorestart == "never" and not worked:
        return Verdict("errored", f"{end.reason}; autorestart is off")
    healthy = was_healthy(end, policy)
    if end.planned and healthy:
        return Verdict("restart", end.reason)
    return _brake(instance, end, now) or Verdict("restart", end.reason, restart_delay(instance, healthy))


def _ruled(instance: Instance, end: RunEnd, now: float, ruling: Ruling) -> Verdict:
    """What a rule says; no rule takes the brake off."""
    rule, reason = ruling.rule, end.reason
    if rule.reason:
        reason = f"{rule.reason} ({end.reason})"
    elif ruling.match is not None:
        reason = f'{end.reason}, "{ruling.match.line[:SHOWN_LINE]}"'
    if rule.action == "hold":
        seconds = hold_time(ruling)
        how_long = "until told" if seconds is None else f"for {describe_duration(seconds)}"
        return Verdict("held", f"{reason}; held {how_long}", seconds)
    if rule.action == "stop":
        is_right = not end.planned and (end.code == 0 or bool(rule.codes))
        return Verdict("exited" if is_right else "errored", f"{reason}; not restarted")
    healthy = was_healthy(end, instance.spec.restart)
    usual = 0.0 if end.planned and healthy else restart_delay(instance, healthy)
    delay = usual if rule.delay is None else rule.delay
    unbraked = end.planned and healthy
    return (None if unbraked else _brake(instance, end, now)) or Verdict("restart", reason, delay)


def describe_ruling(ruling: Ruling) -> str:
    """The rule that has decided: its number, what it asks for and what it does."""
    rule = ruling.rule
    conditions = [
        *([" or ".join(rule.causes)] if rule.causes else []),
        *([f"exit code {' or '.join(map(str, rule.codes))}"] if rule.codes else []),
        *([" or ".join(rule.signals)] if rule.signals else []),
        *([f"log /{rule.log}/"] if rule.log is not None else []),
    ]
    return f"rule {ruling.number} ({', '.join(conditions) or 'any end'}): {rule.action}"


def was_healthy(end: RunEnd, policy: RestartPolicy) -> bool:
    """Whether the run was up so long that the growing delay begins anew; one never ready was not healthy."""
    return end.ready and end.uptime >= policy.backoff_reset


def ended_well(end: RunEnd, spec: AppSpec) -> bool:
    """Whether the run did its work and ended by itself: such ends are slowed like all, and never braked."""
    return end.code == 0 and not end.planned and end.ready and end.uptime >= spec.min_uptime


def _brake(instance: Instance, end: RunEnd, now: float) -> Verdict | None:
    policy = instance.spec.restart
    if policy.max_restarts is None or (policy.max_restarts and ended_well(end, instance.spec)):
        return None
    count = len(recent(instance.restart_times, policy, now))
    if count < policy.max_restarts:
        return None
    if policy.max_restarts == 0:
        return Verdict("errored", f"{end.reason}; max_restarts is 0")
    times = "restart" if count == 1 else "restarts"
    return Verdict("errored", f"{end.reason}; {count} {times} within {describe_duration(policy.window)}")


def restart_delay(instance: Instance, healthy: bool) -> float:
    """Seconds until the next start, given how many ends in a row there were without a healthy uptime."""
    policy = instance.spec.restart
    step = 0 if healthy else instance.failures
    if policy.backoff is not None:
        first, growing = policy.backoff, step
    elif policy.delay is not None:
        return policy.delay
    elif step == 0:
        return 0.0
    else:
        first, growing = FIRST_GROWING_DELAY, step - 1
    # The exponent is bounded because 1.5 ** 2000 is no float any more.
    delay = first * GROWTH ** min(growing, 64)
    return min(delay * _jitter(instance), policy.max_backoff)


def _jitter(instance: Instance) -> float:
    """A factor around 1 that differs between instances and restarts, yet is the same in a replay."""
    unit = crc32(f"{instance.app}:{instance.index}:{instance.restarts}".encode()) / 0xFFFFFFFF
    return 1.0 - JITTER + 2.0 * JITTER * unit


def recent(times: tuple[float, ...], policy: RestartPolicy, now: float) -> tuple[float, ...]:
    """The restart times that still count: within the window, and no more than the brake needs."""
    if policy.max_restarts is None:
        return ()
    kept = tuple(time for time in times if now - time <= policy.window)
    return kept[-policy.max_restarts :] if policy.max_restarts else ()


def describe_exit(code: int | None, signal_name: str | None, core_dumped: bool) -> str:
    """How a process ended, in words: ``exit code 3``, ``killed by SIGSEGV (core dumped)``."""
    if signal_name is not None:
        return f"killed by {signal_name}" + (" (core dumped)" if core_dumped else "")
    if code is not None:
        return f"exit code {code}"
    return "ended while no master watched; its exit status is unknown"


def signal_name(number: int) -> str:
    """``SIGSEGV`` for 11; ``signal 99`` for what has no name."""
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def describe_duration(seconds: float) -> str:
    """A duration of a policy in words: ``15m``, ``30s``, ``500ms``."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
