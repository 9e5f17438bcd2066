"""What is held back until others are up, or down; handlers of the table, pure."""

from __future__ import annotations

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, Spawn
from pypm.core.instance import Instance, RunEnd, Status
from pypm.core.rules import rule_for
from pypm.core.stopping import prepare_stop
from pypm.core.transitions import begin, decide, record, rest

__all__ = ["dependency_failed", "held_back", "let_go"]

Result = tuple[Instance, list[Action]]


def held_back(instance: Instance, event: ev.Event, now: float) -> Result:
    """A start, or a stop that has to wait, waits for this."""
    assert isinstance(event, ev.HeldBack)
    waits = instance.run is None if instance.status is Status.STARTING else instance.waits_for != ""
    if not waits or instance.waits_for == event.waits_for:
        return instance, []
    return replace(instance, waits_for=event.waits_for), []


def let_go(instance: Instance, event: ev.Event, now: float) -> Result:
    """What it waited for has happened."""
    if not instance.waits_for:
        return instance, []
    if instance.status is Status.STOPPING:
        return prepare_stop(instance, now)
    if instance.status is Status.HELD:
        return begin(instance, now)
    return replace(instance, waits_for=""), [Spawn()]


def dependency_failed(instance: Instance, event: ev.Event, now: float) -> Result:
    """It is held until its dependency is there, unless a rule of its app says otherwise."""
    assert isinstance(event, ev.DependencyFailed)
    if instance.run is not None:
        return instance, []
    end = RunEnd(at=now, uptime=0.0, reason=event.why, cause="dependency")
    recorded = record(instance, end)
    if rule_for(instance.spec.restart.rules, end, ()) is not None:
        after, actions = decide(recorded, end, now)
    else:
        after, actions = rest(recorded, Status.HELD, event.why)
    return (replace(after, waits_for=event.why) if after.status is Status.HELD else after), actions
