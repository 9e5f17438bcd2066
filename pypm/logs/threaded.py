"""A log on a file system that may not answer for long: a thread of its own does all that touches it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import sys
import termios
import threading
from collections.abc import Callable
from typing import Any

from pypm.logs.writer import Before, LogFile

__all__ = ["ThreadedLogFile"]

SHARE = 1024 * 1024
"""Bytes that are moved between two looks at whether the thread is to stop."""
READ = 65536


class ThreadedLogFile(LogFile):
    """A ``LogFile`` whose methods return at once; what they order is done by its thread, in their order.

    While something is being done the file is ``blocked``, so that what comes meanwhile stays in the pipe;
    ``when_ready`` tells when that is over. ``wake`` has to call a function in the thread that uses this
    object, soon (as ``loop.call_soon_threadsafe`` does).
    """

    def __init__(self, path: str, *, wake: Callable[..., object], **options: Any) -> None:
        super().__init__(path, **options)
        self._wake = wake
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._under_way = 0
        self._waiting: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._lock = threading.Lock()
        """Guards the beginning and the end of the thread, and the count of what is under way: who keeps the
        bounds of logs gives orders from a thread of his own."""

    @property
    def blocked(self) -> bool:
        """Something is being done, or the disk takes nothing."""
        return self._under_way > 0 or self._blocked

    def when_ready(self, callback: Callable[[], None]) -> bool:
        """Have ``callback`` called as soon as what is under way is done; False if nothing is."""
        if not self._under_way:
            return False
        self._waiting.append(callback)
        return True

    def write(self, data: bytes | bytearray | memoryview, before: Before | None = None) -> None:
        """Append ``data``, soon."""
        if data:
            copy = bytes(data)
            self._order(lambda: LogFile.write(self, copy, before))

    def retry(self) -> bool:
        """Try again to write what is held, soon."""
        if self._blocked and not self._under_way:
            self._order(lambda: LogFile.retry(self))
        return not self.blocked

    def splice(self, pipe: int, limit: int) -> int | None:  # noqa: ARG002
        """Have all that is in the pipe moved, soon. Raises BlockingIOError: nothing has been moved yet."""
        if not self.blocked and waiting_bytes(pipe):
            source = os.dup(pipe)
            self._order(lambda: self._empty(source))
        raise BlockingIOError

    def truncate(self) -> bool:
        """Empty the file, soon."""
        self._order(lambda: LogFile.truncate(self))
        return True

    def rotate(self) -> bool:
        """Begin a new file, soon."""
        self._order(lambda: LogFile.rotate(self))
        return True

    def begun_at(self) -> float | None:
        """As far as it is known without asking the file system."""
        return (self._index.first / 1000 or self._wall()) if self._fd is not None else None

    def is_at_line_end(self) -> bool:
        """As far as it is known without asking the file system."""
        return self._at_line_end is not False

    def do(self, work: Callable[[], object]) -> None:
        """Have something done with the files of this log between two writes, soon."""
        self._order(work)

    def reopen(self) -> None:
        """Let go of the file, soon."""
        self._order(lambda: LogFile.reopen(self))

    def end(self) -> None:
        """Do what is ordered, then close the file for good; only ``join`` waits for that."""
        self._order(lambda: LogFile.end(self))
        self._orders.put(None)

    def stop(self) -> None:
        """Let the thread do no more than what is ordered; what is in a pipe stays there."""
        self._stopped = True
        self._orders.put(None)

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end, which ``stop`` or ``end`` has ordered; False if it does not come."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def go_on(self) -> None:
        """Undo ``stop``."""
        self._stopped = False

    def _order(self, work: Callable[[], object]) -> None:
        with self._lock:
            self._under_way += 1
            self._orders.put(lambda: self._do(work))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="pypm-log", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while True:
            order = self._orders.get()
            if order is not None:
                order()
                continue
            with self._lock:
                if self._orders.empty():
                    self._thread = None
                    return

    def _do(self, work: Callable[[], object]) -> None:
        try:
            with contextlib.suppress(OSError):  # who asked has gone on: there is nobody to tell
                work()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._wake(self._done)

    def _done(self) -> None:
        with self._lock:
            self._under_way -= 1
        if not self._under_way:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()

    def _empty(self, pipe: int) -> None:
        """Move what is in a pipe, as long as there is something."""
        try:
            while not (self._stopped or self._blocked):
                count = LogFile.splice(self, pipe, SHARE)
                if not count:
                    data = os.read(pipe, READ)
                    if not data:
                        return
                    LogFile.write(self, data)
        except BlockingIOError:
            self._ends_line()
        finally:
            os.close(pipe)

    def _tell(self, callback: Callable[[LogFile], None]) -> None:
        with contextlib.suppress(RuntimeError):
            self._wake(callback, self)


def waiting_bytes(pipe: int) -> int:
    """Bytes that are in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
