"""Whether a run works: its promises, its progress, its honest waits, and what follows from silence. Pure.

A run is in trouble by one of three clocks (start-up, heartbeat, progress), or by its liveness probe. What is
done about it is a ladder of steps with times between them; it ends when the run gives the sign that was
missing. All that is due follows from the instance in one place (``due``), so that the next master goes on
where the last one was.
"""

from __future__ import annotations

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, Gather, Signal, Snapshot, Tell
from pypm.core.instance import After, Cause, Health, Instance, Run, Status, Trouble, Vitals
from pypm.core.policy import describe_duration
from pypm.core.spec import Rung
from pypm.core.stopping import begin_stop

__all__ = [
    "beat",
    "begin_trouble",
    "captured",
    "checked",
    "due_at",
    "evidence",
    "extended",
    "extension_reset",
    "not_ready_in_time",
    "progressed",
    "ready_again",
    "relieved",
    "reloading",
    "settled",
    "watchdog_set",
    "watchdog_triggered",
]

CAPTURE_TIME = 10.0
"""Seconds that the snapshot before a restart may take."""
LONGEST_LOOK = 30.0
"""Seconds over which the tree of a silent agent is looked at for evidence of work, at most."""
LONGEST_TEXT = 200

Result = tuple[Instance, list[Action]]

CAUSES: dict[Trouble, Cause] = {
    "startup": "not-ready",
    "heartbeat": "watchdog",
    "progress": "stalled",
    "probe": "probe",
}


def _run(instance: Instance) -> Run:
    assert instance.run is not None
    return instance.run


def _with(instance: Instance, vitals: Vitals) -> Instance:
    return replace(instance, run=replace(_run(instance), vitals=vitals))


# --- what the agent says ---


def beat(instance: Instance, event: ev.Event, now: float) -> Result:
    """It lives; that ends a trouble by its heartbeat."""
    run = replace(_run(instance), last_beat=now)
    return relieved(replace(instance, run=run), "heartbeat", now)


def progressed(instance: Instance, event: ev.Event, now: float) -> Result:
    """It has worked; that ends a trouble by its progress, and what it waited before is forgotten."""
    assert isinstance(event, ev.Progressed)
    vitals = _run(instance).vitals
    changed = replace(
        vitals,
        last_progress=now,
        progress_text=event.message[:LONGEST_TEXT] or vitals.progress_text,
        iteration=vitals.iteration if event.iteration is None else event.iteration,
        waited=0.0,
        waiting_since=now if vitals.waiting_since is not None else None,
    )
    return relieved(_with(instance, changed), "progress", now)


def ready_again(instance: Instance, event: ev.Event, now: float) -> Result:
    """It was ready already, or has read its configuration anew."""
    run = _run(instance)
    if run.ready and not run.vitals.reloading:
        return instance, []
    return replace(instance, run=replace(run, ready=True, vitals=replace(run.vitals, reloading=False))), []


def reloading(instance: Instance, event: ev.Event, now: float) -> Result:
    """It is busy with its configuration."""
    return _with(instance, replace(_run(instance).vitals, reloading=True)), []


def extended(instance: Instance, event: ev.Event, now: float) -> Result:
    """It waits for something: nothing that is expected of it is due before that, within ``max_extension``."""
    assert isinstance(event, ev.Extended)
    vitals = _run(instance).vitals
    since = now if vitals.waiting_since is None else vitals.waiting_since
    left = instance.spec.health.max_extension - vitals.waited
    until = min(now + event.seconds, since + max(0.0, left))
    until = max(until, vitals.extended_until or 0.0)
    text = event.text[:LONGEST_TEXT] or vitals.waiting_for
    changed = replace(vitals, extended_until=until, waiting_since=since, waiting_for=text)
    waiting = _with(instance, changed)
    is_due_earlier = instance.deadline is not None and instance.deadline < until and not instance.killed
    if instance.status is not Status.ONLINE and is_due_earlier:
        waiting = replace(waiting, deadline=until)
    return waiting, []


def extension_reset(instance: Instance, event: ev.Event, now: float) -> Result:
    """It waits no longer: its clocks go on from here."""
    run = _run(instance)
    if run.vitals.waiting_since is None:
        return instance, []
    vitals = _after_wait(run.vitals, now)
    last_beat = None if run.last_beat is None else now
    return replace(instance, run=replace(run, last_beat=last_beat, vitals=vitals)), []


