"""The state table, cell by cell, against a statement of it that was written by hand."""

from __future__ import annotations

import pytest
from invariants import checked_step
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, ArmTimer, CancelTimer, Forget, Persist, Publish, Signal, Spawn, Tell
from pypm.core.instance import After, Desired, Instance, Run, RunEnd, Status
from pypm.core.machine import TABLE, InvalidTransitionError, step
from pypm.core.probe_spec import ProbeSpec
from pypm.core.spec import AppSpec, HealthSpec, ScheduleSpec

NOW = 5000.0
LIMIT = 100 * 2**20
SPEC = AppSpec("worker", ("/bin/worker",), "/", wait_ready=True, listen_timeout=3.0, max_memory=LIMIT)
RUN = Run(run_id="r1", token="t", pid=4000, start_ticks=77, started=4990.0)
READY_RUN = replace(RUN, ready=True)

IGNORED = "ignored"
ERROR = "error"
GONE = "gone"


def instance_in(status: Status) -> Instance:
    """An instance as it is in this status, most usual kind."""
    resting = Instance(id=7, app="worker", index=0, created=1.0, since=4000.0, spec=SPEC, status=status)
    match status:
        case Status.STARTING:
            return replace(resting, run=RUN, deadline=4993.0)
        case Status.ONLINE:
            return replace(resting, run=READY_RUN)
        case Status.STOPPING:
            return replace(
                resting,
                run=READY_RUN,
                deadline=5001.0,
                desired=Desired.DOWN,
                stop_reason="stopped by operator",
                reason="stopped by operator",
            )
        case Status.BACKOFF | Status.HELD:
            return replace(resting, deadline=5001.0, reason="exit code 1")
        case Status.STOPPED:
            return replace(resting, desired=Desired.DOWN)
        case _:
            return replace(resting, reason="exit code 1")


def event_of(kind: type[ev.Event], instance: Instance) -> ev.Event:
    """An event of this kind that is not stale, where there is a run or a deadline it can be about."""
    run_id = "r1"
    events: dict[type[ev.Event], ev.Event] = {
        ev.SpecChanged: ev.SpecChanged(replace(SPEC, namespace="other")),
        ev.Recovered: ev.Recovered(),
        ev.Renumbered: ev.Renumbered(3),
        ev.HeldBack: ev.HeldBack("model-server to be ready"),
        ev.DependencyFailed: ev.DependencyFailed("model-server is errored"),
        ev.HookEnded: ev.HookEnded(run_id),
        ev.ScheduleDue: ev.ScheduleDue(1e9, "cron_restart 0 4 * * *"),
        ev.ScheduleMoved: ev.ScheduleMoved(1e9),
        ev.Spawned: ev.Spawned("r2", "t2", 4001, 78),
        ev.SpawnFailed: ev.SpawnFailed("no such file"),
        ev.Ready: ev.Ready(run_id),
        ev.Beat: ev.Beat(run_id),
        ev.Progressed: ev.Progressed(run_id, "question 3", 3),
        ev.Extended: ev.Extended(run_id, 60.0, "model call"),
        ev.ExtensionReset: ev.ExtensionReset(run_id),
        ev.WatchdogSet: ev.WatchdogSet(run_id, 5.0),
        ev.WatchdogTriggered: ev.WatchdogTriggered(run_id),
        ev.Reloading: ev.Reloading(run_id),
        ev.Evidence: ev.Evidence(run_id, ()),
        ev.Probed: ev.Probed(run_id, "readiness", "success"),
        ev.Captured: ev.Captured(run_id, "/snapshot"),
        ev.StatusReported: ev.StatusReported(run_id, "thinking"),
        ev.StoppingReported: ev.StoppingReported(run_id),
        ev.NotAsked: ev.NotAsked(run_id),
        ev.MainPidReported: ev.MainPidReported(run_id, 4100, 79),
        ev.MemoryOver: ev.MemoryOver(run_id, 2 * LIMIT),
        ev.LimitPassed: ev.LimitPassed(run_id, "9 tasks > 8", "tasks"),
        ev.MemoryUsed: ev.MemoryUsed(run_id, LIMIT),
        ev.CpuUsed: ev.CpuUsed(run_id, 100.0, 1.0),
        ev.Occupied: ev.Occupied(run_id, tasks=True),
        ev.Exited: ev.Exited(run_id, code=1),
        ev.TreeGone: ev.TreeGone(run_id),
        ev.LogRead: ev.LogRead(run_id, ()),
        ev.DeadlinePassed: ev.DeadlinePassed(instance.deadline or 1.0),
    }
    return events.get(kind) or kind()


