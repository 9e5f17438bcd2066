"""What the core orders: small frozen values that the master's executor carries out."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "Action",
    "ArmTimer",
    "AskToEnd",
    "AskToShed",
    "CancelTimer",
    "Forget",
    "Gather",
    "HookName",
    "Persist",
    "Publish",
    "ReadLog",
    "RunHook",
    "Signal",
    "Snapshot",
    "Spawn",
    "Tell",
    "Watch",
]


HookName = Literal["post_start", "pre_stop", "on_failure"]


class Action(msgspec.Struct, frozen=True, tag=True):
    """Base of all actions."""


class Spawn(Action, frozen=True):
    """Start a run; answered by ``Spawned`` or ``SpawnFailed``."""


class Signal(Action, frozen=True):
    """Send a signal to the present run: to its process group, or to the main process only."""

    signal: str
    group: bool


class AskToEnd(Action, frozen=True):
    """Send the shutdown message to the present run; the signal, as in ``Signal``, where it has no channel."""

    signal: str
    group: bool


class AskToShed(Action, frozen=True):
    """Ask the present run on the agent channel to give memory back, if it listens there.

    ``memory`` is what it uses, ``limit`` what it may, in bytes; 0: it has no limit.
    """

    memory: int
    limit: int


class Watch(Action, frozen=True):
    """The run's main process is another one than it was: watch that one."""


class ArmTimer(Action, frozen=True):
    """Send ``DeadlinePassed`` at this time; replaces the instance's earlier timer."""

    deadline: float


class CancelTimer(Action, frozen=True):
    """Forget the instance's timer."""


class Persist(Action, frozen=True):
    """The instance has changed: it is part of the next commit, which comes ``soon`` or within a second."""

    soon: bool = True


class Publish(Action, frozen=True):
    """Something that clients can see has changed."""


class Gather(Action, frozen=True):
    """Look at what the run's tree has done; answered by ``Evidence`` unless it is only the ``first`` look."""

    first: bool


class Snapshot(Action, frozen=True):
    """Keep for people what the run looks like now: stacks, children, last lines; ends with ``Captured``."""

    why: str


class ReadLog(Action, frozen=True):
    """Look through the last lines of the run, which has ended, for these patterns; ends with ``LogRead``."""

    patterns: tuple[str, ...]


class RunHook(Action, frozen=True):
    """Run a hook of the app; ``pre_stop`` is answered by ``HookEnded``, whatever comes of it."""

    hook: HookName


class Tell(Action, frozen=True):
    """Something that whoever is on call wants to know: it goes to the durable story of events."""

    what: str
    why: str


class Forget(Action, frozen=True):
    """The instance is gone: drop it, its timer and its logs' descriptors."""
