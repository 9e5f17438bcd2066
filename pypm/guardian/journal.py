"""The guardian's few words, in the log of its master."""

from __future__ import annotations

import contextlib
import io
import os
import time

__all__ = ["Journal"]


class Journal:
    """Appends lines to a log file that somebody else rotates: it is opened for each line."""

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self) -> io.FileIO:
        """The file, for appending; ``/dev/null`` where it cannot be opened."""
        return io.FileIO(self._path, "a", opener=_open)

    def write(self, text: str) -> None:
        """Write one line. A full disk: nothing can be said, and everything goes on."""
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        line = f"{stamp},{int(now % 1 * 1000):03d} WARNING guardian {os.getpid()}: {text}\n"
        with contextlib.suppress(OSError), self.open() as file:
            file.write(line.encode())


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError:
        return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
