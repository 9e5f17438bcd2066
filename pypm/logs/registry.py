"""Which log files are open, and how many streams write to each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from pypm.logs.writer import LogFile, LogTrouble, OnFull

__all__ = ["LogRegistry"]


class LogRegistry:
    """Gives every stream that names the same file the same ``LogFile``.

    Merged instances, an app whose stdout and stderr are one file and a combined file share their writer:
    two writers of one file would rotate it under each other. ``on_error`` is told of every file's troubles.
    """

    def __init__(
        self,
        on_error: Callable[[LogTrouble], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_error = on_error
        self._clock = clock
        self._files: dict[str, LogFile] = {}

    def open(self, path: str, max_size: int, retain: int, on_full: OnFull = "drop") -> LogFile:
        """The file of an absolute path, to be given back with ``release`` once for each call.

        Sizes are bytes; the limits of the latest call hold for all who share the file. Nothing is opened
        before the first byte, and nothing is raised.
        """
        key = os.path.realpath(path)
        file = self._files.get(key)
        if file is None:
            file = LogFile(path, max_size=max_size, retain=retain, on_error=self._on_error, clock=self._clock)
            self._files[key] = file
        else:
            file.users += 1
            file.max_size, file.retain = max_size, retain
        file.on_full = on_full
        return file

    def release(self, file: LogFile) -> None:
        """One stream writes here no longer; after the last one the file is closed and forgotten."""
        file.users -= 1
        if file.users == 0:
            file.end()
            self._files = {key: kept for key, kept in self._files.items() if kept is not file}

    def files(self) -> list[LogFile]:
        """All files that have users."""
        return list(self._files.values())
