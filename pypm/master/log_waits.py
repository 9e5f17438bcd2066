"""Agents that wait for the disk of their log: their clocks stand still, as it is not they who are slow.

Where ``on_full = "block"``, an agent whose pipe is full can do nothing until its log takes bytes again. To be
restarted for a missing heartbeat would be our fault, so as long as its log is blocked its deadlines are
extended a little at a time, for runs that begin meanwhile too; ``max_extension`` bounds it as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from pypm.core.events import Event, Extended
from pypm.core.instance import Instance, Status
from pypm.logs.paths import log_files
from pypm.logs.trouble import LogTrouble
from pypm.system.clock import boot_time

__all__ = ["LogWaits"]

EVERY = 0.2
"""Seconds between two looks while a log is blocked."""
EXTENSION = 5.0
"""Seconds by which the deadlines of an agent that waits are extended: it may need them to come to itself."""
WHAT = "the disk of its log"


class LogWaits:
    """Extends the deadlines of runs whose logs are blocked; ``troubles`` tells what is wrong with logs."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        troubles: Callable[[], Iterable[LogTrouble]],
        instances: Mapping[int, Instance],
        handle: Callable[[int, Event], None],
        logs_folder: str,
    ) -> None:
        self._loop = loop
        self._troubles = troubles
        self._instances = instances
        self._handle = handle
        self._logs_folder = logs_folder
        self._timer: asyncio.TimerHandle | None = None

    def trouble(self, trouble: LogTrouble) -> None:
        """A log begins or ceases to fail; from any thread."""
        if trouble.kind == "block" and not trouble.ended:
            self._loop.call_soon_threadsafe(self._begin)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        if self._timer is None:
            self._look()

    def _look(self) -> None:
        self._timer = None
        blocked = {trouble.path for trouble in self._troubles() if trouble.kind == "block"}
        if not blocked:
            return
        self._timer = self._loop.call_later(EVERY, self._look)
        for instance in list(self._instances.values()):
            # A stop is not put off by it.
            is_judged = instance.run is not None and instance.status is not Status.STOPPING
            if is_judged and blocked & self._files(instance):
                self._extend(instance)

    def _files(self, instance: Instance) -> set[str]:
        files = log_files(self._logs_folder, instance.spec, instance.index)
        return {path for path in (files.out, files.error, files.combined) if path is not None}

    def _extend(self, instance: Instance) -> None:
        run = instance.run
        assert run is not None
        until = run.vitals.extended_until
        # Only when much of the last extension is used up: each of them is saved.
        if until is None or until - boot_time() < EXTENSION / 2:
            self._handle(instance.id, Extended(run.run_id, EXTENSION, WHAT))
