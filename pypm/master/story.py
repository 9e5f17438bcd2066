"""What becomes of instances, told to ``events.jsonl``: docs/events.md has the names and fields."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from pypm.core.events import Event, Spawned
from pypm.core.instance import Instance, RunEnd, Status
from pypm.core.policy import signal_name

__all__ = ["Story"]

SHORT = 1.0
"""Seconds: a run that follows one that was shorter is told of when it has lived so long, else by its end."""
TOLD_BY_THE_END = (Status.STARTING, Status.BACKOFF)
"""What follows a run's end and needs no line of its own."""


class Story:
    """One line for each step that people want to know of; a storm of crashes is one line a run.

    ``record`` writes an event, ``instances`` are those that there are, ``clock`` is the boot clock.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        record: Callable[..., None],
        instances: Mapping[int, Instance],
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._record = record
        self._instances = instances
        self._clock = clock
        self._later: set[int] = set()
        """Instances whose present run is told of when it has lived for a while."""
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def step(self, before: Instance, after: Instance, event: Event) -> None:
        """An instance has changed its status, or one of its runs has ended."""
        ended = after.runs is not before.runs and after.last is not None
        if ended and after.last is not None:
            self._later.discard(after.id)
            self._tell("run.ended", after, **self._end(before, after, after.last))
        if after.status is Status.STARTING:
            if isinstance(event, Spawned):
                self._tell("instance.starting", after, **_of_run(after))
        elif after.status is Status.ONLINE:
            if before.status is not Status.ONLINE:
                self._online(after)
        elif after.status is not before.status and not (ended and after.status in TOLD_BY_THE_END):
            self._rest(after)

    def _rest(self, instance: Instance) -> None:
        facts: dict[str, Any] = {"reason": instance.reason}
        if instance.status is Status.STOPPING:
            if instance.run is not None and instance.run.leaving is not None:
                return  # its main process has ended, which is told when all of it has
            facts = {**_of_run(instance), **facts, "cause": instance.stop_cause}
        if instance.status is Status.HELD:
            facts["held_seconds"] = self._left(instance)
        self._tell(f"instance.{instance.status}", instance, **facts)

    def _online(self, instance: Instance) -> None:
        last, now = instance.last, self._clock()
        if last is None or last.uptime >= SHORT or now - last.at > 60.0:
            self._tell("instance.online", instance, **_of_run(instance))
            return
        self._later.add(instance.id)
        if self._timer is None:
            self._timer = self._loop.call_later(SHORT, self._look)

    def _look(self) -> None:
        """Tell of those that have lived for a while."""
        self._timer = None
        now = self._clock()
        for instance_id in list(self._later):
            instance = self._instances.get(instance_id)
            if instance is None or instance.run is None or instance.status is not Status.ONLINE:
                self._later.discard(instance_id)
            elif now - instance.run.started >= SHORT:
                self._later.discard(instance_id)
                self._tell("instance.online", instance, **_of_run(instance))
        if self._later:
            self._timer = self._loop.call_later(SHORT / 2, self._look)

    def _end(self, before: Instance, after: Instance, end: RunEnd) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "run_id": end.run_id or None,
            "pid": None if before.run is None else before.run.main_pid,
            "cause": end.cause,
            "reason": end.reason,
            "code": end.code,
            "signal": None if end.signal is None else signal_name(end.signal),
            "uptime_seconds": round(end.uptime, 3),
            "status": after.status,
        }
        if end.rule:
            facts["rule"] = end.rule
        if end.snapshot:
            facts["report"] = end.snapshot
        if after.status is Status.BACKOFF:
            facts["retry_in_seconds"] = self._left(after)
        if (ago := self._clock() - end.at) > SHORT:  # there was no master then
            facts["ended_seconds_ago"] = round(ago, 3)
        return facts

    def _left(self, instance: Instance) -> float | None:
        if instance.deadline is None:
            return None
        return round(max(0.0, instance.deadline - self._clock()), 3)

    def _tell(self, what: str, instance: Instance, **facts: Any) -> None:
        self._record(what, name=instance.name, id=instance.shown_id, **facts)


def _of_run(instance: Instance) -> dict[str, Any]:
    run = instance.run
    return {"run_id": None, "pid": None} if run is None else {"run_id": run.run_id, "pid": run.main_pid}