def _after_wait(vitals: Vitals, now: float) -> Vitals:
    since, until = vitals.waiting_since or now, vitals.extended_until or now
    waited = vitals.waited + max(0.0, min(now, until) - since)
    return replace(vitals, extended_until=None, waiting_since=None, waiting_for="", waited=waited)


def watchdog_set(instance: Instance, event: ev.Event, now: float) -> Result:
    """It promises heartbeats at a pace of its own."""
    assert isinstance(event, ev.WatchdogSet)
    run = _run(instance)
    vitals = replace(run.vitals, heartbeat_timeout=event.seconds)
    return replace(instance, run=replace(run, last_beat=now, vitals=vitals)), []


def watchdog_triggered(instance: Instance, event: ev.Event, now: float) -> Result:
    """It says itself that something is wrong."""
    if _run(instance).vitals.trouble:
        return instance, []
    return begin_trouble(instance, "heartbeat", "the agent asked for it (watchdog trigger)", now)


# --- what is due ---


def settled(instance: Instance, now: float) -> Instance:
    """The instance with what follows from its vitals: its deadline, where it is online, and its health."""
    if instance.status is Status.STARTING:
        return _in_time(instance)
    if instance.status is not Status.ONLINE:
        return instance
    health = _health(instance)
    deadline = due(instance)
    # A timer that comes too early finds nothing due and is armed anew: cheaper than one for each heartbeat.
    if deadline is not None and instance.deadline is not None and now < instance.deadline < deadline:
        deadline = instance.deadline
    if health is instance.health and deadline == instance.deadline:
        return instance
    return replace(instance, health=health, deadline=deadline)


def _in_time(instance: Instance) -> Instance:
    """A start is part of the time that a job's run may take."""
    over = run_over(instance)
    if over is None or (instance.deadline is not None and instance.deadline <= over):
        return instance
    return replace(instance, deadline=over)


def run_over(instance: Instance) -> float | None:
    """When the time is over that a job's run may take, without what the machine has slept of it."""
    run, schedule = instance.run, instance.spec.schedule
    if run is None or schedule is None or schedule.timeout is None:
        return None
    return run.started + schedule.timeout + run.vitals.paused


def _timed_out(instance: Instance, now: float) -> Result | None:
    over = run_over(instance)
    if over is None or over > now or instance.spec.schedule is None:
        return None
    reason = f"timeout of {describe_duration(instance.spec.schedule.timeout or 0.0)}"
    return begin_stop(instance, now, reason, After.DECIDE, "schedule")


def due(instance: Instance) -> float | None:
    """When the next thing is to be done about an online run; None: nothing is."""
    vitals, over = _run(instance).vitals, run_over(instance)
    # A wait that nobody has ended is over at its announced end, also where no clock runs.
    clocks = (_heartbeat_due(instance), _progress_look(instance), vitals.extended_until)
    moments = (vitals.rung_at, over) if vitals.trouble else (*clocks, over)
    return min((time for time in moments if time is not None), default=None)


def due_at(instance: Instance) -> float | None:
    """When something is due about an instance in its status; a timer may come earlier, and find nothing."""
    return due(instance) if instance.status is Status.ONLINE else instance.deadline


def _heartbeat_timeout(instance: Instance) -> float | None:
    promised = _run(instance).vitals.heartbeat_timeout
    timeout = instance.spec.health.heartbeat_timeout if promised is None else promised
    return timeout or None


def _heartbeat_due(instance: Instance) -> float | None:
    """When a heartbeat is missing; None for who never sent one."""
    run = _run(instance)
    timeout = _heartbeat_timeout(instance)
    if timeout is None or run.last_beat is None:
        return None
    last = max(run.last_beat, run.vitals.judged_from)
    return max(last + timeout, run.vitals.extended_until or 0.0)


def _progress_due(instance: Instance) -> float | None:
    """When progress is missing."""
    vitals = _run(instance).vitals
    timeout = instance.spec.health.progress_timeout
    if timeout is None:
        return None
    since = max(vitals.last_progress or 0.0, vitals.judged_from)
    return max(since + timeout + vitals.waited, vitals.extended_until or 0.0)


