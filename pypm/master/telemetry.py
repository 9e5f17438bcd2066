"""What runs say about their work beyond what the core decides by: metrics, tasks, and who waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pypm.core.events import Event, Occupied, Progressed
from pypm.master.extensions import Extensions

__all__ = ["NAME_LENGTH", "Metric", "Offer", "RunTelemetry", "TaskReport", "Telemetry"]

MOST_NAMES = 100
"""Names of metrics, and of tasks, that are kept of a run; further ones are dropped."""
NAME_LENGTH = 100
"""Characters of a name that are kept."""
MOST_RUNNING = 1000
"""Tasks of one name that are told from each other."""


class Metric(msgspec.Struct):
    """The latest value that a run has said of something."""

    value: int | float
    at: float
    """Unix time."""


class TaskReport(msgspec.Struct):
    """What a run has said of its tasks of one name, as far as this master has heard it."""

    name: str
    state: str
    """The latest: ``begun``, ``done`` or ``failed``."""
    at: float
    """Unix time of that."""
    running: int = 0
    done: int = 0
    failed: int = 0


class Offer(NamedTuple):
    """Who carries out an action: a process of the run, and the name of its connection."""

    pid: int
    connection: bytes


class RunTelemetry:
    """What one run has said."""

    def __init__(self, run_id: str) -> None:
        self.actions: dict[str, Offer] = {}
        self.metrics: dict[str, Metric] = {}
        self.tasks: dict[str, TaskReport] = {}
        self.extensions = Extensions(run_id)
        self.has_proved_more = False
        """Its heartbeats come from the work itself; one that proves only the process is none."""
        self.beats_ready = False
        self.beats_status: str | None = None
        """What its heartbeats have repeated, as far as that was passed on."""
        self._run_id = run_id
        self._running: dict[str, set[str]] = {}

    def metric(self, name: str, value: float, at: float) -> bool:
        """Keep a value; False where there are too many names."""
        if name not in self.metrics and len(self.metrics) >= MOST_NAMES:
            return False
        self.metrics[name] = Metric(value, at)
        return True

    def offer(self, pid: int, connection: bytes, names: Sequence[str]) -> bool:
        """Keep the actions of a process, instead of those it had before; False where there are too many."""
        self.actions = {name: offer for name, offer in self.actions.items() if offer.pid != pid}
        self.actions.update(dict.fromkeys(names, Offer(pid, connection)))
        while len(self.actions) > MOST_NAMES:
            self.actions.popitem()
        return len(set(names) - self.actions.keys()) == 0

    def withdraw(self, gone: Offer) -> None:
        """The connection of an offer is gone."""
        self.actions = {name: offer for name, offer in self.actions.items() if offer != gone}

    def task(self, name: str, state: str, identity: str, at: float) -> list[Event]:
        """Keep the state of a task. One that is done is progress, whatever its name."""
        events: list[Event] = [Progressed(self._run_id, name)] if state == "done" else []
        report = self.tasks.get(name)
        if report is None:
            if len(self.tasks) >= MOST_NAMES:
                return events
            report = self.tasks[name] = TaskReport(name, state, at)
        running = self._running.setdefault(name, set())
        was_occupied = any(self._running.values())
        if state == "begun":
            if len(running) < MOST_RUNNING:
                running.add(identity)
        else:
            running.discard(identity)
            report.done += state == "done"
            report.failed += state == "failed"
        report.state, report.at, report.running = state, at, len(running)
        is_occupied = any(self._running.values())
        # One whose beginning was told to another master ends here, and may have been the last one.
        if is_occupied is not was_occupied or (state != "begun" and not is_occupied):
            events.append(Occupied(self._run_id, is_occupied))
        return events


class Telemetry:
    """The telemetry of all runs that live; ``runs`` are those, by their tokens."""

    def __init__(self, runs: Mapping[str, tuple[int, str]], clock: Callable[[], float]) -> None:
        self._runs = runs
        self._clock = clock
        self._by_run: dict[str, RunTelemetry] = {}

    def now(self) -> float:
        """Seconds of the boot clock."""
        return self._clock()

    def of(self, run_id: str) -> RunTelemetry:
        """What a run has said, nothing at first."""
        found = self._by_run.get(run_id)
        if found is None:
            if len(self._by_run) > 2 * len(self._runs) + 10:
                self._forget_the_dead()
            found = self._by_run[run_id] = RunTelemetry(run_id)
        return found

    def find(self, run_id: str) -> RunTelemetry | None:
        """What a run has said, if anything."""
        return self._by_run.get(run_id)

    def _forget_the_dead(self) -> None:
        living = {run_id for _, run_id in self._runs.values()}
        self._by_run = {run_id: each for run_id, each in self._by_run.items() if run_id in living}
