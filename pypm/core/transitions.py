"""What each event does to an instance: the handlers of the state machine's table, pure.

A handler takes the instance, the event and the present time (seconds of the boot clock) and returns the
instance after it with the orders that do not follow from the state itself.
"""

from __future__ import annotations

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, CancelTimer, Forget, ReadLog, Signal, Spawn, Watch
from pypm.core.health import ended_by_step
from pypm.core.instance import (
    KEPT_RUNS,
    After,
    Cause,
    Desired,
    Health,
    Instance,
    Run,
    RunEnd,
    Status,
)
from pypm.core.policy import (
    describe_duration,
    describe_exit,
    describe_ruling,
    ended_well,
    recent,
    should_restart,
    signal_name,
    was_healthy,
)
from pypm.core.rules import LogMatch, patterns_to_read, rule_for
from pypm.core.schedule import schedule_of
from pypm.core.stopping import KILL_AGAIN, begin_stop, kill_signal, tell_to_end

READ_TIME = 3.0
"""Seconds that looking through the last lines of a run may take; then it is decided without them."""

Result = tuple[Instance, list[Action]]


# --- what an operator asks for ---


def begin(instance: Instance, now: float, reason: str = "", *, restart: bool = False) -> Result:
    """Enter ``starting`` and order a run; an automatic restart after a failure counts towards the brake."""
    failed = instance.last is None or not ended_well(instance.last, instance.spec)
    times = (*instance.restart_times, now) if restart and failed else instance.restart_times
    if reason and not reason.startswith("restarted"):
        reason = f"restarted: {reason}"
    changed = replace(
        instance,
        status=Status.STARTING,
        health=Health.UNKNOWN,
        reason=reason,
        run=None,
        deadline=None,
        after=After.STOP,
        stop_reason="",
        killed=False,
        asked=False,
        waits_for="",
        preparing=False,
        restarts=instance.restarts + restart,
        restart_times=recent(times, instance.spec.restart, now),
    )
    return changed, [Spawn()]


def _fresh(instance: Instance) -> Instance:
    """The operator vouches for the instance: the brake and the growing delay begin anew."""
    return replace(instance, desired=Desired.UP, failures=0, restart_times=())


def arm(instance: Instance) -> Result:
    """Let a job wait for the next moment of its schedule."""
    if instance.is_armed:
        return instance, []
    return rest(_fresh(instance), Status.EXITED, "armed")


def start(instance: Instance, event: ev.Event, now: float) -> Result:
    if instance.spec.schedule is not None:
        return arm(instance)
    return begin(_fresh(instance), now)


def start_waiting(instance: Instance, event: ev.Event, now: float) -> Result:
    """The restart that was due later comes now: it counts, but not towards the brake."""
    if instance.spec.schedule is not None:
        return arm(instance)
    return begin(replace(_fresh(instance), restarts=instance.restarts + 1), now)


def want_up(instance: Instance, event: ev.Event, now: float) -> Result:
    return (instance if instance.desired is Desired.UP else replace(instance, desired=Desired.UP)), []


def start_while_stopping(instance: Instance, event: ev.Event, now: float) -> Result:
    """The later command wins, also over a deletion that is not done yet; not where its place is taken."""
    if instance.replaced:
        return instance, []
    follows = After.RESTART if instance.spec.schedule is None else After.DECIDE
    after = instance.after if instance.after is After.DECIDE else follows
    return replace(instance, desired=Desired.UP, after=after), []


def rest(instance: Instance, status: Status, reason: str) -> Result:
    """Enter a status without a run in which nothing is due."""
    changed = replace(
        instance,
        status=status,
        health=Health.UNKNOWN,
        reason=reason,
        run=None,
        deadline=None,
        after=After.STOP,
        stop_reason="",
        killed=False,
        asked=False,
        waits_for="",
        preparing=False,
        queued=False,
    )
    return changed, []


def _stop_desired(instance: Instance, event: ev.StopRequested) -> Desired:
    return instance.desired if event.keep_desired else Desired.DOWN


def stop_at_rest(instance: Instance, event: ev.Event, now: float) -> Result:
    assert isinstance(event, ev.StopRequested)
    if event.keep_desired:  # the next master waits for the rest of the delay
        return instance, [] if instance.deadline is None else [CancelTimer()]
    rested, actions = rest(instance, Status.STOPPED, f"stopped by {event.by}")
    return replace(rested, desired=Desired.DOWN), actions


def stop_stopped(instance: Instance, event: ev.Event, now: float) -> Result:
    assert isinstance(event, ev.StopRequested)
    if event.keep_desired or instance.desired is Desired.DOWN:
        return instance, []
    return replace(instance, desired=Desired.DOWN, reason=f"stopped by {event.by}"), []