def _progress_look(instance: Instance) -> float | None:
    """When the tree is looked at: first some time before progress is missing, then when it is."""
    due = _progress_due(instance)
    timeout = instance.spec.health.progress_timeout
    if due is None or timeout is None:
        return None
    if not instance.spec.health.evidence:
        return due
    span = min(timeout / 2, LONGEST_LOOK)
    looked_at = _run(instance).vitals.looked_at
    if looked_at is None or looked_at < due - timeout:
        return due - span
    return max(due, looked_at + span)


def checked(instance: Instance, event: ev.Event, now: float) -> Result:
    """The deadline of an online run has come: see what is due."""
    assert isinstance(event, ev.DeadlinePassed)
    if event.paused:
        return _later(instance, event.paused), []
    if stopped := _timed_out(instance, now):
        return stopped
    instance = _wait_over(instance, now)
    vitals = _run(instance).vitals
    if vitals.trouble:
        return (
            _climb(instance, now) if vitals.rung_at is not None and vitals.rung_at <= now else (instance, [])
        )
    heartbeat_due, look = _heartbeat_due(instance), _progress_look(instance)
    if heartbeat_due is not None and heartbeat_due <= now:
        timeout = describe_duration(_heartbeat_timeout(instance) or 0.0)
        return begin_trouble(instance, "heartbeat", f"no heartbeat for {timeout}", now)
    if look is not None and look <= now:
        return _look(instance, now)
    return instance, []


def _wait_over(instance: Instance, now: float) -> Instance:
    vitals = _run(instance).vitals
    if vitals.extended_until is None or vitals.extended_until > now:
        return instance
    return _with(instance, _after_wait(vitals, now))


def _later(instance: Instance, seconds: float) -> Instance:
    """All clocks stood still for so long, as the agent did."""
    run = _run(instance)
    vitals = run.vitals

    def moved(time: float | None) -> float | None:
        return None if time is None else time + seconds

    vitals = replace(
        vitals,
        paused=vitals.paused + seconds,
        judged_from=vitals.judged_from + seconds,
        last_progress=moved(vitals.last_progress),
        extended_until=moved(vitals.extended_until),
        waiting_since=moved(vitals.waiting_since),
        rung_at=moved(vitals.rung_at),
        looked_at=moved(vitals.looked_at),
    )
    return replace(instance, run=replace(run, last_beat=moved(run.last_beat), vitals=vitals))


def _look(instance: Instance, now: float) -> Result:
    due = _progress_due(instance)
    assert due is not None
    if not instance.spec.health.evidence:
        return _stalled(instance, now)
    first = now < due
    return _with(instance, replace(_run(instance).vitals, looked_at=now)), [Gather(first)]


def evidence(instance: Instance, event: ev.Event, now: float) -> Result:
    """What the tree has done while there was no progress: any sign of work speaks against a stall."""
    assert isinstance(event, ev.Evidence)
    vitals = _run(instance).vitals
    due = _progress_due(instance)
    if due is None or due > now or vitals.trouble:
        return instance, []
    if not event.known:
        return _with(instance, replace(vitals, evidence="not known yet: the master is new")), []
    if event.signs:
        return _with(instance, replace(vitals, evidence=", ".join(event.signs)[:LONGEST_TEXT])), []
    return _stalled(_with(instance, replace(vitals, evidence="")), now)


def _stalled(instance: Instance, now: float) -> Result:
    timeout = describe_duration(instance.spec.health.progress_timeout or 0.0)
    signs = " and no sign of work" if instance.spec.health.evidence else ""
    return begin_trouble(instance, "progress", f"no progress for {timeout}{signs}", now)


# --- what is done ---


def not_ready_in_time(instance: Instance, event: ev.Event, now: float) -> Result:
    """The start-up budget is used up, or the next step of its ladder is due."""
    assert isinstance(event, ev.DeadlinePassed)
    if event.paused:
        return replace(_later(instance, event.paused), deadline=event.deadline + event.paused), []
    if stopped := _timed_out(instance, now):
        return stopped
    if _run(instance).vitals.trouble:
        return _climb(instance, now)
    timeout = describe_duration(instance.spec.listen_timeout)
    probe = _run(instance).probes.readiness
    answer = f" (readiness probe: {probe.output})" if probe.output else ""
    return begin_trouble(instance, "startup", f"not ready within {timeout}{answer}", now)


