"""The lock that makes a master the only one of its home."""

from __future__ import annotations

import contextlib
import fcntl
import os

__all__ = ["HomeLock"]


class HomeLock:
    """An exclusive lock on a file; it is gone when the process is, however it ends."""

    def __init__(self, path: str) -> None:
        self._path = path

    def acquire(self) -> int | None:
        """Take the lock and write our pid into the file; None if another process holds it.

        The lock is held as long as the descriptor that this gives, or a duplicate of it, is open.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor

    def sign(self, pid: int | None = None) -> None:
        """Write a pid, ours by default, into the file: the lock that another process took is its now."""
        # For people and for clients only: a full disk or a removed home must not end a guardian.
        with contextlib.suppress(OSError), open(self._path, "r+b") as file:
            file.truncate()
            file.write(f"{pid or os.getpid()}\n".encode())

    def holder(self) -> str:
        """The pid of who holds the lock, as it wrote it itself; empty if unknown."""
        try:
            with open(self._path, encoding="ascii") as file:
                return file.read().strip()
        except (OSError, UnicodeDecodeError):
            return ""