def stop_running(instance: Instance, event: ev.Event, now: float) -> Result:
    assert isinstance(event, ev.StopRequested)
    reason = f"stopped by {event.by}"
    wanted = replace(instance, desired=_stop_desired(instance, event))
    if instance.run is None:
        return rest(wanted, Status.STOPPED, reason)
    return begin_stop(wanted, now, reason, After.STOP, waits_for=event.waits_for)


def stop_stopping(instance: Instance, event: ev.Event, now: float) -> Result:
    assert isinstance(event, ev.StopRequested)
    after = instance.after if instance.after is After.DELETE else After.STOP
    wanted = replace(instance, desired=_stop_desired(instance, event), after=after)
    return replace(wanted, stop_reason=f"stopped by {event.by}", stop_cause="operator"), []


def restart_running(instance: Instance, event: ev.Event, now: float) -> Result:
    assert isinstance(event, ev.RestartRequested)
    if instance.run is None:
        return want_up(instance, event, now)
    reason = event.reason or f"restarted by {event.by}"
    return begin_stop(_fresh(instance), now, reason, After.RESTART, event.cause)


def restart_stopping(instance: Instance, event: ev.Event, now: float) -> Result:
    if instance.replaced:
        return instance, []
    return replace(_fresh(instance), after=After.RESTART), []


def delete_at_rest(instance: Instance, event: ev.Event, now: float) -> Result:
    return instance, [Forget()]


def delete_running(instance: Instance, event: ev.Event, now: float) -> Result:
    assert isinstance(event, ev.DeleteRequested)
    if instance.run is None:
        return instance, [Forget()]
    wanted = replace(instance, desired=Desired.DOWN)
    return begin_stop(wanted, now, f"deleted by {event.by}", After.DELETE, waits_for=event.waits_for)


def delete_stopping(instance: Instance, event: ev.Event, now: float) -> Result:
    return replace(instance, desired=Desired.DOWN, after=After.DELETE), []


def reset(instance: Instance, event: ev.Event, now: float) -> Result:
    return replace(instance, restarts=0, restart_times=(), failures=0), []


def renumbered(instance: Instance, event: ev.Event, now: float) -> Result:
    """An instance of a reload is in the place of the one before, or the other way round."""
    assert isinstance(event, ev.Renumbered)
    number = None if event.number == instance.id else event.number
    return replace(instance, number=number, replaces=None, replaced=event.replaced), []


def change_spec(instance: Instance, event: ev.Event, now: float) -> Result:
    assert isinstance(event, ev.SpecChanged)
    before, changed = instance.spec, replace(instance, spec=event.spec)
    if schedule_of(before) != schedule_of(event.spec):
        changed = replace(changed, moment=None)
    is_job = event.spec.schedule is not None
    if is_job == (before.schedule is not None) or instance.status not in (Status.STARTING, Status.ONLINE):
        return changed, []
    if changed.run is not None:
        reason = f"it has {'a' if is_job else 'no'} schedule now"
        return begin_stop(changed, now, reason, After.DECIDE, "config")
    return (changed, []) if changed.desired is Desired.UP else rest(changed, Status.STOPPED, "")


# --- what becomes of a run ---


def spawned(instance: Instance, event: ev.Event, now: float) -> Result:
    assert isinstance(event, ev.Spawned)
    spec = instance.spec
    started = now if event.at is None else event.at
    run = Run(
        run_id=event.new_run_id,
        token=event.token,
        pid=event.pid,
        start_ticks=event.start_ticks,
        started=started,
        pipes=event.pipes,
        ready=not spec.waits_for_ready,
        sandboxed=spec.sandbox is not None,
    )
    if spec.waits_for_ready:
        # The startup probe has a budget of its own, which is counted by its failures.
        deadline = now + spec.listen_timeout if spec.health.startup is None else None
        return replace(instance, run=run, deadline=deadline, waits_for=""), []
    run = replace(run, vitals=replace(run.vitals, judged_from=started))
    return replace(instance, run=run, status=Status.ONLINE, waits_for=""), []


def spawn_failed(instance: Instance, event: ev.Event, now: float) -> Result:
    assert isinstance(event, ev.SpawnFailed)
    end = RunEnd(at=now, uptime=0.0, reason=f"could not start: {event.error}", cause="spawn")
    return decide(record(instance, end), end, now)


def ready(instance: Instance, event: ev.Event, now: float) -> Result:
    assert instance.run is not None
    calm = {"trouble": "", "trouble_why": "", "rung": 0, "rung_at": None, "capturing": False, "waited": 0.0}
    vitals = replace(instance.run.vitals, judged_from=now, **calm)
    run = replace(instance.run, ready=True, vitals=vitals)
    # Why it was restarted is still true; that it was not ready in time is over.
    is_over = bool(instance.run.vitals.trouble) and instance.reason == instance.run.vitals.trouble_why
    reason = "" if is_over else instance.reason
    return replace(instance, status=Status.ONLINE, run=run, deadline=None, reason=reason), []


