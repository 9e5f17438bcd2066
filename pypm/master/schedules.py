"""Tells instances when a moment of their schedule has come, by one timer for the earliest of them all."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from datetime import tzinfo
from typing import Any, NamedTuple, Protocol

from pypm.core.events import ScheduleDue, ScheduleMoved
from pypm.core.instance import Desired, Instance
from pypm.core.schedule import Calendar, look, next_run, offset_of, reason_of, schedule_of
from pypm.core.spec import AppSpec, ScheduleSpec
from pypm.master.engine import Engine
from pypm.system.cron import next_moment, zone_named

__all__ = ["Schedules"]

log = logging.getLogger(__name__)

LONGEST_WAIT = 15.0
"""Seconds after which the wall clock is looked at again: it may have been set, or the machine have slept."""
TICK = 0.02
"""Seconds by which a run may have begun later than the kernel tells a new master: it counts hundredths."""
SHARE = 0.005
"""Seconds of one turn of the loop that may be spent on what is due."""


class Timers(Protocol):
    """What is used of an event loop."""

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> Any:
        """Call after ``delay`` seconds; the answer can be cancelled."""


class Planned(NamedTuple):
    """What the next moment of an instance follows from, and when it is due; None: no more moment comes."""

    spec: AppSpec
    moment: float | None
    due: float | None


class Schedules:
    """The next moments of all instances that have a schedule.

    ``clock`` is the boot clock and ``wall`` the wall clock. What comes of a moment is the core's affair.
    """

    def __init__(
        self,
        engine: Engine,
        timers: Timers,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._timers = timers
        self._clock = clock
        self._wall = wall
        self._host = socket.gethostname()
        self._planned: dict[int, Planned] = {}
        self._timer: Any = None
        self._timer_at = 0.0
        self._running = False
        engine.listeners.append(self._changed)

    def start(self) -> None:
        """Go on where the last master was: what it has begun is done, what was missed since is judged."""
        self._running = True
        for instance in list(self._engine.instances.values()):
            if schedule_of(instance.spec) is not None:
                self._plan(instance, begun=self._begun(instance))

    def close(self) -> None:
        """Nothing is begun any more."""
        self._running = False
        self._planned.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def next_run(self, instance_id: int) -> float | None:
        """When (Unix time) the instance's next moment is due; None: it has none, or is not armed."""
        planned = self._planned.get(instance_id)
        return None if planned is None or planned.due is None else round(planned.due, 3)

    def _changed(self, instance_id: int) -> None:
        """Something about an instance is another than it was; seldom anything that concerns its moments."""
        instance = self._engine.instances.get(instance_id)
        planned = self._planned.get(instance_id)
        if instance is None or instance.desired is Desired.DOWN or schedule_of(instance.spec) is None:
            self._planned.pop(instance_id, None)
        elif planned is None or planned.spec is not instance.spec or planned.moment != instance.moment:
            self._plan(instance)

    def _plan(self, instance: Instance, begun: float | None = None) -> None:
        """Find the instance's next moment; where none is dealt with yet, they count from now on."""
        schedule = schedule_of(instance.spec)
        if not self._running or schedule is None or instance.desired is Desired.DOWN:
            return
        self._planned[instance.id] = Planned(instance.spec, instance.moment, None)
        if instance.moment is None:
            self._engine.handle(instance.id, ScheduleMoved(self._wall()))
            return
        try:
            calendar = calendar_of(schedule)
            due = next_run(schedule, calendar, instance.moment, self._offset(instance, schedule))
        except ValueError as error:  # a client's spec, which no configuration file has been asked about
            log.error("%s: %s: %s", instance.name, reason_of(instance.spec), error)
            return
        if due is not None and begun is not None and begun >= due:
            self._deal(instance, begun)
            return
        self._planned[instance.id] = Planned(instance.spec, instance.moment, due)
        if due is not None:
            self._arm(due)

    def _begun(self, instance: Instance) -> float | None:
        """When (Unix time) the latest run began, at the latest."""
        if instance.run is not None:
            started = instance.run.started
        elif instance.last is not None:
            started = instance.last.at - instance.last.uptime
        else:
            return None
        return self._wall() - (self._clock() - started) + TICK

    def _offset(self, instance: Instance, schedule: ScheduleSpec) -> float:
        return offset_of(schedule, f"{self._host}/{instance.app}:{instance.index}")

    def _arm(self, moment: float) -> None:
        """Look at ``moment``, if no earlier look is planned."""
        if self._timer is not None:
            if self._timer_at <= moment:
                return
            self._timer.cancel()
        delay = min(max(moment - self._wall(), 0.0), LONGEST_WAIT)
        self._timer_at = moment
        self._timer = self._timers.call_later(delay, self._look)

    def _look(self) -> None:
        """Deal with what is due, a share at a time: at midnight it may be a thousand jobs."""
        self._timer = None
        end = time.monotonic() + SHARE
        now = self._wall()
        for instance_id, planned in list(self._planned.items()):
            if planned.due is None or planned.moment is None:
                continue
            if planned.due <= now or planned.moment > now:
                self._deal(self._engine.instances[instance_id])
                if time.monotonic() >= end:
                    break
        dues = [planned.due for planned in self._planned.values() if planned.due is not None]
        if dues:
            self._arm(min(dues))

    def _deal(self, instance: Instance, begun: float | None = None) -> None:
        schedule = schedule_of(instance.spec)
        if schedule is None or instance.moment is None:
            return
        offset = self._offset(instance, schedule)
        done = look(schedule, calendar_of(schedule), instance.moment, self._wall(), offset, begun)
        if done.action == "run":
            reason = reason_of(instance.spec, missed=done.missed)
            self._engine.handle(instance.id, ScheduleDue(done.moment, reason))
        elif done.action == "skip":
            why = f"{reason_of(instance.spec)}: nobody was there at its moment" if done.missed else ""
            self._engine.handle(instance.id, ScheduleMoved(done.moment, why))
        elif done.action == "anew":
            log.warning("%s: the clock was set back: its schedule counts from now on", instance.name)
            self._engine.handle(instance.id, ScheduleMoved(done.moment))


def calendar_of(schedule: ScheduleSpec) -> Calendar:
    """The moments of a schedule's cron line. Raises ``ValueError`` for a time zone that is not there."""
    zone: tzinfo | None = None if schedule.timezone is None else zone_named(schedule.timezone)
    line = schedule.cron or ""
    return lambda after: next_moment(line, after, zone)
