"""Looks through the last lines of runs that have ended, for what the rules of their apps ask for."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable

from pypm.core.events import Event, LogRead
from pypm.core.instance import Instance
from pypm.core.rules import LogMatch, search_lines
from pypm.logs.last_words import last_words
from pypm.logs.paths import log_files
from pypm.system.time_limit import time_limit

__all__ = ["LogSearch"]

log = logging.getLogger(__name__)

LINES = 200
"""Of each stream."""
MATCHING_TIME = 0.2
"""Seconds that the patterns of one rule may take, as nothing else happens meanwhile."""
MOST_THREADS = 8
"""Files may be on a disk that does not answer: a thread that hangs keeps nobody but its own run."""

Order = tuple[Instance, tuple[str, ...]]


class LogSearch:
    """Reads files beside the loop, and matches in it, where a pattern without an end can be ended."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handle: Callable[[int, Event], None], logs_folder: str
    ) -> None:
        self._loop = loop
        self._handle = handle
        self._logs_folder = logs_folder
        self._waiting: deque[Order] = deque()
        self._threads = 0

    def read(self, instance: Instance, patterns: tuple[str, ...]) -> None:
        """Look through the last lines of the run of ``instance``; ``LogRead`` tells what they have."""
        self._waiting.append((instance, patterns))
        if self._threads < MOST_THREADS:
            try:
                threading.Thread(target=self._work, name="pypm-last-lines", daemon=True).start()
            except RuntimeError as error:  # the kernel gives no more threads
                log.warning("%s: cannot look through its log in a thread: %s", instance.name, error)
                if not self._threads:  # nobody else comes by who could do it
                    self._waiting.pop()
                    self._loop.call_soon(self._search, instance, (), [])
                return
            self._threads += 1

    def _work(self) -> None:
        try:
            while self._waiting:
                try:
                    instance, patterns = self._waiting.popleft()
                except IndexError:  # another thread has it
                    break
                lines = read_lines(instance, self._logs_folder)
                self._tell(self._search, instance, patterns, lines)
        finally:
            self._tell(self._thread_over)

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: this master has ended, and the next one looks again
            return

    def _thread_over(self) -> None:
        self._threads -= 1
        if self._waiting and self._threads < MOST_THREADS:  # one that came while the thread was leaving
            instance, patterns = self._waiting.popleft()
            self.read(instance, patterns)

    def _search(self, instance: Instance, patterns: tuple[str, ...], lines: list[str]) -> None:
        assert instance.run is not None
        found: list[LogMatch] = []
        for pattern in patterns:
            try:
                with time_limit(MATCHING_TIME):
                    found += search_lines((pattern,), lines)
            except TimeoutError as error:
                log.warning("%s: the pattern %r of a rule is given up: %s", instance.name, pattern, error)
        self._handle(instance.id, LogRead(instance.run.run_id, tuple(found)))


def read_lines(instance: Instance, logs_folder: str) -> list[str]:
    """The last lines of the run, of stdout first; without those of what cannot be read."""
    assert instance.run is not None
    logs = instance.spec.logs
    files = log_files(logs_folder, instance.spec, instance.index)
    paths = dict.fromkeys(path for path in (files.out, files.error) if path is not None)
    lines: list[str] = []
    for path in paths or ([] if files.combined is None else [files.combined]):
        form = logs.date_format if logs.form == "text" else None
        try:
            lines += last_words(
                path, instance.run.run_id, LINES, recorded=logs.form != "raw", date_format=form
            )
        except OSError as error:
            log.warning("%s: cannot look through %s: %s", instance.name, path, error)
    return lines