def status_reported(instance: Instance, event: ev.Event, now: float) -> Result:
    assert isinstance(event, ev.StatusReported)
    assert instance.run is not None
    if instance.run.status_text == event.text:
        return instance, []
    return replace(instance, run=replace(instance.run, status_text=event.text)), []


def stopping_reported(instance: Instance, event: ev.Event, now: float) -> Result:
    """It ends by itself: it has promised no heartbeat for that (systemd's STOPPING=1 ends its watchdog)."""
    assert instance.run is not None
    vitals = replace(instance.run.vitals, heartbeat_timeout=0.0)
    run = replace(instance.run, vitals=vitals)
    return replace(instance, run=run, reason="the agent is ending by itself"), []


def main_pid_reported(instance: Instance, event: ev.Event, now: float) -> Result:
    """The run goes on as another process; the one it began as may be the main one again."""
    assert isinstance(event, ev.MainPidReported)
    run = instance.run
    assert run is not None
    named = (0, 0) if event.pid == run.pid else (event.pid, event.start_ticks)
    if named == (run.named_pid, run.named_ticks):
        return instance, []
    return replace(instance, run=replace(run, named_pid=named[0], named_ticks=named[1])), [Watch()]


def not_asked(instance: Instance, event: ev.Event, now: float) -> Result:
    """SIGKILL is what comes next."""
    return (replace(instance, asked=False) if instance.asked else instance), []


def exited(instance: Instance, event: ev.Event, now: float) -> Result:
    """The main process has ended: settle, or first see the rest of its tree gone."""
    assert isinstance(event, ev.Exited)
    run = instance.run
    assert run is not None
    end = _end_of_run(instance, run, event, now)
    if not event.leftovers or not instance.spec.treekill:
        return _settle(instance, end, now)
    leaving = replace(run, leaving=end)
    if instance.waits_for or instance.preparing:
        return tell_to_end(replace(instance, run=leaving), now)
    if instance.status is Status.STOPPING:
        left = replace(instance, run=leaving, asked=False)
        # What it has left has been sent nothing yet, where only a message has asked it to end.
        return left, kill_signal(left) if instance.asked else []
    # It died by itself and left children behind: they get the same grace as in a stop.
    return begin_stop(replace(instance, run=leaving), now, end.reason, After.DECIDE)


def _end_of_run(instance: Instance, run: Run, event: ev.Exited, now: float) -> RunEnd:
    name = None if event.signal is None else signal_name(event.signal)
    how = event.reason or describe_exit(event.code, name, event.core_dumped)
    how += f": {event.oom}" if event.oom else ""
    is_explained = bool(event.oom or event.reason or instance.stop_reason)
    step = None if name is None or is_explained else ended_by_step(instance, name)
    how = how if step is None else f"{step[1]} ({how})"
    at = now if event.at is None else event.at
    return RunEnd(
        at=at,
        uptime=max(0.0, at - run.started),
        reason=_why(instance, how),
        code=event.code,
        signal=event.signal,
        core_dumped=event.core_dumped,
        ready=run.ready,
        planned=bool(instance.stop_reason or event.reason),
        run_id=run.run_id,
        cause=_cause(instance, event) if step is None else step[0],
        snapshot=run.vitals.snapshot if run.vitals.snapshot != "none" else "",
    )


def _cause(instance: Instance, event: ev.Exited) -> Cause:
    if instance.stop_reason:
        return instance.stop_cause
    if event.reason:
        return "reboot"
    if event.signal is not None:
        return "oom" if event.oom else "signal"
    return "unknown" if event.code is None else "exit"


def _why(instance: Instance, how: str) -> str:
    """Why a run ended: our reason where we ended it, and whether it had to be killed; else how."""
    reason = instance.stop_reason or how
    if instance.killed_for:
        return f"{reason} (SIGKILL: {instance.killed_for})"
    if instance.killed:
        return f"{reason} (SIGKILL after {describe_duration(instance.spec.kill_timeout)})"
    return reason


def tree_gone(instance: Instance, event: ev.Event, now: float) -> Result:
    assert instance.run is not None
    if instance.run.leaving is None or instance.run.reading:
        return instance, []
    return _settle(instance, instance.run.leaving, now)


def log_read(instance: Instance, event: ev.Event, now: float) -> Result:
    """What a rule asked for is known: the end of the run can be judged."""
    assert isinstance(event, ev.LogRead)
    run = instance.run
    assert run is not None
    if run.leaving is None or not run.reading:
        return instance, []
    return _settle(instance, run.leaving, now, event.matches)


def record(instance: Instance, end: RunEnd) -> Instance:
    return replace(instance, run=None, runs=(end, *instance.runs[: KEPT_RUNS - 1]))


