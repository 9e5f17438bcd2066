"""Logs and events of a home, read from its files: no master is needed, and none can be slowed."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pypm.logs.event_view import EventView
from pypm.logs.picking import Batch, Query
from pypm.logs.view import LogView, Source

__all__ = ["LogLine", "Reader", "read_events", "read_logs"]


class LogLine(NamedTuple):
    """A line of a log."""

    name: str
    """The instance, or the app where its instances share a file."""
    stream: str
    """``out``, ``error``, or ``combined`` where only a file of both is kept."""
    text: str
    """Without its newline; what is no UTF-8 is replaced."""
    time: float | None
    """Unix time; known to the second, or better where the log has records. None: nobody knows."""
    run: str
    """Id of the run that wrote it; empty: not known."""


def read_events(
    home: str,
    targets: Sequence[str],
    *,
    since: float | None = None,
    until: float | None = None,
    follow: bool = False,
    reader: Reader | None = None,
) -> Iterator[dict[str, Any]]:
    """The events there are and, with ``follow``, those that come, up to ``until`` or the end of ``reader``.

    Raises NotFoundError for a target of which nobody knows, and OSError for what cannot be read.
    """
    view = EventView(home, targets, since=milliseconds(since), until=milliseconds(until))
    with reader or Reader() as reading:
        try:
            yield from (told.event for told in view.history(None))
            while follow and (left := left_until(until)) != 0.0 and reading.is_there():
                yield from (told.event for told in view.wait(reading.descriptor, left))
        finally:
            view.close()


def read_logs(
    home: str,
    targets: Sequence[str],
    *,
    lines: int | None = 15,
    since: float | None = None,
    until: float | None = None,
    follow: bool = False,
    reader: Reader | None = None,
) -> Iterator[LogLine]:
    """The lines there are and, with ``follow``, those that come, up to ``until`` or the end of ``reader``.

    Raises NotFoundError for a target that names nothing, and OSError for a log that cannot be read.
    """
    collector = Collector()
    query = Query(since=milliseconds(since), until=milliseconds(until))
    view = LogView(home, targets, collector, query=query, lines=lines)
    with reader or Reader() as reading:
        try:
            view.begin(follow=follow)
            yield from collector.taken()
            while follow and (left := left_until(until)) != 0.0 and reading.is_there():
                view.look(reading.descriptor, left)
                yield from collector.taken()
        finally:
            view.finish()
    yield from collector.taken()


class Collector:
    """Keeps lines until they are asked for."""

    timed = True

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque()

    def prepare(self, names: Iterable[str]) -> None:
        """Names come with the lines."""

    def show(self, source: Source, batch: Batch) -> None:
        """Keep these lines."""
        moment = batch.time / 1000 if batch.time else None
        for line in batch.lines:
            text = line.decode("utf-8", "replace").removesuffix("\n")
            self._lines.append(LogLine(source.name, source.stream, text, moment, batch.run))

    def taken(self) -> Iterator[LogLine]:
        """All that has come, each once."""
        while self._lines:
            yield self._lines.popleft()


class Reader:
    """Whoever reads what is followed. ``leave`` ends the wait for more, also from another thread."""

    def __init__(self) -> None:
        self._here, self.descriptor = os.pipe()
        self._lock = threading.Lock()
        self._has_left = False

    def leave(self) -> None:
        """Nobody reads any more; saying so again does nothing."""
        with self._lock:
            if not self._has_left:
                self._has_left = True
                os.close(self._here)

    def is_there(self) -> bool:
        """Whether somebody reads."""
        return not self._has_left

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()
        os.close(self.descriptor)


def milliseconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment * 1000)


def left_until(moment: float | None) -> float | None:
    """Seconds until a time, 0.0 when it is over; None: there is no end."""
    return None if moment is None else max(moment - time.time(), 0.0)
