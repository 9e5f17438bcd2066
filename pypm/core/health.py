"""Whether a run works: what is due of its promises and its progress, and what follows from silence. Pure.

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
from pypm.core.limits import recycle_due, recycled
from pypm.core.policy import describe_duration
from pypm.core.spec import Rung
from pypm.core.stopping import begin_stop

__all__ = [
    "LONGEST_TEXT",
    "after_wait",
    "begin_trouble",
    "captured",
    "checked",
    "due_at",
    "ended_by_step",
    "evidence",
    "may_begin",
    "next_step",
    "not_ready_in_time",
    "relieved",
    "run_of",
    "run_over",
    "settled",
    "with_vitals",
]

CAPTURE_TIME = 10.0
"""Seconds that the snapshot before a restart may take."""
LONGEST_LOOK = 30.0
"""Seconds over which the tree of a silent agent is looked at for evidence of work, at most."""
SHORTEST_LOOK = 1.0
"""The same at least: what was done in less says nothing, and looks cost something."""
LONGEST_TEXT = 200

Result = tuple[Instance, list[Action]]

CAUSES: dict[Trouble, Cause] = {
    "startup": "not-ready",
    "heartbeat": "watchdog",
    "progress": "stalled",
    "probe": "probe",
}


def run_of(instance: Instance) -> Run:
    """The run of an instance that has one."""
    assert instance.run is not None
    return instance.run


def with_vitals(instance: Instance, vitals: Vitals) -> Instance:
    """The instance with this known of its run."""
    return replace(instance, run=replace(run_of(instance), vitals=vitals))


# --- what is due ---


def settled(instance: Instance, *, fired: bool) -> Instance:
    """The instance with what follows from its vitals: its deadline, where it is online, and its health.

    ``fired``: its timer has come, and is gone.
    """
    if instance.status is Status.STARTING:
        return _in_time(instance)
    if instance.status is not Status.ONLINE:
        return instance
    health = _health(instance)
    deadline = due(instance)
    # A timer that comes too early finds nothing due and is armed anew: cheaper than one for each heartbeat.
    # One that is late already knows of a pause, of which a new one would know nothing.
    is_early = deadline is not None and instance.deadline is not None and instance.deadline < deadline
    if is_early and not fired:
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
    vitals, over = run_of(instance).vitals, run_over(instance)
    # A wait that nobody has ended is over at its announced end, also where no clock runs.
    wait_over = None if vitals.trouble else vitals.extended_until
    moments = (_step_look(instance), *_clocks(instance), wait_over, over, recycle_due(instance))
    return min((time for time in moments if time is not None), default=None)


def _clocks(instance: Instance) -> tuple[float | None, float | None]:
    """When a heartbeat is missing and when the tree is to be looked at, as far as these clocks run."""
    heartbeat = _heartbeat_due(instance) if may_begin(instance, "heartbeat") else None
    return heartbeat, _progress_look(instance) if may_begin(instance, "progress") else None


def may_begin(instance: Instance, trouble: Trouble) -> bool:
    """Whether this trouble can begin now.

    One after the other; but where all has been done about one, it hides none for which there is a restart.
    """
    vitals = run_of(instance).vitals
    if not vitals.trouble:
        return True
    if vitals.trouble == trouble or vitals.rung_at is not None:
        return False
    return any(rung.action == "restart" for rung in _ladder(instance, trouble))


def due_at(instance: Instance) -> float | None:
    """When something is due about an instance in its status; a timer may come earlier, and find nothing."""
    return due(instance) if instance.status is Status.ONLINE else instance.deadline


def _heartbeat_timeout(instance: Instance) -> float | None:
    promised = run_of(instance).vitals.heartbeat_timeout
    timeout = instance.spec.health.heartbeat_timeout if promised is None else promised
    return timeout or None


def _heartbeat_due(instance: Instance) -> float | None:
    """When a heartbeat is missing; None for who never sent one."""
    run = run_of(instance)
    timeout = _heartbeat_timeout(instance)
    if timeout is None or run.last_beat is None:
        return None
    last = max(run.last_beat, run.vitals.judged_from)
    return max(last + timeout, run.vitals.extended_until or 0.0)


def _progress_due(instance: Instance) -> float | None:
    """When progress is missing."""
    vitals = run_of(instance).vitals
    timeout = instance.spec.health.progress_timeout
    if not timeout:
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
    return _look_at(due, timeout, run_of(instance).vitals.looked_at)


def _look_at(due: float, time: float, looked_at: float | None) -> float:
    """When to look for what is ``due`` when this ``time`` is over: at its end, and some time before."""
    span = max(SHORTEST_LOOK, min(time / 2, LONGEST_LOOK))
    if looked_at is None or looked_at < due - max(time, span):
        return due - span
    return max(due, looked_at + span)


def next_step(instance: Instance) -> tuple[str, float] | None:
    """What is done next to a run that gives no sign or is old, and when; None: nothing is to be done.

    The step of the ladder about its trouble (``alert``, ``dump``, ``restart`` or a signal's name), or, where
    that comes before anything else is judged, ``timeout`` (the time of a job's run is over) or ``recycle``
    (``max_runtime``, or the grace beyond it).
    """
    if instance.run is None:
        return None
    vitals, over = instance.run.vitals, run_over(instance)
    if not vitals.trouble:
        first, renewal = due_at(instance), recycle_due(instance)
        ends = {renewal: "recycle", over: "timeout"}
        return (ends[first], first) if first is not None and first in ends else None
    if vitals.rung_at is None or vitals.rung >= len(_ladder(instance)):
        return None
    rung = _ladder(instance)[vitals.rung]
    return rung.signal or rung.action, vitals.rung_at


def _is_looked_at(instance: Instance) -> bool:
    """Whether a look at its tree precedes the next step of its ladder: work speaks against that too."""
    vitals, ladder = run_of(instance).vitals, _ladder(instance)
    if vitals.trouble != "progress" or vitals.capturing or vitals.rung >= len(ladder):
        return False
    return ladder[vitals.rung].after > 2 * SHORTEST_LOOK and bool(instance.spec.health.evidence)


def _step_look(instance: Instance) -> float | None:
    """When the next step of its ladder is due, or a look at its tree for that."""
    vitals = run_of(instance).vitals
    if not vitals.trouble or vitals.rung_at is None or not _is_looked_at(instance):
        return vitals.rung_at if vitals.trouble else None
    span = min(_ladder(instance)[vitals.rung].after / 2, LONGEST_LOOK)
    return _look_at(vitals.rung_at, span, vitals.looked_at)


def checked(instance: Instance, event: ev.Event, now: float) -> Result:
    """The deadline of an online run has come: see what is due."""
    assert isinstance(event, ev.DeadlinePassed)
    if event.paused:
        return _later(instance, event.paused, now), []
    if stopped := _timed_out(instance, now):
        return stopped
    instance = _wait_over(instance, now)
    if ended := recycled(instance, now):
        return ended
    step = _step_look(instance)
    if step is not None and step <= now:
        return _look(instance, now) if _is_looked_at(instance) else _climb(instance, now)
    heartbeat_due, look = _clocks(instance)
    if heartbeat_due is not None and heartbeat_due <= now:
        timeout = describe_duration(_heartbeat_timeout(instance) or 0.0)
        return begin_trouble(instance, "heartbeat", f"no heartbeat for {timeout}", now)
    if look is not None and look <= now:
        return _look(instance, now)
    return instance, []


def after_wait(vitals: Vitals, now: float) -> Vitals:
    """What is known of it when its wait is over: that much time was no silence."""
    since, until = vitals.waiting_since or now, vitals.extended_until or now
    since = max(since, vitals.judged_from, vitals.last_progress or 0.0)
    waited = vitals.waited + max(0.0, min(now, until) - since)
    return replace(vitals, extended_until=None, waiting_since=None, waiting_for="", waited=waited)


def _wait_over(instance: Instance, now: float) -> Instance:
    vitals = run_of(instance).vitals
    if vitals.extended_until is None or vitals.extended_until > now:
        return instance
    return with_vitals(instance, after_wait(vitals, now))


def _later(instance: Instance, seconds: float, now: float) -> Instance:
    """All clocks stood still for so long, as the agent did; what it has said since is not of the future."""
    run = run_of(instance)
    vitals = run.vitals

    def moved(time: float | None, latest: float = float("inf")) -> float | None:
        return None if time is None else min(time + seconds, latest)

    vitals = replace(
        vitals,
        paused=vitals.paused + seconds,
        judged_from=min(vitals.judged_from + seconds, now),
        last_progress=moved(vitals.last_progress, now),
        extended_until=moved(vitals.extended_until),
        waiting_since=moved(vitals.waiting_since, now),
        rung_at=moved(vitals.rung_at),
        looked_at=moved(vitals.looked_at, now),
    )
    return replace(instance, run=replace(run, last_beat=moved(run.last_beat, now), vitals=vitals))


def _look(instance: Instance, now: float) -> Result:
    due = run_of(instance).vitals.rung_at if _is_looked_at(instance) else _progress_due(instance)
    assert due is not None
    if not instance.spec.health.evidence:
        return _stalled(instance, now)
    first = now < due
    return with_vitals(instance, replace(run_of(instance).vitals, looked_at=now)), [Gather(first)]


def evidence(instance: Instance, event: ev.Event, now: float) -> Result:
    """What the tree has done while there was no progress: any sign of work speaks against a stall."""
    assert isinstance(event, ev.Evidence)
    vitals = run_of(instance).vitals
    is_step = _is_looked_at(instance)
    due = vitals.rung_at if is_step else _progress_due(instance)
    if due is None or due > now or not (is_step or may_begin(instance, "progress")):
        return instance, []
    if not event.known:
        return with_vitals(instance, replace(vitals, evidence="not known yet: the master is new")), []
    if event.signs:
        vitals = replace(vitals, evidence=", ".join(event.signs)[:LONGEST_TEXT])
        return relieved(with_vitals(instance, vitals), "progress", now)
    if is_step:
        return _climb(instance, now)
    return _stalled(with_vitals(instance, replace(vitals, evidence="")), now)


def _stalled(instance: Instance, now: float) -> Result:
    timeout = describe_duration(instance.spec.health.progress_timeout or 0.0)
    looked_for = ", ".join(instance.spec.health.evidence)
    signs = f" and no sign of work ({looked_for})" if looked_for else ""
    return begin_trouble(instance, "progress", f"no progress for {timeout}{signs}", now)


# --- what is done ---


def not_ready_in_time(instance: Instance, event: ev.Event, now: float) -> Result:
    """The start-up budget is used up, or the next step of its ladder is due."""
    assert isinstance(event, ev.DeadlinePassed)
    if event.paused:
        return replace(_later(instance, event.paused, now), deadline=event.deadline + event.paused), []
    if stopped := _timed_out(instance, now):
        return stopped
    if run_of(instance).vitals.trouble:
        return _climb(instance, now)
    timeout = describe_duration(instance.spec.listen_timeout)
    probe = run_of(instance).probes.readiness
    answer = f" (readiness probe: {probe.output})" if probe.output else ""
    return begin_trouble(instance, "startup", f"not ready within {timeout}{answer}", now)


def _ladder(instance: Instance, trouble: Trouble = "") -> tuple[Rung, ...]:
    """What is done about a trouble, by default the present one."""
    spec = instance.spec.health
    ladders: dict[Trouble, tuple[Rung, ...]] = {
        "": (),
        "startup": spec.on_startup,
        "heartbeat": spec.on_heartbeat,
        "progress": spec.on_stall,
        "probe": spec.on_liveness,
    }
    return ladders[trouble or run_of(instance).vitals.trouble]


def begin_trouble(instance: Instance, trouble: Trouble, why: str, now: float) -> Result:
    """A sign is missing: do what the ladder says about it, at once or when its first step is due."""
    vitals = run_of(instance).vitals
    began = replace(
        vitals, trouble=trouble, trouble_since=now, trouble_why=why, rung=0, rung_at=now, snapshot=""
    )
    instance = replace(with_vitals(instance, began), reason=why)
    first = _ladder(instance)[:1]
    told = [Tell(f"health.{'liveness' if trouble == 'probe' else trouble}", why)]
    if first and first[0].after > 0:
        return _next_rung(instance, 0, now), [*told]
    after, actions = _climb(instance, now)
    return after, [*told, *actions]


def _next_rung(instance: Instance, rung: int, now: float) -> Instance:
    """Wait for a step of the ladder, if there is one."""
    ladder = _ladder(instance)
    rung_at = now + ladder[rung].after if rung < len(ladder) else None
    changed = with_vitals(instance, replace(run_of(instance).vitals, rung=rung, rung_at=rung_at))
    return replace(changed, deadline=rung_at) if instance.status is Status.STARTING else changed


def _climb(instance: Instance, now: float) -> Result:
    """Do the next step of the ladder."""
    vitals = run_of(instance).vitals
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
        return with_vitals(instance, capturing), [Snapshot(vitals.trouble_why)]
    after = _next_rung(instance, vitals.rung + 1, now)
    if rung.action == "signal" and rung.signal:
        return after, [Signal(rung.signal, group=False)]
    if rung.action == "dump":
        return after, [Snapshot(vitals.trouble_why)]
    return after, []


def captured(instance: Instance, event: ev.Event, now: float) -> Result:
    """The snapshot is made: the restart that waited for it follows."""
    assert isinstance(event, ev.Captured)
    vitals = replace(run_of(instance).vitals, snapshot=event.path or "none")
    instance = with_vitals(instance, vitals)
    is_awaited = vitals.capturing and vitals.trouble and instance.status is not Status.STOPPING
    return _restart(instance, now) if is_awaited else (instance, [])


def _restart(instance: Instance, now: float) -> Result:
    vitals = run_of(instance).vitals
    calm = with_vitals(instance, replace(vitals, capturing=False, rung_at=None))
    return begin_stop(calm, now, vitals.trouble_why, After.DECIDE, CAUSES[vitals.trouble])


def relieved(instance: Instance, trouble: Trouble, now: float) -> Result:
    """The sign has come that was missing: nothing more is done about it.

    What the agent has asked for itself no sign takes back.
    """
    vitals = run_of(instance).vitals
    is_wanted = vitals.triggered and vitals.rung_at is not None
    if not trouble or vitals.trouble != trouble or instance.status is Status.STOPPING or is_wanted:
        return instance, []
    calm = replace(vitals, trouble="", trouble_why="", rung=0, rung_at=None, capturing=False, triggered=False)
    lasted = describe_duration(float(round(now - vitals.trouble_since)))
    told = Tell("health.recovered", f"after {lasted}: {vitals.trouble_why}")
    return replace(with_vitals(instance, calm), reason=""), [told]


def ended_by_step(instance: Instance, signal: str) -> tuple[Cause, str] | None:
    """The cause and the reason of an end by a signal that was a step of the ladder about its trouble.

    None: it is not known to have been ours.
    """
    vitals = run_of(instance).vitals
    if not any(rung.signal == signal for rung in _ladder(instance)[: vitals.rung]):
        return None
    return CAUSES[vitals.trouble], vitals.trouble_why


def _health(instance: Instance) -> Health:
    run = run_of(instance)
    if run.vitals.trouble == "progress":
        return Health.STALLED
    if run.vitals.trouble:
        return Health.UNHEALTHY
    beats = run.last_beat is not None and _heartbeat_timeout(instance) is not None
    works = run.vitals.last_progress is not None and instance.spec.health.progress_timeout is not None
    answers = run.probes.liveness.passing is True
    return Health.HEALTHY if beats or works or answers else Health.UNKNOWN
