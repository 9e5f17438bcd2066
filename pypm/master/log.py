"""The master's own log: plain lines in master.log, rotated like every other log."""

from __future__ import annotations

import logging

from pypm.logs.writer import LogFile

__all__ = ["open_log"]

MAX_SIZE = 10 * 1024 * 1024
RETAIN = 5


class LogFileHandler(logging.Handler):
    """Writes records into one of our own log files."""

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as a line."""
        self._file.write((self.format(record) + "\n").encode("utf-8", "backslashreplace"))


def open_log(path: str) -> None:
    """Send all logging of this process to ``path``."""
    handler = LogFileHandler(LogFile(path, max_size=MAX_SIZE, retain=RETAIN))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