# What becomes of an instance in each status, by event: its next status, GONE, IGNORED or ERROR. The columns
# are in this order:
COLUMNS = (
    Status.STOPPED,
    Status.STARTING,
    Status.ONLINE,
    Status.STOPPING,
    Status.BACKOFF,
    Status.HELD,
    Status.ERRORED,
    Status.EXITED,
)
ROWS = """
StartRequested    starting  starting  online    stopping  starting  starting  starting  starting
StopRequested     stopped   stopping  stopping  stopping  stopped   stopped   stopped   stopped
RestartRequested  starting  stopping  stopping  stopping  starting  starting  starting  starting
Renumbered        stopped   starting  online    stopping  backoff   held      errored   exited
DeleteRequested   gone      stopping  stopping  stopping  gone      gone      gone      gone
ResetRequested    stopped   starting  online    stopping  backoff   held      errored   exited
RunRequested      starting  ignored   ignored   ignored   starting  starting  starting  starting
ScheduleDue       stopped   stopping  stopping  stopping  backoff   held      starting  starting
ScheduleMoved     stopped   starting  online    stopping  backoff   held      errored   exited
SpecChanged       stopped   starting  online    stopping  backoff   held      errored   exited
HeldBack          ignored   starting  ignored   stopping  ignored   ignored   ignored   ignored
LetGo             ignored   starting  ignored   stopping  ignored   held      ignored   ignored
DependencyFailed  ignored   held      ignored   ignored   ignored   ignored   ignored   ignored
HookEnded         ignored   ignored   ignored   stopping  ignored   ignored   ignored   ignored
Recovered         stopped   starting  online    stopping  backoff   held      ignored   ignored
Spawned           error     online    error     error     error     error     error     error
SpawnFailed       error     starting  error     error     error     error     error     error
Ready             ignored   online    online    ignored   ignored   ignored   ignored   ignored
Beat              ignored   starting  online    stopping  ignored   ignored   ignored   ignored
Progressed        ignored   starting  online    stopping  ignored   ignored   ignored   ignored
Extended          ignored   starting  online    stopping  ignored   ignored   ignored   ignored
ExtensionReset    ignored   starting  online    stopping  ignored   ignored   ignored   ignored
WatchdogSet       ignored   starting  online    stopping  ignored   ignored   ignored   ignored
WatchdogTriggered ignored   ignored   online    ignored   ignored   ignored   ignored   ignored
Reloading         ignored   ignored   online    ignored   ignored   ignored   ignored   ignored
Evidence          ignored   ignored   online    ignored   ignored   ignored   ignored   ignored
Probed            ignored   online    online    ignored   ignored   ignored   ignored   ignored
Captured          ignored   starting  online    stopping  ignored   ignored   ignored   ignored
StatusReported    ignored   starting  online    stopping  ignored   ignored   ignored   ignored
StoppingReported  ignored   starting  online    ignored   ignored   ignored   ignored   ignored
MainPidReported   ignored   starting  online    ignored   ignored   ignored   ignored   ignored
NotAsked          ignored   ignored   ignored   stopping  ignored   ignored   ignored   ignored
LimitPassed       ignored   stopping  stopping  ignored   ignored   ignored   ignored   ignored
MemoryOver        ignored   stopping  stopping  stopping  ignored   ignored   ignored   ignored
MemoryUsed        ignored   starting  online    ignored   ignored   ignored   ignored   ignored
CpuUsed           ignored   starting  online    ignored   ignored   ignored   ignored   ignored
Occupied          ignored   starting  online    ignored   ignored   ignored   ignored   ignored
Exited            ignored   starting  starting  stopped   ignored   ignored   ignored   ignored
TreeGone          ignored   ignored   ignored   stopping  ignored   ignored   ignored   ignored
LogRead           ignored   ignored   ignored   stopping  ignored   ignored   ignored   ignored
DeadlinePassed    ignored   stopping  online    stopping  starting  starting  ignored   ignored
"""
EXPECTED = {
    (status, getattr(ev, name)): outcome
    for name, *outcomes in (line.split() for line in ROWS.strip().splitlines())
    for status, outcome in zip(COLUMNS, outcomes, strict=True)
}


BEFORE_ITS_RUN = (ev.Spawned, ev.SpawnFailed, ev.HeldBack, ev.LetGo, ev.DependencyFailed)


