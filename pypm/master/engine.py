"""The engine: a queue of events, each one stepped through the core, its orders given to the executor.

Nothing else changes an instance. What a step orders may cause further events; they are queued, so that a step
never runs inside another one.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from pypm.core.actions import Action, Forget, Publish
from pypm.core.events import (
    DeadlinePassed,
    Event,
    Evidence,
    Extended,
    ExtensionReset,
    Probed,
    ScheduleDue,
    ScheduleMoved,
)
from pypm.core.instance import Instance, Status
from pypm.core.machine import VOLATILE, step

__all__ = ["Engine", "Executor", "Transition"]

log = logging.getLogger(__name__)

ROUTINE = (DeadlinePassed, Evidence, Extended, ExtensionReset, Probed, ScheduleDue, ScheduleMoved)
KEPT_TRANSITIONS = 50
"""How many steps of an instance's history are kept."""


class Executor(Protocol):
    """Carries out what the core orders."""

    def perform(self, instance: Instance, action: Action) -> None:
        """Carry out one action for the instance as it is after the step."""


class Transition(NamedTuple):
    """One step of an instance's history."""

    at: float
    event: Event
    before: Status
    after: Status
    reason: str


class Engine:
    """Holds all instances and steps them. ``clock`` gives the present time in seconds of the boot clock."""

    def __init__(self, executor: Executor, clock: Callable[[], float]) -> None:
        self.instances: dict[int, Instance] = {}
        # From here on, because clients ask the next master with a revision of the last one's.
        self.revision = int(clock() * 1_000_000)
        """Grows with each change that clients can see, also over masters."""
        self.changed_at: dict[int, int] = {}
        """The revision at which each instance last changed."""
        self.listeners: list[Callable[[int], None]] = []
        """Called with the id of an instance after each change that clients can see."""
        self.observers: list[Callable[[Instance, Instance, Event], None]] = []
        """Called with an instance before and after a step that changes its status, or begins or ends one."""
        self._executor = executor
        self._clock = clock
        self._queue: deque[tuple[int, Event]] = deque()
        self._stepping = False
        self._history: dict[int, deque[Transition]] = {}

    def add(self, instance: Instance) -> None:
        """Take in an instance, new or from the state."""
        self.instances[instance.id] = instance
        self._changed(instance.id)

    def history(self, instance_id: int) -> list[Transition]:
        """The last steps of an instance, oldest first."""
        return list(self._history.get(instance_id, ()))

    def handle(self, instance_id: int, event: Event) -> None:
        """Let an event happen to an instance, now or as soon as the present step is over."""
        self._queue.append((instance_id, event))
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._queue:
                self._step(*self._queue.popleft())
        finally:
            self._stepping = False

    def _step(self, instance_id: int, event: Event) -> None:
        before = self.instances.get(instance_id)
        if before is None:
            return
        now = self._clock()
        after, actions = step(before, event, now)
        self.instances[instance_id] = after
        if after is not before and not _is_routine(event, before, after):
            self._remember(now, event, before, after)
            if _is_news(before, after):
                for observer in self.observers:
                    observer(before, after, event)
        for action in actions:
            if isinstance(action, Publish):
                self._changed(instance_id)
            else:
                self._perform(after, action)

    def _perform(self, instance: Instance, action: Action) -> None:
        if isinstance(action, Forget):
            del self.instances[instance.id]
            self._history.pop(instance.id, None)
            self._changed(instance.id)
            self.changed_at.pop(instance.id, None)
        self._executor.perform(instance, action)

    def _remember(self, now: float, event: Event, before: Instance, after: Instance) -> None:
        steps = self._history.get(after.id)
        if steps is None:
            steps = self._history[after.id] = deque(maxlen=KEPT_TRANSITIONS)
        steps.append(Transition(now, event, before.status, after.status, after.reason))
        if before.status is not after.status:
            _log_transition(before, after)

    def _changed(self, instance_id: int) -> None:
        self.revision += 1
        self.changed_at[instance_id] = self.revision
        for listener in self.listeners:
            listener(instance_id)


def _is_news(before: Instance, after: Instance) -> bool:
    """Whether it has another status, or a run has begun or ended."""
    has_begun = before.run is None and after.run is not None
    return after.status is not before.status or after.runs is not before.runs or has_begun


def _is_routine(event: Event, before: Instance, after: Instance) -> bool:
    """Whether a step says nothing to whoever reads the history: a beat, or a look that found nothing."""
    if isinstance(event, ROUTINE):
        return _told(before) == _told(after)
    return isinstance(event, VOLATILE)


def _told(instance: Instance) -> tuple[object, ...]:
    """What of an instance has a place in its history: also how far a stop has gone."""
    return instance.status, instance.reason, instance.asked, instance.killed


def _log_transition(before: Instance, after: Instance) -> None:
    if after.status is Status.ONLINE and after.run is not None:
        log.info("%s: online, pid %s", after.name, after.run.main_pid)
    elif after.status is not Status.STARTING or before.run is not None:
        log.info("%s: %s, %s", after.name, after.status, after.reason)
