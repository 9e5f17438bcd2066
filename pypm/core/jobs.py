"""What a moment of its schedule, and an order to run now, do to an instance: handlers of the table, pure.

A *job* is an instance whose app has a ``schedule``: it is not kept running. While it is wanted up it is
armed: it rests in ``exited`` until its next moment comes. An app with ``cron_restart`` is kept running as
always, and has a new run at each moment.
"""

from __future__ import annotations

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, Tell
from pypm.core.instance import After, Desired, Instance, Status
from pypm.core.schedule import schedule_of
from pypm.core.stopping import begin_stop
from pypm.core.transitions import begin

__all__ = ["due_at_rest", "due_running", "moved", "run_at_rest", "settled"]

Result = tuple[Instance, list[Action]]


def settled(instance: Instance) -> Instance:
    """Nothing of a schedule is kept of what is wanted down, or has none: it counts anew when it is armed."""
    if instance.moment is None and not instance.queued:
        return instance
    if instance.desired is Desired.UP and schedule_of(instance.spec) is not None:
        return instance
    return replace(instance, moment=None, queued=False)


def moved(instance: Instance, event: ev.Event, now: float) -> Result:
    """All moments up to this one are dealt with, without anything that follows from them."""
    assert isinstance(event, ev.ScheduleMoved)
    told: list[Action] = [Tell("schedule.missed", event.why)] if event.why else []
    return replace(instance, moment=event.moment), told


def due_at_rest(instance: Instance, event: ev.Event, now: float) -> Result:
    """Its moment has come while nothing of it runs.

    What is held is held for a reason that a run would not cure, and in ``backoff`` a run is due anyway.
    """
    assert isinstance(event, ev.ScheduleDue)
    instance = replace(instance, moment=event.moment)
    if instance.desired is Desired.DOWN:
        return instance, []
    if instance.status in (Status.HELD, Status.BACKOFF):
        return instance, [Tell("schedule.skipped", f"{event.reason}: it is {instance.status}")]
    return _begin(instance, now, event.reason)


def due_running(instance: Instance, event: ev.Event, now: float) -> Result:
    """Its moment has come while a run of it is there, or is being stopped."""
    assert isinstance(event, ev.ScheduleDue)
    instance = replace(instance, moment=event.moment)
    if instance.desired is Desired.DOWN:
        return instance, []
    overlap = "kill" if instance.spec.schedule is None else instance.spec.schedule.overlap
    if overlap == "queue":
        return replace(instance, queued=True), []
    if overlap == "skip":
        return _skip(instance, event)
    if instance.status is Status.STOPPING:
        is_over = instance.after is After.DECIDE
        return (replace(instance, after=After.RESTART) if is_over else instance), []
    if instance.run is None:  # its process is about to be started
        return instance, []
    return begin_stop(instance, now, event.reason, After.RESTART, "schedule")


def _skip(instance: Instance, event: ev.ScheduleDue) -> Result:
    """The run goes on; that is told once a run, however many moments come meanwhile."""
    reason = f"{event.reason}; it goes on past its next moment"
    if instance.reason == reason:
        return instance, []
    told: list[Action] = [Tell("schedule.skipped", f"{event.reason}: the run before goes on")]
    # What is being stopped has a reason of its own, and ends soon.
    return (instance if instance.status is Status.STOPPING else replace(instance, reason=reason)), told


def run_at_rest(instance: Instance, event: ev.Event, now: float) -> Result:
    """Somebody wants a run of a job now, armed or not."""
    assert isinstance(event, ev.RunRequested)
    if instance.spec.schedule is None:
        return instance, []
    return _begin(instance, now, f"run-now by {event.by}")


def _begin(instance: Instance, now: float, reason: str) -> Result:
    """A run that is not counted among the restarts, unless it is one of what is kept running."""
    count = instance.restarts + (instance.spec.schedule is None)
    began, actions = begin(replace(instance, failures=0, restarts=count), now)
    return replace(began, reason=reason), actions
