"""What an agent says about its work: that it lives, has worked, waits, or wants to be ended. Pure.

What comes often (heartbeats, progress) is saved only where the next master has to know it.
"""

from __future__ import annotations

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, Persist
from pypm.core.health import LONGEST_TEXT, after_wait, begin_trouble, may_begin, relieved, run_of, with_vitals
from pypm.core.instance import Instance, Status, Trouble

__all__ = [
    "beat",
    "extended",
    "extension_reset",
    "progressed",
    "ready_again",
    "reloading",
    "watchdog_set",
    "watchdog_triggered",
]

SILENCES: tuple[Trouble, ...] = ("heartbeat", "progress")

Result = tuple[Instance, list[Action]]


def beat(instance: Instance, event: ev.Event, now: float) -> Result:
    """It lives; that ends a trouble by its heartbeat. The first one is saved: it is a promise."""
    run = run_of(instance)
    changed = replace(instance, run=replace(run, last_beat=now))
    after, actions = relieved(changed, "heartbeat", now)
    return after, [Persist(), *actions] if actions or run.last_beat is None else []


def progressed(instance: Instance, event: ev.Event, now: float) -> Result:
    """It has worked; that ends a trouble by its progress, and what it waited before is forgotten."""
    assert isinstance(event, ev.Progressed)
    vitals = run_of(instance).vitals
    changed = replace(
        vitals,
        last_progress=now,
        progress_text=event.message[:LONGEST_TEXT] or vitals.progress_text,
        iteration=vitals.iteration if event.iteration is None else event.iteration,
        waited=0.0,
        waiting_since=now if vitals.waiting_since is not None else None,
    )
    after, actions = relieved(with_vitals(instance, changed), "progress", now)
    return after, [Persist(), *actions] if actions else []


def ready_again(instance: Instance, event: ev.Event, now: float) -> Result:
    """It was ready already, or has read its configuration anew."""
    run = run_of(instance)
    if run.ready and not run.vitals.reloading:
        return instance, []
    return replace(instance, run=replace(run, ready=True, vitals=replace(run.vitals, reloading=False))), []


def reloading(instance: Instance, event: ev.Event, now: float) -> Result:
    """It is busy with its configuration."""
    return with_vitals(instance, replace(run_of(instance).vitals, reloading=True)), []


def extended(instance: Instance, event: ev.Event, now: float) -> Result:
    """It waits for something: nothing that is expected of it is due before that, within ``max_extension``.

    Who says so is neither silent nor stalled. One that has been told to end has ``max_extension`` for that,
    whatever it does meanwhile.
    """
    assert isinstance(event, ev.Extended)
    vitals = run_of(instance).vitals
    since = now if vitals.waiting_since is None else vitals.waiting_since
    left = instance.spec.health.max_extension - vitals.waited
    until = min(now + event.seconds, since + max(0.0, left))
    until = max(until, vitals.extended_until or 0.0)
    text = event.text[:LONGEST_TEXT] or vitals.waiting_for
    changed = replace(vitals, extended_until=until, waiting_since=since, waiting_for=text)
    waiting = with_vitals(instance, changed)
    is_due_earlier = instance.deadline is not None and instance.deadline < until and not instance.killed
    if instance.status is Status.STOPPING:
        until = min(until, instance.told_at + instance.spec.health.max_extension)
        is_due_earlier = is_due_earlier and (instance.deadline or 0.0) < until
    if instance.status is not Status.ONLINE:
        return (replace(waiting, deadline=until) if is_due_earlier else waiting), []
    trouble = vitals.trouble
    return relieved(waiting, trouble, now) if until > now and trouble in SILENCES else (waiting, [])


def extension_reset(instance: Instance, event: ev.Event, now: float) -> Result:
    """It waits no longer: its clocks go on from here."""
    run = run_of(instance)
    if run.vitals.waiting_since is None:
        return instance, []
    vitals = after_wait(run.vitals, now)
    last_beat = None if run.last_beat is None else now
    return replace(instance, run=replace(run, last_beat=last_beat, vitals=vitals)), []


def watchdog_set(instance: Instance, event: ev.Event, now: float) -> Result:
    """It promises heartbeats at a pace of its own."""
    assert isinstance(event, ev.WatchdogSet)
    run = run_of(instance)
    vitals = replace(run.vitals, heartbeat_timeout=event.seconds)
    return replace(instance, run=replace(run, last_beat=now, vitals=vitals)), []


def watchdog_triggered(instance: Instance, event: ev.Event, now: float) -> Result:
    """It says itself that something is wrong."""
    if not may_begin(instance, "heartbeat"):
        return instance, []
    run = run_of(instance)
    asked = replace(instance, run=replace(run, vitals=replace(run.vitals, triggered=True)))
    return begin_trouble(asked, "heartbeat", "the agent asked for it (watchdog trigger)", now)