def _settle(
    instance: Instance, end: RunEnd, now: float, matches: tuple[LogMatch, ...] | None = None
) -> Result:
    """The run is over, its tree is gone: what follows was ordered, or the policy decides.

    ``matches`` are what its last lines have of what its rules ask for; None: that has not been looked for.
    """
    after = instance.after if instance.status is Status.STOPPING else After.DECIDE
    patterns = patterns_to_read(instance.spec.restart.rules, end) if matches is None else ()
    if after is After.DECIDE and patterns:
        return _read_log(instance, end, now), [ReadLog(patterns)]
    recorded = record(instance, end)
    if after is After.DELETE:
        return recorded, [Forget()]
    if after is After.RESTART:
        return begin(replace(recorded, restarts=recorded.restarts + 1), now, end.reason)
    if after is After.STOP:
        return rest(recorded, Status.STOPPED, end.reason)
    return decide(recorded, end, now, matches or ())


def _read_log(instance: Instance, end: RunEnd, now: float) -> Instance:
    """Wait for what the last lines of the run say; the next master looks again, if this one is lost."""
    assert instance.run is not None
    run = replace(instance.run, leaving=end, reading=True)
    waiting = replace(instance, run=run, deadline=now + READ_TIME, asked=False, killed=False)
    waiting = replace(waiting, waits_for="", preparing=False)
    if instance.status is Status.STOPPING:
        return waiting
    return replace(
        waiting, status=Status.STOPPING, reason=end.reason, stop_reason=end.reason, after=After.DECIDE
    )


def decide(instance: Instance, end: RunEnd, now: float, matches: tuple[LogMatch, ...] = ()) -> Result:
    """Let the rules of the app and its restart policy say what follows."""
    ruling = rule_for(instance.spec.restart.rules, end, matches)
    if ruling is not None:
        end = replace(end, rule=describe_ruling(ruling))
        instance = replace(instance, runs=(end, *instance.runs[1:]))
    if instance.desired is Desired.DOWN:  # a job that is not armed has had its run
        return rest(instance, Status.STOPPED, end.reason)
    verdict = should_restart(instance, end, now, ruling)
    if instance.queued and verdict.kind in ("exited", "errored"):
        began, actions = begin(replace(instance, queued=False), now)
        return replace(began, reason="the run before has ended, and this one was due"), actions
    if verdict.kind == "held":
        held, actions = rest(instance, Status.HELD, verdict.reason)
        # From its end on, whenever it is judged: a limit is one of the world's time, not of its master's.
        until = None if verdict.delay is None else max(now, end.at + verdict.delay)
        return replace(held, deadline=until), actions
    if verdict.kind != "restart":
        status = Status.EXITED if verdict.kind == "exited" else Status.ERRORED
        return rest(instance, status, verdict.reason)
    healthy = was_healthy(end, instance.spec.restart)
    counted = replace(instance, failures=1 if healthy else instance.failures + 1)
    delay = verdict.delay or 0.0
    if end.planned and healthy and delay <= 0:
        return begin(replace(counted, failures=0, restarts=counted.restarts + 1), now, verdict.reason)
    if delay <= 0:
        return begin(counted, now, verdict.reason, restart=True)
    waiting, actions = rest(counted, Status.BACKOFF, verdict.reason)
    return replace(waiting, deadline=now + delay), actions


# --- time ---


def _postponed(instance: Instance, event: ev.Event) -> Instance | None:
    """What an agent had a time for, and could not use all of it, it still has the rest of the time for."""
    assert isinstance(event, ev.DeadlinePassed)
    return replace(instance, deadline=event.deadline + event.paused) if event.paused else None


def grace_over(instance: Instance, event: ev.Event, now: float) -> Result:
    assert instance.run is not None
    if postponed := _postponed(instance, event):
        return postponed, []
    if instance.run.reading and instance.run.leaving is not None:
        return _settle(instance, instance.run.leaving, now, ())
    if instance.asked:  # it has not heard, or not understood
        signalled = replace(instance, asked=False, deadline=now + instance.spec.kill_timeout)
        return signalled, kill_signal(signalled)
    changed = replace(instance, killed=True, asked=False, deadline=now + KILL_AGAIN)
    # Where only children are left, treekill was on when the main process ended.
    group = instance.spec.treekill or instance.run.leaving is not None
    return changed, [Signal("SIGKILL", group)]


def backoff_over(instance: Instance, event: ev.Event, now: float) -> Result:
    return begin(instance, now, instance.reason, restart=True)


def hold_over(instance: Instance, event: ev.Event, now: float) -> Result:
    """What it was held for is over; that it was held is no failure, and does not count towards the brake."""
    return begin(replace(instance, restarts=instance.restarts + 1), now, instance.reason)
