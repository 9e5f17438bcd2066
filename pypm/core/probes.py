"""Probes: which are asked when, what an answer counts, and what follows from it. Pure.

As in Kubernetes: the startup probe holds back the others; liveness, which is asked once the instance is
online, leads to what ``on_liveness`` says; readiness tells whether it can be used and never restarts.
"""

from __future__ import annotations

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, Persist, Tell
from pypm.core.health import begin_trouble, may_begin, relieved
from pypm.core.instance import Instance, ProbeResult, ProbeState, Run, Status
from pypm.core.probe_spec import ProbeKind, ProbeSpec
from pypm.core.transitions import ready

__all__ = ["counted", "probed", "wanted"]

LONGEST_OUTPUT = 200
UNREADY = "not ready: "

Result = tuple[Instance, list[Action]]


def wanted(instance: Instance) -> dict[ProbeKind, ProbeSpec]:
    """The probes that are asked at present."""
    health, run = instance.spec.health, instance.run
    if run is None or run.leaving is not None:
        return {}
    kinds: tuple[ProbeKind, ...] = ()
    if instance.status is Status.STARTING:
        kinds = ("readiness",) if health.startup is None else ("startup",)
    elif instance.status is Status.ONLINE:
        kinds = ("liveness", "readiness")
    return {kind: spec for kind in kinds if (spec := getattr(health, kind)) is not None}


def counted(before: ProbeState, spec: ProbeSpec, result: ProbeResult, output: str, now: float) -> ProbeState:
    """The state of a probe after one more answer; the same object where that is nothing new."""
    if result == before.result == "success" and before.passing:
        return before
    after = replace(
        before,
        result=result,
        since=before.since if result == before.result else now,
        output=output[:LONGEST_OUTPUT],
    )
    if result == "success":
        successes = min(before.successes + 1, spec.success_threshold)
        passing = True if successes >= spec.success_threshold else before.passing
        return replace(after, successes=successes, failures=0, unknowns=0, passing=passing)
    if result == "failure":
        failures = before.failures + 1
        passing = False if failures >= spec.failure_threshold else before.passing
        return replace(after, successes=0, failures=failures, unknowns=0, passing=passing)
    after = replace(after, unknowns=min(before.unknowns + 1, spec.failure_threshold))
    return before if after == before else after


def probed(instance: Instance, event: ev.Event, now: float) -> Result:
    """A probe has been answered, or could not be asked."""
    assert isinstance(event, ev.Probed)
    run, spec = instance.run, wanted(instance).get(event.probe)
    if run is None or spec is None:
        return instance, []
    before = run.probes.of(event.probe)
    after = counted(before, spec, event.result, event.output, now)
    is_same = after is before
    if is_same and not (event.probe == "startup" and event.result == "unknown"):
        return instance, []  # of what cannot be asked, time alone makes more
    if not is_same:
        instance = _with_state(instance, run, event.probe, after)
    instance, actions = _followed(instance, event.probe, before, after, now)
    is_news = (after.result, after.passing) != (before.result, before.passing)
    if is_news or (not is_same and after.failures <= spec.failure_threshold) or actions:
        actions = [Persist(), *actions]
    return instance, actions


def _with_state(instance: Instance, run: Run, kind: ProbeKind, state: ProbeState) -> Instance:
    return replace(instance, run=replace(run, probes=replace(run.probes, **{kind: state})))


def _followed(
    instance: Instance, kind: ProbeKind, before: ProbeState, after: ProbeState, now: float
) -> Result:
    """What follows from the answer."""
    if kind == "startup":
        return _started(instance, after, now)
    if kind == "liveness":
        return _lives(instance, after, now)
    if instance.status is Status.STARTING:
        return _become_ready(instance, now) if after.passing else (instance, [])
    if after.passing is before.passing:
        is_shown = after.passing is False and instance.reason.startswith(UNREADY)
        return (replace(instance, reason=_unready(after)) if is_shown else instance), []
    return _usable(instance, after)


def _started(instance: Instance, state: ProbeState, now: float) -> Result:
    run = instance.run
    assert run is not None
    if state.passing:
        if instance.spec.health.readiness is not None:
            # It is up; that it can be used the other probe has to say.
            instance = _with_state(instance, run, "readiness", ProbeState(passing=False, since=now))
        return _become_ready(instance, now)
    waits = run.vitals.extended_until is not None and run.vitals.extended_until > now
    if run.vitals.trouble or waits:
        return instance, []
    if state.passing is False:
        return begin_trouble(instance, "startup", _why("startup", state), now)
    if _cannot_be_asked(instance, run, state, now):
        why = f"the startup probe could not be asked {_times(state.unknowns)}: {state.output}".rstrip(": ")
        return begin_trouble(instance, "startup", why, now)
    return instance, []


def _cannot_be_asked(instance: Instance, run: Run, state: ProbeState, now: float) -> bool:
    """Whether nobody has been able to ask for so long that the start has to end somewhere visible.

    A passing lack of ours is over before the time is that any other start has.
    """
    spec = instance.spec.health.startup
    time = now - run.started - run.vitals.paused
    return (
        spec is not None and state.unknowns >= spec.failure_threshold and time >= instance.spec.listen_timeout
    )


def _become_ready(instance: Instance, now: float) -> Result:
    run = instance.run
    assert run is not None
    return ready(instance, ev.Ready(run.run_id), now)


def _lives(instance: Instance, state: ProbeState, now: float) -> Result:
    run = instance.run
    assert run is not None
    if state.result == "success":
        if _is_about_a_line(instance) and run.vitals.rung_at is not None:
            return instance, []  # that no second one has come takes no line back
        return relieved(instance, "probe", now)
    if state.passing is not False or state.result != "failure" or not may_begin(instance, "probe"):
        return instance, []
    return begin_trouble(instance, "probe", _why("liveness", state), now)


def _is_about_a_line(instance: Instance) -> bool:
    spec = instance.spec.health.liveness
    return spec is not None and spec.log_sick is not None


def _usable(instance: Instance, state: ProbeState) -> Result:
    """Whether an instance that is online can be used has changed."""
    if state.passing:
        reason = "" if instance.reason.startswith(UNREADY) else instance.reason
        return replace(instance, reason=reason), [Tell("health.ready", "the readiness probe succeeds")]
    why = _why("readiness", state)
    return replace(instance, reason=_unready(state)), [Tell("health.unready", why)]


def _unready(state: ProbeState) -> str:
    return UNREADY + _why("readiness", state)


def _why(kind: ProbeKind, state: ProbeState) -> str:
    return f"the {kind} probe failed {_times(state.failures)}: {state.output}".rstrip(": ")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