def kind_name(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


def prepared(status: Status, kind: type[ev.Event]) -> Instance:
    """The instance to which an event can happen: one that waits for its process, where it is told of it."""
    instance = instance_in(status)
    if status is Status.STARTING and kind in BEFORE_ITS_RUN:
        spec = replace(SPEC, wait_ready=False)
        return replace(instance, run=None, deadline=None, spec=spec)
    if kind is ev.RunRequested:
        return replace(instance, spec=replace(SPEC, schedule=ScheduleSpec(every=60.0)))
    if kind is ev.Probed:
        return replace(instance, spec=replace(SPEC, health=HealthSpec(readiness=ProbeSpec(tcp="h:1"))))
    return instance


def test_the_statement_has_every_cell() -> None:
    assert set(EXPECTED) == {(status, kind) for status in Status for kind in ev.EVENTS}
    kinds = {kind for kind in vars(ev).values() if isinstance(kind, type) and issubclass(kind, ev.Event)}
    assert kinds - {ev.Event} == set(ev.EVENTS), "an event that no walk of the table would try"


@pytest.mark.parametrize(("status", "kind"), sorted(EXPECTED, key=str), ids=kind_name)
def test_each_cell(status: Status, kind: type[ev.Event]) -> None:
    outcome = EXPECTED[status, kind]
    before = prepared(status, kind)
    event = event_of(kind, before)
    if outcome == ERROR:
        assert (status, kind) not in TABLE
        with pytest.raises(InvalidTransitionError, match=f"{kind.__name__} .* worker is {status}"):
            step(before, event, NOW)
        return
    after, actions = checked_step(before, event, NOW)
    if outcome == IGNORED:
        assert isinstance(TABLE[status, kind], str), "what is ignored has a reason in the table"
        assert after is before
        assert actions == []
        return
    assert not isinstance(TABLE[status, kind], str)
    if outcome == GONE:
        assert actions == [Forget()]
    else:
        assert after.status == outcome


SAVED: list[Action] = [Persist(), Publish()]
TERM = Signal("SIGTERM", group=True)
KILL = Signal("SIGKILL", group=True)
GRACE = ArmTimer(NOW + 10.0)
FAR_OVER = Tell("memory.warn", "memory 200M of 100M (200 %)")
ORDERS: dict[tuple[Status, type[ev.Event]], list[Action]] = {
    (Status.STOPPED, ev.StartRequested): [*SAVED, Spawn()],
    (Status.STOPPED, ev.StopRequested): [],
    (Status.STOPPED, ev.Recovered): [],
    (Status.STARTING, ev.StartRequested): [],
    (Status.STARTING, ev.StopRequested): [GRACE, *SAVED, TERM],
    (Status.STARTING, ev.RestartRequested): [GRACE, *SAVED, TERM],
    (Status.STARTING, ev.DeleteRequested): [GRACE, *SAVED, TERM],
    (Status.STARTING, ev.Recovered): [ArmTimer(5003.0), Persist(), Publish()],
    (Status.STARTING, ev.Spawned): SAVED,
    (Status.STARTING, ev.SpawnFailed): [*SAVED, Spawn()],
    (Status.STARTING, ev.Ready): [CancelTimer(), *SAVED],
    (Status.STARTING, ev.Beat): [Publish(), Persist()],
    (Status.STARTING, ev.StatusReported): [Publish()],
    (Status.STARTING, ev.MemoryOver): [GRACE, *SAVED, FAR_OVER, TERM],
    (Status.STARTING, ev.Exited): [CancelTimer(), *SAVED, Spawn()],
    (Status.STARTING, ev.DeadlinePassed): [
        GRACE,
        *SAVED,
        Tell("health.startup", "not ready within 3s"),
        TERM,
    ],
    (Status.ONLINE, ev.StartRequested): [],
    (Status.ONLINE, ev.StopRequested): [GRACE, *SAVED, TERM],
    (Status.ONLINE, ev.RestartRequested): [GRACE, *SAVED, TERM],
    (Status.ONLINE, ev.DeleteRequested): [GRACE, *SAVED, TERM],
    (Status.ONLINE, ev.Recovered): [],
    (Status.ONLINE, ev.Ready): [],
    (Status.ONLINE, ev.Beat): [Publish(), Persist()],
    (Status.ONLINE, ev.StatusReported): [Publish()],
    (Status.ONLINE, ev.MemoryOver): [GRACE, *SAVED, FAR_OVER, TERM],
    (Status.ONLINE, ev.Exited): [*SAVED, Spawn()],
    (Status.STOPPING, ev.Recovered): [ArmTimer(5001.0)],
    (Status.STOPPING, ev.Beat): [Publish(), Persist()],
    (Status.STOPPING, ev.StatusReported): [Publish()],
    (Status.STOPPING, ev.MemoryOver): SAVED,
    (Status.STOPPING, ev.Exited): [CancelTimer(), *SAVED],
    (Status.STOPPING, ev.TreeGone): [],
    (Status.STOPPING, ev.DeadlinePassed): [ArmTimer(NOW + 5.0), *SAVED, KILL],
    (Status.BACKOFF, ev.StartRequested): [CancelTimer(), *SAVED, Spawn()],
    (Status.BACKOFF, ev.RestartRequested): [CancelTimer(), *SAVED, Spawn()],
    (Status.BACKOFF, ev.StopRequested): [CancelTimer(), *SAVED],
    (Status.BACKOFF, ev.Recovered): [ArmTimer(5001.0)],
    (Status.BACKOFF, ev.DeadlinePassed): [CancelTimer(), *SAVED, Spawn()],
    (Status.HELD, ev.Recovered): [ArmTimer(5001.0)],
    (Status.ERRORED, ev.StartRequested): [*SAVED, Spawn()],
    (Status.EXITED, ev.StartRequested): [*SAVED, Spawn()],
}


@pytest.mark.parametrize(("status", "kind"), sorted(ORDERS, key=str), ids=kind_name)
def test_what_a_step_orders(status: Status, kind: type[ev.Event]) -> None:
    before = prepared(status, kind)
    assert step(before, event_of(kind, before), NOW)[1] == ORDERS[status, kind]


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("kind", ev.EVENTS, ids=kind_name)
def test_an_event_of_another_run_or_deadline_changes_nothing(status: Status, kind: type[ev.Event]) -> None:
    before = instance_in(status)
    event = event_of(kind, before)
    if hasattr(event, "run_id"):
        event = replace(event, run_id="the run before")
    elif isinstance(event, ev.DeadlinePassed):
        event = ev.DeadlinePassed(event.deadline - 0.5)
    else:
        return
    assert step(before, event, NOW) == (before, [])


@pytest.mark.parametrize("status", Status)
def test_a_reset_zeroes_the_counters_and_nothing_else(status: Status) -> None:
    before = replace(instance_in(status), restarts=5, failures=4, restart_times=(4000.0, 4001.0))
    after, _ = checked_step(before, ev.ResetRequested(), NOW)
    assert after == replace(before, restarts=0, failures=0, restart_times=())


@pytest.mark.parametrize("status", Status)
def test_a_new_spec_is_taken_and_nothing_else(status: Status) -> None:
    before = instance_in(status)
    spec = replace(SPEC, kill_timeout=1.0)
    after, _ = checked_step(before, ev.SpecChanged(spec), NOW)
    assert after == replace(before, spec=spec)


def test_without_treekill_only_the_main_process_is_signalled_and_its_tree_where_only_that_is_left() -> None:
    stopping = replace(instance_in(Status.STOPPING), spec=replace(SPEC, treekill=False))
    passed = ev.DeadlinePassed(5001.0)
    assert Signal("SIGKILL", group=False) in checked_step(stopping, passed, NOW)[1]
    end = RunEnd(at=4999.0, uptime=9.0, reason="exit code 1", code=1, run_id="r1", ready=True)
    leaving = replace(stopping, run=replace(READY_RUN, leaving=end))
    assert Signal("SIGKILL", group=True) in checked_step(leaving, passed, NOW)[1]


def test_a_stop_that_has_just_begun_may_lack_its_signal_when_its_master_died() -> None:
    stopping = replace(instance_in(Status.STOPPING), told_at=NOW - 1.0)
    assert TERM in checked_step(stopping, ev.Recovered(), NOW)[1]
    assert TERM not in checked_step(replace(stopping, told_at=NOW - 3.0), ev.Recovered(), NOW)[1]
    assert TERM not in checked_step(replace(stopping, killed=True), ev.Recovered(), NOW)[1]


def test_what_is_left_of_a_tree_has_its_own_end() -> None:
    end = RunEnd(at=4999.0, uptime=9.0, reason="exit code 1", code=1, run_id="r1", ready=True)
    stopping = replace(instance_in(Status.STOPPING), desired=Desired.UP, after=After.DECIDE)
    leaving = replace(stopping, run=replace(READY_RUN, leaving=end))
    after, _ = checked_step(leaving, ev.TreeGone("r1"), NOW)
    assert after.last == end