def _ladder(instance: Instance) -> tuple[Rung, ...]:
    spec = instance.spec.health
    ladders = {
        "startup": spec.on_startup,
        "heartbeat": spec.on_heartbeat,
        "progress": spec.on_stall,
        "probe": spec.on_liveness,
    }
    return ladders[_run(instance).vitals.trouble]


def begin_trouble(instance: Instance, trouble: Trouble, why: str, now: float) -> Result:
    """A sign is missing: do what the ladder says about it, at once or when its first step is due."""
    vitals = _run(instance).vitals
    began = replace(
        vitals, trouble=trouble, trouble_since=now, trouble_why=why, rung=0, rung_at=now, snapshot=""
    )
    instance = replace(_with(instance, began), reason=why)
    first = _ladder(instance)[:1]
    told = [Tell(f"health.{trouble}", why)]
    if first and first[0].after > 0:
        return _next_rung(instance, 0, now), [*told]
    after, actions = _climb(instance, now)
    return after, [*told, *actions]


def _next_rung(instance: Instance, rung: int, now: float) -> Instance:
    """Wait for a step of the ladder, if there is one."""
    ladder = _ladder(instance)
    rung_at = now + ladder[rung].after if rung < len(ladder) else None
    changed = _with(instance, replace(_run(instance).vitals, rung=rung, rung_at=rung_at))
    return replace(changed, deadline=rung_at) if instance.status is Status.STARTING else changed


def _climb(instance: Instance, now: float) -> Result:
    """Do the next step of the ladder."""
    vitals = _run(instance).vitals
    ladder = _ladder(instance)
    if vitals.capturing:
        return _restart(instance, now)
    if vitals.rung >= len(ladder):
        return _next_rung(instance, len(ladder), now), []
    rung = ladder[vitals.rung]
    if rung.action == "restart":
        if vitals.snapshot or vitals.trouble == "startup":
            return _restart(instance, now)
        capturing = replace(vitals, capturing=True, rung_at=now + CAPTURE_TIME)
        return _with(instance, capturing), [Snapshot(vitals.trouble_why)]
    after = _next_rung(instance, vitals.rung + 1, now)
    if rung.action == "signal" and rung.signal:
        return after, [Signal(rung.signal, group=False)]
    if rung.action == "dump":
        return after, [Snapshot(vitals.trouble_why)]
    return after, []


def captured(instance: Instance, event: ev.Event, now: float) -> Result:
    """The snapshot is made: the restart that waited for it follows."""
    assert isinstance(event, ev.Captured)
    vitals = replace(_run(instance).vitals, snapshot=event.path or "none")
    instance = _with(instance, vitals)
    return _restart(instance, now) if vitals.capturing and vitals.trouble else (instance, [])


def _restart(instance: Instance, now: float) -> Result:
    vitals = _run(instance).vitals
    calm = _with(instance, replace(vitals, capturing=False, rung_at=None))
    return begin_stop(calm, now, vitals.trouble_why, After.DECIDE, CAUSES[vitals.trouble])


def relieved(instance: Instance, trouble: Trouble, now: float) -> Result:
    """The sign has come that was missing: nothing more is done about it."""
    vitals = _run(instance).vitals
    if vitals.trouble != trouble or instance.status is Status.STOPPING:
        return instance, []
    calm = replace(vitals, trouble="", trouble_why="", rung=0, rung_at=None, capturing=False)
    lasted = describe_duration(float(round(now - vitals.trouble_since)))
    told = Tell("health.recovered", f"after {lasted}: {vitals.trouble_why}")
    return replace(_with(instance, calm), reason=""), [told]


def _health(instance: Instance) -> Health:
    run = _run(instance)
    if run.vitals.trouble == "progress":
        return Health.STALLED
    if run.vitals.trouble:
        return Health.UNHEALTHY
    beats = run.last_beat is not None and _heartbeat_timeout(instance) is not None
    works = run.vitals.last_progress is not None and instance.spec.health.progress_timeout is not None
    answers = run.probes.liveness.passing is True
    return Health.HEALTHY if beats or works or answers else Health.UNKNOWN
