"""``events.jsonl``: what happens under a master, one JSON object a line, rotated like every other log."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable

from pypm.core.masking import masked_text
from pypm.logs.trouble import LogTrouble, stamp
from pypm.logs.writer import LogFile

__all__ = ["EventLog"]

log = logging.getLogger(__name__)

MAX_SIZE = 10 * 1024 * 1024
RETAIN = 5
TROUBLES = {
    ("write", False): "log.dropping",
    ("write", True): "log.dropped",
    ("block", False): "log.blocked",
    ("block", True): "log.unblocked",
    ("rotation", False): "log.rotation_failed",
    ("rotation", True): "log.rotation_works",
}
"""The names of the events at which a log begins or ceases to fail."""


encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""One for all lines: ``json.dumps`` makes one each time, which takes as long as the line."""


class EventLog:
    """Records events in ``path``; a disk that takes none costs events, nothing else.

    Any thread may record: those that write to slow disks do. ``wall`` gives seconds since 1970.
    """

    def __init__(self, path: str, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._lock = threading.Lock()
        self._file = LogFile(path, max_size=MAX_SIZE, retain=RETAIN)
        self._file.marker = self._marker

    def record(self, event: str, **facts: object) -> None:
        """Write one event; ``facts`` are values that JSON has."""
        with self._lock:
            self._file.write(self._line(event, facts))

    def log_trouble(self, trouble: LogTrouble) -> None:
        """Record that a log begins or ceases to fail, here and in the master's log."""
        event = TROUBLES[trouble.kind, trouble.ended]
        facts: dict[str, object] = {"path": trouble.path}
        if trouble.ended:
            facts["dropped_bytes"] = trouble.dropped_bytes
        else:
            facts["reason"] = trouble.reason
        self.record(event, **facts)
        words = ", ".join(f"{name}: {fact}" for name, fact in facts.items() if name != "path")
        log.log(logging.INFO if trouble.ended else logging.ERROR, "%s: %s (%s)", event, trouble.path, words)

    def reopen(self) -> None:
        """Let go of the file, because somebody has moved it."""
        with self._lock:
            self._file.reopen()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _line(self, event: str, facts: dict[str, object]) -> bytes:
        shown = {name: masked_text(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
        record = {"time": stamp(self._wall()), "event": event, **shown}
        return encode(record).encode("utf-8", "replace") + b"\n"

    def _marker(self, count: int, reason: str) -> bytes:
        return self._line("events.dropped", {"dropped_bytes": count, "reason": reason})
