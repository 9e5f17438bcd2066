"""The master's own log: plain lines in master.log, rotated like every other log."""

from __future__ import annotations

import logging
import time

from pypm.logs.writer import LogFile

__all__ = ["open_log", "reopen_log"]

MAX_SIZE = 10 * 1024 * 1024
RETAIN = 5


class LineFormatter(logging.Formatter):
    """``2026-11-22 16:23:42,598 INFO name: message``; the second is rendered once, not for each line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._second = -1
        self._rendered = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        """The local time of a record."""
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._rendered = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._rendered},{int(record.msecs):03d}"


class LogFileHandler(logging.Handler):
    """Writes records into one of our own log files."""

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self.file = file

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as a line."""
        self.file.write((self.format(record) + "\n").encode("utf-8", "backslashreplace"))

    def reopen(self) -> None:
        """Let go of the file, not while another thread writes a record."""
        self.acquire()
        try:
            self.file.reopen()
        finally:
            self.release()


def reopen_log() -> None:
    """Let go of the file, because somebody has moved it; the next line opens the one of that name."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogFileHandler):
            handler.reopen()


def open_log(path: str) -> None:
    """Send all logging of this process to ``path``."""
    # What our lines do not have need not be found out for each of them (as Python's logging how-to says).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = LogFileHandler(LogFile(path, max_size=MAX_SIZE, retain=RETAIN))
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
