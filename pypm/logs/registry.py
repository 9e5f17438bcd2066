"""Which log files are open, and how many streams write to each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from pypm.core.spec import AppSpec
from pypm.logs.mounts import Mounts
from pypm.logs.rotation import Identity
from pypm.logs.threaded import ThreadedLogFile
from pypm.logs.writer import LogFile, LogTrouble, OnFull

__all__ = ["LogRegistry"]


class LogRegistry:
    """Gives every stream that names the same file the same ``LogFile``.

    Merged instances, an app whose stdout and stderr are one file and a combined file share their writer:
    two writers of one file would rotate it under each other. ``on_error`` is told of every file's troubles.

    A file on a file system that may let us wait (``mounts`` knows) gets a thread of its own, which needs
    ``wake``: what calls a function soon in the thread that uses the files. ``on_error`` is called there, too.
    """

    def __init__(
        self,
        on_error: Callable[[LogTrouble], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        wake: Callable[..., object] | None = None,
        mounts: Mounts | None = None,
    ) -> None:
        self.on_kept: Callable[[LogFile, AppSpec], None] = lambda _file, _spec: None
        """Told of each app that writes into a file, and again when its spec has changed."""
        self.on_released: Callable[[LogFile], None] = lambda _: None
        """Told of a file into which nobody writes any more."""
        self._tell = on_error
        self._present: dict[tuple[str, str], LogTrouble] = {}
        """The troubles that have begun and not ended, by path and kind."""
        self._clock = clock
        self._wake = wake
        self._mounts = mounts or Mounts()
        self._files: dict[str, LogFile] = {}
        self._ending: list[tuple[str, ThreadedLogFile]] = []
        """Files that were given back, with their real paths; some may still have something to do."""

    def open(self, path: str, max_size: int, retain: int, on_full: OnFull = "drop") -> LogFile:
        """The file of an absolute path, to be given back with ``release`` once for each call.

        Sizes are bytes; the limits of the latest call hold for all who share the file. Nothing is opened
        before the first byte, and nothing is raised.
        """
        key, is_local = self._mounts.resolve(path)
        file = self._files.get(key)
        if file is None:
            file = self._files[key] = self._taken_up(key) or self._make(path, is_local=is_local)
            file.users = 0
        file.users += 1
        file.max_size, file.retain = max_size, retain
        file.on_full = on_full
        return file

    def _taken_up(self, key: str) -> LogFile | None:
        """The file of that name that was given back and still has something to do: two would cross there."""
        return next((file for known, file in self._ending if known == key and not file.join(0.0)), None)

    def _make(self, path: str, *, is_local: bool) -> LogFile:
        limits: dict[str, Any] = {
            "max_size": 0,
            "retain": 0,
            "on_error": self._hear,
            "clock": self._clock,
        }
        if is_local or self._wake is None:
            return LogFile(path, **limits)
        return ThreadedLogFile(path, wake=self._wake, **limits)

    def release(self, file: LogFile) -> None:
        """One stream writes here no longer; after the last one the file is closed and forgotten."""
        file.users -= 1
        if file.users == 0:
            file.end()
            key = next(key for key, kept in self._files.items() if kept is file)
            if isinstance(file, ThreadedLogFile):
                ending = [(known, each) for known, each in self._ending if each is not file]
                self._ending = [pair for pair in ending if not pair[1].join(0.0)] + [(key, file)]
            del self._files[key]
            for name, kind in list(self._present):  # threads of other logs may add to it meanwhile
                if name == file.path:
                    self._present.pop((name, kind), None)
            self.on_released(file)

    def _hear(self, trouble: LogTrouble) -> None:
        if trouble.ended:
            self._present.pop((trouble.path, trouble.kind), None)
        else:
            self._present[trouble.path, trouble.kind] = trouble
        self._tell(trouble)

    def troubles(self) -> list[LogTrouble]:
        """What is wrong now with the files that have users."""
        return list(self._present.values())

    def stop(self, timeout: float) -> None:
        """Let all threads come to rest, but wait for those that hang no longer than ``timeout`` seconds."""
        threaded = [file for file in self._files.values() if isinstance(file, ThreadedLogFile)]
        for file in threaded:
            file.stop()
        self.join(timeout, threaded)

    def go_on(self) -> None:
        """Undo ``stop``."""
        for file in self._files.values():
            if isinstance(file, ThreadedLogFile):
                file.go_on()

    def join(self, timeout: float, files: Sequence[ThreadedLogFile] = ()) -> None:
        """Wait for the threads of ``files``, and of those that were released, up to ``timeout`` seconds."""
        deadline = self._clock() + timeout
        for file in [*files, *(file for _, file in self._ending)]:
            file.join(max(0.0, deadline - self._clock()))

    def files(self) -> list[LogFile]:
        """All files that have users."""
        return list(self._files.values())

    def identities(self) -> set[Identity]:
        """The files that are open, whatever their names are by now."""
        return {file.identity for file in self._files.values() if file.identity is not None}
