"""How a run is told to end: what has to be down first, the hook, the message or signal; pure."""

from __future__ import annotations

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, AskToEnd, RunHook, Signal
from pypm.core.instance import After, Cause, Instance, Status

__all__ = ["KILL_AGAIN", "begin_stop", "hook_ended", "kill_signal", "prepare_stop", "tell_to_end"]

Result = tuple[Instance, list[Action]]

KILL_AGAIN = 5.0
"""Seconds after which SIGKILL is sent again to what has not gone."""


def begin_stop(
    instance: Instance, now: float, reason: str, after: After, cause: Cause = "operator", waits_for: str = ""
) -> Result:
    """Enter ``stopping``; the run is told at once, unless something has to be down first (``waits_for``)."""
    changed = replace(
        instance,
        status=Status.STOPPING,
        reason=reason,
        stop_reason=reason,
        stop_cause=cause,
        after=after,
        deadline=None,
        killed=False,
        killed_for="",
        asked=False,
        waits_for=waits_for,
        preparing=False,
    )
    return (changed, []) if waits_for else prepare_stop(changed, now)


def prepare_stop(instance: Instance, now: float) -> Result:
    """Nothing is in the way of the stop: the hook comes first, if there is one and the agent lives."""
    lives = instance.run is not None and instance.run.leaving is None
    if lives and instance.spec.hooks.pre_stop is not None:
        return replace(instance, waits_for="", preparing=True), [RunHook("pre_stop")]
    return tell_to_end(instance, now)


def tell_to_end(instance: Instance, now: float) -> Result:
    """The kill signal now (or a message first), SIGKILL when the grace period is over."""
    spec = instance.spec
    changed = replace(
        instance,
        deadline=now + spec.kill_timeout,
        asked=spec.shutdown_with_message and instance.run is not None and instance.run.leaving is None,
        waits_for="",
        preparing=False,
        told_at=now,
    )
    return changed, kill_signal(changed)


def hook_ended(instance: Instance, event: ev.Event, now: float) -> Result:
    """After its ``pre_stop`` hook, whatever came of it, the run is told to end."""
    return tell_to_end(instance, now) if instance.preparing else (instance, [])


def kill_signal(instance: Instance) -> list[Action]:
    if instance.asked:
        return [AskToEnd(instance.spec.kill_signal, instance.spec.treekill)]
    return [Signal(instance.spec.kill_signal, instance.spec.treekill)]
