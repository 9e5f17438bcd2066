"""What can happen to an instance: facts, as small frozen values.

An event with a ``run_id`` concerns that run only; when the run is over the event is stale and is dropped.
"""

from __future__ import annotations

import msgspec

from pypm.core.spec import AppSpec

__all__ = [
    "EVENTS",
    "Beat",
    "DeadlinePassed",
    "DeleteRequested",
    "Event",
    "Exited",
    "MainPidReported",
    "MemoryOver",
    "Ready",
    "Recovered",
    "ResetRequested",
    "RestartRequested",
    "SpawnFailed",
    "Spawned",
    "SpecChanged",
    "StartRequested",
    "StatusReported",
    "StopRequested",
    "StoppingReported",
    "TreeGone",
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


class RestartRequested(Event, frozen=True):
    """Somebody wants a new run."""

    by: str = "operator"
    reason: str = ""


class DeleteRequested(Event, frozen=True):
    """Somebody wants the instance stopped and forgotten."""

    by: str = "operator"


class ResetRequested(Event, frozen=True):
    """Somebody wants the counters at zero."""


class SpecChanged(Event, frozen=True):
    """The app has been declared anew; it holds from the next run on."""

    spec: AppSpec


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


class MemoryOver(Event, frozen=True):
    """The run's tree uses more memory than its limit."""

    run_id: str
    memory_bytes: int


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


class TreeGone(Event, frozen=True):
    """After the main process the last process of the run's group is gone."""

    run_id: str


class DeadlinePassed(Event, frozen=True):
    """The instance's deadline has come."""

    deadline: float
    paused: float = 0.0
    """Seconds of that time in which no agent could do anything: the machine was suspended, or stood still."""


EVENTS: tuple[type[Event], ...] = (
    StartRequested,
    StopRequested,
    RestartRequested,
    DeleteRequested,
    ResetRequested,
    SpecChanged,
    Recovered,
    Spawned,
    SpawnFailed,
    Ready,
    Beat,
    StatusReported,
    StoppingReported,
    MainPidReported,
    MemoryOver,
    Exited,
    TreeGone,
    DeadlinePassed,
)
