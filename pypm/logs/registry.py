"""Which log files are open, and how many streams write to each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

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
        self._on_error = on_error
        self._clock = clock
        self._wake = wake
        self._mounts = mounts or Mounts()
        self._files: dict[str, LogFile] = {}
        self._ending: list[ThreadedLogFile] = []

    def open(self, path: str, max_size: int, retain: int, on_full: OnFull = "drop") -> LogFile:
        """The file of an absolute path, to be given back with ``release`` once for each call.

        Sizes are bytes; the limits of the latest call hold for all who share the file. Nothing is opened
        before the first byte, and nothing is raised.
        """
        key, is_local = self._mounts.resolve(path)
        file = self._files.get(key)
        if file is None:
            file = self._files[key] = self._make(path, max_size, retain, is_local=is_local)
        else:
            file.users += 1
            file.max_size, file.retain = max_size, retain
        file.on_full = on_full
        return file

    def _make(self, path: str, max_size: int, retain: int, *, is_local: bool) -> LogFile:
        if is_local or self._wake is None:
            return LogFile(path, max_size=max_size, retain=retain, on_error=self._on_error, clock=self._clock)
        return ThreadedLogFile(
            path,
            wake=self._wake,
            max_size=max_size,
            retain=retain,
            on_error=self._on_error,
            clock=self._clock,
        )

    def release(self, file: LogFile) -> None:
        """One stream writes here no longer; after the last one the file is closed and forgotten."""
        file.users -= 1
        if file.users == 0:
            file.end()
            if isinstance(file, ThreadedLogFile):
                self._ending = [each for each in self._ending if not each.join(0.0)] + [file]
            self._files = {key: kept for key, kept in self._files.items() if kept is not file}
            self.on_released(file)

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
        for file in [*files, *self._ending]:
            file.join(max(0.0, deadline - self._clock()))

    def files(self) -> list[LogFile]:
        """All files that have users."""
        return list(self._files.values())

    def identities(self) -> set[Identity]:
        """The files that are open, whatever their names are by now."""
        return {file.identity for file in self._files.values() if file.identity is not None}
