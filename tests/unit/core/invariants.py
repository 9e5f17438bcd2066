"""What is true of every instance after every step, checked around the real ``step``."""

from __future__ import annotations

from pypm.core import events as ev
from pypm.core import machine
from pypm.core.actions import (
    Action,
    ArmTimer,
    AskToEnd,
    CancelTimer,
    Forget,
    Gather,
    Persist,
    Publish,
    RunHook,
    Signal,
    Spawn,
    Tell,
)
from pypm.core.instance import After, Desired, Health, Instance, Status

AT_REST = {Status.STOPPED, Status.BACKOFF, Status.HELD, Status.ERRORED, Status.EXITED}
VOLATILE = (ev.Beat, ev.StatusReported, ev.Progressed)


def checked_step(instance: Instance, event: ev.Event, now: float) -> tuple[Instance, list[Action]]:
    """The real step; fails where the result, or what it orders, cannot be."""
    after, actions = machine.step(instance, event, now)
    kinds = [type(action) for action in actions]
    # People may be told of several things at once, but of each only once.
    ordered = [each.what if isinstance(each, Tell) else type(each) for each in actions]
    assert len(ordered) == len(set(ordered)), f"ordered twice: {actions}"
    if Forget in kinds:
        assert kinds == [Forget], "what is forgotten is neither saved nor published nor timed again"
        return after, actions
    check_instance(after)
    check_timer(instance, event, after, actions)
    changed = after is not instance
    assert (Publish in kinds) == changed
    if isinstance(event, VOLATILE):
        assert (Persist in kinds) == tells_news(instance, after)
    elif not isinstance(event, ev.Probed):  # saved where it is news
        assert (Persist in kinds) == changed
    elif after.status is not instance.status:
        assert Persist in kinds
    check_orders(instance, after, kinds)
    check_brake(instance, event, after)
    if after.status is not instance.status:
        assert after.since == now
    else:
        assert after.since == instance.since
    return after, actions


def tells_news(before: Instance, after: Instance) -> bool:
    """Whether what comes often has told something that the next master has to know."""
    if before.run is None or after.run is None:
        return False
    is_first_beat = before.run.last_beat is None and after.run.last_beat is not None
    return is_first_beat or before.run.vitals.trouble != after.run.vitals.trouble


def check_instance(instance: Instance) -> None:
    """A state that cannot be is caught, whatever led to it."""
    status, run = instance.status, instance.run
    if status in AT_REST:
        assert run is None
    if status in (Status.ONLINE, Status.STOPPING):
        assert run is not None
    if status is Status.ONLINE:
        assert run is not None
        assert run.ready
    check_waits(instance)
    if instance.deadline is not None:
        assert status not in (Status.STOPPED, Status.ERRORED, Status.EXITED)
    if status is Status.STARTING:
        is_late = run is not None and run.vitals.trouble != ""
        is_asked = instance.spec.health.startup is not None
        assert is_late or is_asked or (instance.deadline is not None) == (run is not None), (
            "only a run can be late"
        )
    check_vitals(instance)
    if status is not Status.STOPPING:
        assert not instance.killed
        assert not instance.asked
        assert instance.stop_reason == ""
        assert instance.after is After.STOP
        assert run is None or run.leaving is None
    if status in (Status.BACKOFF, Status.HELD, Status.ERRORED, Status.EXITED):
        assert instance.reason, "whoever looks is told why"
    check_wishes(instance)
    check_counters(instance)


def check_waits(instance: Instance) -> None:
    """Who waits for others has no time of its own; whatever else is begun has an end."""
    status = instance.status
    if status in (Status.STOPPING, Status.BACKOFF):
        is_held_back = status is Status.STOPPING and (instance.waits_for != "" or instance.preparing)
        assert (instance.deadline is None) == is_held_back
    if instance.waits_for:
        is_unborn = status is Status.STARTING and instance.run is None
        assert is_unborn or status in (Status.STOPPING, Status.HELD)
    assert not instance.preparing or (status is Status.STOPPING and not instance.waits_for)


def check_wishes(instance: Instance) -> None:
    """What is wanted down does not run, but for a job that somebody has told to run once."""
    status = instance.status
    if status in (Status.STARTING, Status.ONLINE, Status.BACKOFF):
        is_run_now = instance.spec.schedule is not None and status is not Status.BACKOFF
        assert instance.desired is Desired.UP or is_run_now
    if instance.desired is Desired.DOWN:
        assert instance.moment is None
        assert not instance.queued
    if instance.queued:
        assert instance.run is not None or status is Status.STARTING, "there is one to follow"


def check_vitals(instance: Instance) -> None:
    """A trouble has its reason and its place on the ladder, and is seen from outside."""
    if instance.run is None:
        return
    assert instance.run.leaving is not None or not instance.run.reading, "there is an end to be judged"
    vitals = instance.run.vitals
    assert (vitals.trouble != "") == (vitals.trouble_why != "")
    assert vitals.trouble or vitals.rung_at is None
    assert vitals.trouble or not vitals.capturing
    assert (vitals.waiting_since is None) == (vitals.extended_until is None)
    if instance.status is Status.ONLINE:
        assert (vitals.trouble != "") == (instance.health in (Health.UNHEALTHY, Health.STALLED))


def check_counters(instance: Instance) -> None:
    assert len(instance.runs) <= 10
    assert list(instance.restart_times) == sorted(instance.restart_times)
    assert instance.restarts >= 0
    assert instance.failures >= 0


def check_timer(before: Instance, event: ev.Event, after: Instance, actions: list[Action]) -> None:
    """A timer is armed or cancelled exactly when the deadline changes, or the master does."""
    timers = [action for action in actions if isinstance(action, ArmTimer | CancelTimer)]
    if isinstance(event, ev.Recovered | ev.DeadlinePassed) and after.deadline is not None:
        # A new master has no timers yet, and a timer that has fired is gone.
        assert timers == [ArmTimer(after.deadline)]
    elif isinstance(event, ev.StopRequested) and event.keep_desired and before == after:
        # A leaving master starts nothing more; the deadline is the next one's.
        assert timers == ([] if after.deadline is None or after.run else [CancelTimer()])
    elif before.deadline == after.deadline:
        assert timers == []
    else:
        assert timers == [CancelTimer() if after.deadline is None else ArmTimer(after.deadline)]


def check_orders(before: Instance, after: Instance, kinds: list[type[Action]]) -> None:
    if Spawn in kinds:
        assert after.status is Status.STARTING
        assert after.run is None
    if Signal in kinds and after.status is not Status.STOPPING:
        assert after.run is not None
        is_asked = after.run.memory_level == "high" and bool(after.spec.limits.memory_high_signal)
        assert after.run.vitals.trouble or is_asked, "a step of its ladder, or to give memory back"
    if Gather in kinds:
        assert after.status is Status.ONLINE
    is_judged = after.run is not None and after.run.reading
    if after.status is Status.STOPPING and before.status is not Status.STOPPING and not is_judged:
        told = [kind for kind in kinds if kind in (Signal, AskToEnd, RunHook)]
        assert len(told) == (0 if after.waits_for else 1)
    if after.killed and not before.killed:
        assert Signal in kinds


def check_brake(before: Instance, event: ev.Event, after: Instance) -> None:
    """Where the policy decides, it stays within its limit; it may become stricter after it has decided."""
    limit = after.spec.restart.max_restarts
    is_decision = isinstance(event, ev.Exited | ev.TreeGone | ev.SpawnFailed)
    if is_decision and len(after.restart_times) > len(before.restart_times):
        assert limit is None or len(after.restart_times) <= limit
