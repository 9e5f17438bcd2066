"""What can happen to an instance: facts, as small frozen values.

An event with a ``run_id`` concerns that run only; when the run is over the event is stale and is dropped.
"""

from __future__ import annotations

import msgspec

from pypm.core.causes import Cause
from pypm.core.instance import ProbeResult
from pypm.core.probe_spec import ProbeKind
from pypm.core.rules import LogMatch
from pypm.core.spec import AppSpec

__all__ = [
    "EVENTS",
    "Beat",
    "Captured",
    "CpuUsed",
    "DeadlinePassed",
    "DeleteRequested",
    "DependencyFailed",
    "Event",
    "Evidence",
    "Exited",
    "Extended",
    "ExtensionReset",
    "HeldBack",
    "HookEnded",
    "LetGo",
    "LimitPassed",
    "LogRead",
    "MainPidReported",
    "MemoryOver",
    "MemoryUsed",
    "NotAsked",
    "Occupied",
    "Probed",
    "Progressed",
    "Ready",
    "Recovered",
    "Reloading",
    "Renumbered",
    "ResetRequested",
    "RestartRequested",
    "RunRequested",
    "ScheduleDue",
    "ScheduleMoved",
    "SpawnFailed",
    "Spawned",
    "SpecChanged",
    "StartRequested",
    "StatusReported",
    "StopRequested",
    "StoppingReported",
    "TreeGone",
    "WatchdogSet",
    "WatchdogTriggered",
]


