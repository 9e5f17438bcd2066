"""What a new master does about the instances that it finds in its state; handlers of the table, pure."""

from __future__ import annotations

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, ReadLog, RunHook, Spawn
from pypm.core.instance import After, Desired, Instance, Status
from pypm.core.rules import patterns_to_read
from pypm.core.stopping import kill_signal
from pypm.core.transitions import arm, begin

__all__ = ["recover_at_rest", "recover_running", "recover_stopping", "recover_waiting"]

HEARD_AGAIN = 3.0
"""Seconds after which agents have connected again, and what they had to say has come."""
SIGNAL_DOUBT = 2.0
"""Seconds after the beginning of a stop in which its master may have died before it sent the signal."""

Result = tuple[Instance, list[Action]]


def recover_at_rest(instance: Instance, event: ev.Event, now: float) -> Result:
    if instance.desired is Desired.DOWN:
        return instance, []
    if instance.spec.schedule is not None:
        return arm(instance)
    return begin(instance, now, instance.reason)


def recover_waiting(instance: Instance, event: ev.Event, now: float) -> Result:
    """The rest of the time is waited for: all deadlines are absolute, and the timers derived from them."""
    return instance, []


def recover_running(instance: Instance, event: ev.Event, now: float) -> Result:
    """The run goes on under its new master; a start that was ordered and not carried out is ordered again.

    What it said while there was no master may be lost or come now, so its silence counts from now on, and
    nothing is done before that can be heard; a snapshot that was being made is not waited for any longer.
    """
    run = instance.run
    if run is None:
        return instance, [Spawn()]
    if instance.status is Status.STARTING and instance.deadline is not None:
        instance = replace(instance, deadline=max(instance.deadline, now + HEARD_AGAIN))
    vitals = run.vitals
    if run.last_beat is None and instance.spec.health.progress_timeout is None and not vitals.trouble:
        return instance, []
    rung_at = None if vitals.rung_at is None else max(vitals.rung_at, now + HEARD_AGAIN)
    if vitals.capturing:
        rung_at = now + HEARD_AGAIN
    judged = replace(vitals, judged_from=now, looked_at=None, waited=0.0, rung_at=rung_at)
    return replace(instance, run=replace(run, vitals=judged)), []


def recover_stopping(instance: Instance, event: ev.Event, now: float) -> Result:
    """A stop half done is finished. One that was for the end of the old master is followed by a start.

    A stop is recorded before its signal is sent, so one that has just begun may lack it. An older one is not
    given it again: many programs take a second signal for impatience.
    """
    run = instance.run
    actions: list[Action] = []
    if run is not None and run.reading and run.leaving is not None:
        actions = [ReadLog(patterns_to_read(instance.spec.restart.rules, run.leaving))]
    elif instance.preparing:
        actions = [RunHook("pre_stop")]
    elif not instance.killed and not instance.waits_for and now - instance.told_at < SIGNAL_DOUBT:
        actions = kill_signal(instance)
    if instance.after is After.STOP and instance.desired is Desired.UP:
        # A job is armed again: its moments say when it runs.
        after = After.RESTART if instance.spec.schedule is None else After.DECIDE
        instance = replace(instance, after=after)
    return instance, actions
