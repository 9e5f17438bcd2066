"""When log files are rotated because of their age or of the hour."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from pypm.core.spec import LogSpec
from pypm.logs.writer import LogFile
from pypm.system.cron import next_moment

__all__ = ["RotationTimes", "Timers"]

log = logging.getLogger(__name__)

LONGEST_WAIT = 3600.0
"""Seconds after which the wall clock is looked at again: it may have been set, or the machine have slept."""
SHARE = 0.005
"""Seconds of one turn of the loop that rotating may take."""
AGAIN = 60.0
"""Seconds after which a rotation that failed is tried again."""


class Timers(Protocol):
    """What is used of an event loop."""

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> Any:
        """Call after ``delay`` seconds; the answer can be cancelled."""


class RotationTimes:
    """Rotates files when they become due, by one timer, for the earliest of them.

    A file is due ``max_age`` seconds after its content began, or at the first moment of ``rotate_at`` after
    that; so one that passed while no master was there is made up for. An empty file is never due.
    """

    def __init__(self, timers: Timers, wall: Callable[[], float] = time.time) -> None:
        self._timers = timers
        self._wall = wall
        self._rules: dict[LogFile, LogSpec] = {}
        self._due: dict[LogFile, float] = {}
        self._timer: Any = None
        self._timer_at = 0.0

    def keep(self, file: LogFile, spec: LogSpec) -> None:
        """These rules hold for ``file`` from now on."""
        self.forget(file)
        if spec.max_age is None and spec.rotate_at is None:
            return
        self._rules[file] = spec
        try:
            begun = file.begun_at()
        except OSError:
            return  # it will be written to before it has content for us to rotate
        if begun is not None:
            self._plan(file, begun)

    def forget(self, file: LogFile) -> None:
        """Nobody writes to ``file`` any more."""
        self._rules.pop(file, None)
        self._due.pop(file, None)

    def noted(self, file: LogFile) -> None:
        """Something is written to ``file`` now."""
        if file not in self._rules:
            return
        if file not in self._due:
            self._plan(file, self._wall())
        elif self._due[file] <= self._wall():
            self._arm(0.0)

    def rotated(self, file: LogFile) -> None:
        """``file`` has no content any more, for whatever reason it was rotated."""
        self._due.pop(file, None)

    def close(self) -> None:
        """Rotate nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._rules.clear()
        self._due.clear()

    def _plan(self, file: LogFile, begun: float) -> None:
        spec = self._rules[file]
        moments = [] if spec.max_age is None else [begun + spec.max_age]
        if spec.rotate_at is not None and (moment := self._moment(spec.rotate_at, begun)) is not None:
            moments.append(moment)
        if moments:
            self._due[file] = min(moments)
            self._arm(self._due[file])

    def _moment(self, line: str, begun: float) -> float | None:
        try:
            return next_moment(line, begun)
        except ValueError as error:  # a client's spec, which no configuration file has been asked about
            log.error("%r is no cron line for rotate_at: %s", line, error)
            return None

    def _arm(self, moment: float) -> None:
        """Look at ``moment``, if no earlier look is planned."""
        if self._timer is not None:
            if self._timer_at <= moment:
                return
            self._timer.cancel()
        self._timer_at = moment
        delay = min(max(moment - self._wall(), 0.0), LONGEST_WAIT)
        self._timer = self._timers.call_later(delay, self._look)

    def _look(self) -> None:
        """Rotate what is due, a share at a time: at midnight it may be a thousand files."""
        self._timer = None
        end = time.monotonic() + SHARE
        for file in [file for file, due in self._due.items() if due <= self._wall()]:
            self._rotate(file)
            if time.monotonic() >= end:
                break
        if self._due:
            self._arm(min(self._due.values()))

    def _rotate(self, file: LogFile) -> None:
        del self._due[file]
        try:
            file.rotate()
        except OSError as error:
            log.error("%s could not be rotated: %s", file.path, error)
            self._due[file] = self._wall() + AGAIN