class Event(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """Base of all events."""


class StartRequested(Event, frozen=True):
    """Somebody wants the instance up."""

    by: str = "operator"


class StopRequested(Event, frozen=True):
    """Somebody wants the instance down; with ``keep_desired`` only for as long as the master is away."""

    by: str = "operator"
    keep_desired: bool = False
    waits_for: str = ""
    """What has to be down first, in words; then ``LetGo`` follows."""


class RestartRequested(Event, frozen=True):
    """Somebody wants a new run."""

    by: str = "operator"
    reason: str = ""
    cause: Cause = "operator"


class Renumbered(Event, frozen=True):
    """From now on people know the instance by this id; it has taken over, or has been taken over from."""

    number: int
    replaced: bool = False
    """It has no place any more, and is deleted next."""


class RunRequested(Event, frozen=True):
    """Somebody wants a run of a job now; whether it is armed stays as it is."""

    by: str = "operator"


class ScheduleDue(Event, frozen=True):
    """A moment (Unix time) of the instance's schedule is there."""

    moment: float
    reason: str


class ScheduleMoved(Event, frozen=True):
    """The schedule counts from this moment (Unix time) on; ``why``, where one was missed by that."""

    moment: float
    why: str = ""


class DeleteRequested(Event, frozen=True):
    """Somebody wants the instance stopped and forgotten."""

    by: str = "operator"
    waits_for: str = ""
    """What has to be down first, in words; then ``LetGo`` follows."""


class ResetRequested(Event, frozen=True):
    """Somebody wants the counters at zero."""


class SpecChanged(Event, frozen=True):
    """The app has been declared anew; it holds from the next run on."""

    spec: AppSpec


class HeldBack(Event, frozen=True):
    """Before it can be started or stopped something else has to happen first."""

    waits_for: str


class LetGo(Event, frozen=True):
    """What it was held back for, or a dependency that had failed, is in its way no longer."""


class DependencyFailed(Event, frozen=True):
    """What it needs will not be there by itself."""

    why: str


class HookEnded(Event, frozen=True):
    """The ``pre_stop`` hook of the run is over, or could not be run."""

    run_id: str


class Recovered(Event, frozen=True):
    """A master has begun and found the instance in its state, and what the state says of its run is true."""


class Spawned(Event, frozen=True):
    """The ordered process runs."""

    new_run_id: str
    token: str
    pid: int
    start_ticks: int
    pipes: tuple[int, int] = (0, 0)
    at: float | None = None
    """When, if that was not now."""


class SpawnFailed(Event, frozen=True):
    """The ordered process could not be started."""

    error: str


class Ready(Event, frozen=True):
    """The agent says that it is ready."""

    run_id: str


class Beat(Event, frozen=True):
    """The agent says that it lives."""

    run_id: str


class Progressed(Event, frozen=True):
    """The agent says that it has done some work."""

    run_id: str
    message: str = ""
    iteration: int | None = None


class Extended(Event, frozen=True):
    """The agent says that it waits for something: its deadlines are not before ``seconds`` from now.

    As systemd's EXTEND_TIMEOUT_USEC: it never shortens, and covers start-up, heartbeat, progress and stop.
    """

    run_id: str
    seconds: float
    text: str = ""


class ExtensionReset(Event, frozen=True):
    """The agent says that it waits no longer."""

    run_id: str


class WatchdogSet(Event, frozen=True):
    """The agent promises a heartbeat at least every so many seconds; 0: none (systemd's WATCHDOG_USEC)."""

    run_id: str
    seconds: float


class WatchdogTriggered(Event, frozen=True):
    """The agent asks to be treated as one whose heartbeat is missing (systemd's WATCHDOG=trigger)."""

    run_id: str


class Reloading(Event, frozen=True):
    """The agent reads its configuration anew, until it is ready again."""

    run_id: str


class Evidence(Event, frozen=True):
    """What the run's tree has done since the last look; ``known`` is false where there was none."""

    run_id: str
    signs: tuple[str, ...]
    known: bool = True


class Probed(Event, frozen=True):
    """A probe of the run has been answered, or could not be asked (``unknown``)."""

    run_id: str
    probe: ProbeKind
    result: ProbeResult
    output: str = ""


class Captured(Event, frozen=True):
    """The snapshot of the run is made, or could not be."""

    run_id: str
    path: str = ""


class StatusReported(Event, frozen=True):
    """The agent says what it does."""

    run_id: str
    text: str


class StoppingReported(Event, frozen=True):
    """The agent says that it has begun to end by itself."""

    run_id: str


class MainPidReported(Event, frozen=True):
    """The agent says that another process of its tree is its main one from now on."""

    run_id: str
    pid: int
    start_ticks: int


class NotAsked(Event, frozen=True):
    """The shutdown message had nobody to go to, and the signal was sent in its place."""

    run_id: str


class LimitPassed(Event, frozen=True):
    """The run is to go, because it, or the namespace of which it uses most, is beyond a limit."""

    run_id: str
    reason: str
    cause: Cause


class MemoryOver(Event, frozen=True):
    """The run's tree uses more memory than its limit."""

    run_id: str
    memory_bytes: int


class MemoryUsed(Event, frozen=True):
    """How much memory the run's tree uses; told where something may follow from that."""

    run_id: str
    memory_bytes: int


class CpuUsed(Event, frozen=True):
    """Percent of one core that the run's tree has used in the last ``seconds``, where that is limited."""

    run_id: str
    percent: float
    seconds: float


class Occupied(Event, frozen=True):
    """The agent has begun a task (``tasks``), or has none under way any more."""

    run_id: str
    tasks: bool


class Exited(Event, frozen=True):
    """The run's main process has ended: exit code or signal, or neither where nobody saw its end."""

    run_id: str
    code: int | None = None
    signal: int | None = None
    core_dumped: bool = False
    leftovers: bool = False
    """Other processes of the run's group live on."""
    at: float | None = None
    """When, if that was not now."""
    reason: str = ""
    """Why, if that is known otherwise than by how it ended."""
    oom: str = ""
    """What says that the kernel has killed it for want of memory."""


class TreeGone(Event, frozen=True):
    """After the main process the last process of the run's group is gone."""

    run_id: str


class LogRead(Event, frozen=True):
    """The last lines of the run have been looked through; what they have of what was looked for."""

    run_id: str
    matches: tuple[LogMatch, ...]


class DeadlinePassed(Event, frozen=True):
    """The instance's deadline has come."""

    deadline: float
    paused: float = 0.0
    """Seconds of that time in which no agent could do anything: the machine was suspended, or stood still."""


EVENTS: tuple[type[Event], ...] = (
    StartRequested,
    StopRequested,
    RestartRequested,
    Renumbered,
    RunRequested,
    ScheduleDue,
    ScheduleMoved,
    DeleteRequested,
    ResetRequested,
    SpecChanged,
    HeldBack,
    LetGo,
    DependencyFailed,
    HookEnded,
    Recovered,
    Spawned,
    SpawnFailed,
    Ready,
    Beat,
    Progressed,
    Extended,
    ExtensionReset,
    WatchdogSet,
    WatchdogTriggered,
    Reloading,
    Evidence,
    Probed,
    Captured,
    StatusReported,
    StoppingReported,
    MainPidReported,
    NotAsked,
    LimitPassed,
    MemoryOver,
    MemoryUsed,
    CpuUsed,
    Occupied,
    Exited,
    TreeGone,
    LogRead,
    DeadlinePassed,
)
