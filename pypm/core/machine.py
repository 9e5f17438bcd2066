"""The state machine: ``step(instance, event, now) -> (instance, actions)``, pure, with its whole table.

The table names a cell for every pair of status and event. A cell is a handler, or the reason why nothing
happens; a pair that cannot occur unless pypm has a bug is missing and raises InvalidTransitionError.

Persisting, publishing and timers are derived in one place (``step``) from what changed, never by hand: the
timer is armed exactly when the new instance has a deadline.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core import health, holding, jobs, limits, namespaces, probes, resuming, signs, stopping
from pypm.core import transitions as on
from pypm.core.actions import Action, ArmTimer, CancelTimer, Forget, Persist, Publish
from pypm.core.hooks import hooks_due
from pypm.core.instance import Instance, Status

__all__ = ["TABLE", "VOLATILE", "InvalidTransitionError", "step"]

Result = tuple[Instance, list[Action]]
Handler = Callable[[Instance, ev.Event, float], Result]


class InvalidTransitionError(Exception):
    """An event that cannot occur in this status: a bug in pypm, with the values that show it."""

    def __init__(self, instance: Instance, event: ev.Event) -> None:
        super().__init__(f"{type(event).__name__} cannot occur while {instance.name} is {instance.status}")
        self.instance = instance
        self.event = event


VOLATILE: tuple[type[ev.Event], ...] = (ev.Beat, ev.StatusReported, ev.Progressed, ev.Probed)
"""Facts that are saved with the next change only: they come often, and come again. A handler that learns
something new from one orders ``Persist`` by itself."""

PATIENT: tuple[type[ev.Event], ...] = (ev.Extended, ev.ExtensionReset, ev.CpuUsed, ev.Occupied)
"""Facts that are saved within a second: the next master has to know them, and they may come often."""

_TIMERLESS: tuple[type[ev.Event], ...] = (ev.Recovered, ev.DeadlinePassed)
"""Events after which no timer is armed: a new master has none yet, and one that has fired is gone."""


def step(instance: Instance, event: ev.Event, now: float) -> Result:
    """Return the instance after the event, and what is to be done about it.

    ``now`` is in seconds of the boot clock. Stale events (of a run that is over, of a deadline that was
    replaced) change nothing. Raises InvalidTransitionError for a pair that cannot occur.
    """
    if _is_stale(instance, event):
        return instance, []
    cell = TABLE.get((instance.status, type(event)))
    if cell is None:
        raise InvalidTransitionError(instance, event)
    if isinstance(cell, str):
        return instance, []
    after, actions = cell(instance, event, now)
    if Forget() in actions:
        return after, actions  # what is forgotten is neither saved nor published again
    after = jobs.settled(health.settled(after, fired=isinstance(event, ev.DeadlinePassed)))
    if after.status is not instance.status:
        after = replace(after, since=now)
    actions = actions + hooks_due(instance, after)
    # What is decided is part of the next commit before anything is done about it.
    return after, _derived(instance, after, event) + actions


def _is_stale(instance: Instance, event: ev.Event) -> bool:
    run_id = getattr(event, "run_id", None)
    if run_id is not None:
        return instance.run is None or instance.run.run_id != run_id
    return isinstance(event, ev.DeadlinePassed) and event.deadline != instance.deadline


def _derived(before: Instance, after: Instance, event: ev.Event) -> list[Action]:
    actions: list[Action] = []
    if after.deadline is None:
        if before.deadline is not None:
            actions.append(CancelTimer())
    elif after.deadline != before.deadline or isinstance(event, _TIMERLESS):
        actions.append(ArmTimer(after.deadline))
    if after is not before:
        if not isinstance(event, VOLATILE):
            actions.append(Persist(soon=not isinstance(event, PATIENT)))
        actions.append(Publish())
    return actions


_AT_REST = (Status.STOPPED, Status.BACKOFF, Status.HELD, Status.ERRORED, Status.EXITED)
_OF_A_RUN = (
    ev.Ready,
    ev.Beat,
    ev.Progressed,
    ev.Extended,
    ev.ExtensionReset,
    ev.WatchdogSet,
    ev.WatchdogTriggered,
    ev.Reloading,
    ev.Probed,
    ev.Evidence,
    ev.Captured,
    ev.StatusReported,
    ev.HookEnded,
    ev.StoppingReported,
    ev.MainPidReported,
    ev.NotAsked,
    ev.LimitPassed,
    ev.MemoryOver,
    ev.MemoryUsed,
    ev.CpuUsed,
    ev.Occupied,
    ev.Exited,
    ev.TreeGone,
    ev.LogRead,
)
_NO_RUN = "there is no run, so the event is stale"
_NOTHING_DUE = "nothing is due in this status"
_WAITS_FOR_NOTHING = "it does not wait for others in this status"

TABLE: dict[tuple[Status, type[ev.Event]], Handler | str] = {
    (Status.STOPPED, ev.StopRequested): on.stop_stopped,
    (Status.STOPPED, ev.Recovered): resuming.recover_at_rest,
    (Status.STOPPED, ev.DeadlinePassed): _NOTHING_DUE,
    (Status.BACKOFF, ev.StopRequested): on.stop_at_rest,
    (Status.BACKOFF, ev.Recovered): resuming.recover_waiting,
    (Status.BACKOFF, ev.DeadlinePassed): on.backoff_over,
    (Status.HELD, ev.StopRequested): on.stop_at_rest,
    (Status.HELD, ev.Recovered): resuming.recover_waiting,
    (Status.HELD, ev.DeadlinePassed): on.hold_over,
    (Status.ERRORED, ev.StopRequested): on.stop_at_rest,
    (Status.ERRORED, ev.Recovered): "it was given up, also for the next master",
    (Status.ERRORED, ev.DeadlinePassed): _NOTHING_DUE,
    (Status.EXITED, ev.StopRequested): on.stop_at_rest,
    (Status.EXITED, ev.Recovered): "it ended as its policy finds right",
    (Status.EXITED, ev.DeadlinePassed): _NOTHING_DUE,
    (Status.STARTING, ev.StartRequested): on.want_up,
    (Status.STARTING, ev.StopRequested): on.stop_running,
    (Status.STARTING, ev.RestartRequested): on.restart_running,
    (Status.STARTING, ev.DeleteRequested): on.delete_running,
    (Status.STARTING, ev.Recovered): resuming.recover_running,
    (Status.STARTING, ev.Spawned): on.spawned,
    (Status.STARTING, ev.SpawnFailed): on.spawn_failed,
    (Status.STARTING, ev.Ready): on.ready,
    (Status.STARTING, ev.MemoryOver): limits.memory_over,
    (Status.STARTING, ev.LimitPassed): namespaces.limit_passed,
    (Status.STARTING, ev.Exited): on.exited,
    (Status.STARTING, ev.DeadlinePassed): health.not_ready_in_time,
    (Status.ONLINE, ev.StartRequested): on.want_up,
    (Status.ONLINE, ev.StopRequested): on.stop_running,
    (Status.ONLINE, ev.RestartRequested): on.restart_running,
    (Status.ONLINE, ev.DeleteRequested): on.delete_running,
    (Status.ONLINE, ev.Recovered): resuming.recover_running,
    (Status.ONLINE, ev.Ready): signs.ready_again,
    (Status.ONLINE, ev.MemoryOver): limits.memory_over,
    (Status.ONLINE, ev.LimitPassed): namespaces.limit_passed,
    (Status.ONLINE, ev.Exited): on.exited,
    (Status.ONLINE, ev.DeadlinePassed): health.checked,
    (Status.ONLINE, ev.WatchdogTriggered): signs.watchdog_triggered,
    (Status.ONLINE, ev.Evidence): health.evidence,
    (Status.ONLINE, ev.Reloading): signs.reloading,
    (Status.STARTING, ev.WatchdogTriggered): "nobody is judged before it is ready",
    (Status.STARTING, ev.Evidence): "it is judged when it is ready",
    (Status.STARTING, ev.Reloading): "it is not ready yet",
    (Status.STOPPING, ev.WatchdogTriggered): "it is being stopped",
    (Status.STOPPING, ev.Evidence): "it is being stopped",
    (Status.STOPPING, ev.Reloading): "it is being stopped",
    (Status.STOPPING, ev.Probed): "it is being stopped",
    (Status.STOPPING, ev.StartRequested): on.start_while_stopping,
    (Status.STOPPING, ev.StopRequested): on.stop_stopping,
    (Status.STOPPING, ev.RestartRequested): on.restart_stopping,
    (Status.STOPPING, ev.DeleteRequested): on.delete_stopping,
    (Status.STOPPING, ev.Recovered): resuming.recover_stopping,
    (Status.STOPPING, ev.Ready): "it is being stopped",
    (Status.STOPPING, ev.MainPidReported): "it is being stopped",
    (Status.STOPPING, ev.NotAsked): on.not_asked,
    (Status.STOPPING, ev.MemoryOver): limits.memory_over_while_stopping,
    (Status.STOPPING, ev.MemoryUsed): "it is being stopped",
    (Status.STOPPING, ev.CpuUsed): "it is being stopped",
    (Status.STOPPING, ev.Occupied): "it is being stopped",
    (Status.STOPPING, ev.LimitPassed): "it is being stopped",
    (Status.STOPPING, ev.StoppingReported): "it is being stopped",
    (Status.STOPPING, ev.Exited): on.exited,
    (Status.STOPPING, ev.TreeGone): on.tree_gone,
    (Status.STOPPING, ev.LogRead): on.log_read,
    (Status.STOPPING, ev.DeadlinePassed): on.grace_over,
}

for _status in Status:
    TABLE[_status, ev.HeldBack] = TABLE[_status, ev.LetGo] = _WAITS_FOR_NOTHING
    TABLE[_status, ev.DependencyFailed] = _WAITS_FOR_NOTHING
    TABLE[_status, ev.ScheduleMoved] = jobs.moved
    TABLE[_status, ev.ScheduleDue] = jobs.due_at_rest if _status in _AT_REST else jobs.due_running
    TABLE[_status, ev.RunRequested] = jobs.run_at_rest if _status in _AT_REST else "it runs already"
    TABLE[_status, ev.ResetRequested] = on.reset
    TABLE[_status, ev.Renumbered] = on.renumbered
    TABLE[_status, ev.SpecChanged] = on.change_spec

for _status in _AT_REST:
    _start = on.start_waiting if _status in (Status.BACKOFF, Status.HELD) else on.start
    TABLE[_status, ev.StartRequested] = _start
    TABLE[_status, ev.RestartRequested] = _start
    TABLE[_status, ev.DeleteRequested] = on.delete_at_rest
    for _of_a_run in _OF_A_RUN:
        TABLE[_status, _of_a_run] = _NO_RUN

for _status in (Status.STARTING, Status.ONLINE, Status.STOPPING):
    TABLE[_status, ev.Beat] = signs.beat
    TABLE[_status, ev.Progressed] = signs.progressed
    TABLE[_status, ev.Extended] = signs.extended
    TABLE[_status, ev.ExtensionReset] = signs.extension_reset
    TABLE[_status, ev.WatchdogSet] = signs.watchdog_set
    TABLE[_status, ev.Captured] = health.captured
    TABLE[_status, ev.StatusReported] = on.status_reported
for _status in (Status.STARTING, Status.STOPPING):
    TABLE[_status, ev.HeldBack] = holding.held_back
    TABLE[_status, ev.LetGo] = holding.let_go
TABLE[Status.HELD, ev.LetGo] = holding.let_go
TABLE[Status.STARTING, ev.DependencyFailed] = holding.dependency_failed
TABLE[Status.STOPPING, ev.HookEnded] = stopping.hook_ended
for _status in (Status.STARTING, Status.ONLINE):
    TABLE[_status, ev.HookEnded] = "nothing waits for its end"
    TABLE[_status, ev.MemoryUsed] = limits.memory_used
    TABLE[_status, ev.CpuUsed] = limits.cpu_used
    TABLE[_status, ev.Occupied] = limits.occupied
    TABLE[_status, ev.StoppingReported] = on.stopping_reported
    TABLE[_status, ev.MainPidReported] = on.main_pid_reported
    TABLE[_status, ev.NotAsked] = "nobody asks it to end any more"
    TABLE[_status, ev.TreeGone] = "its main process lives"
    TABLE[_status, ev.LogRead] = "its main process lives"
    TABLE[_status, ev.Probed] = probes.probed
