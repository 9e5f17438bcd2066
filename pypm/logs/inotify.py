"""The kernel's notices of changed files (inotify), as few calls as following logs needs; Linux only.

The packages for it load the C library by way of a compiler or ``ldconfig`` that they run, which takes longer
than everything else that ``pypm logs`` does before its first line.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

__all__ = ["Notice", "Notices"]

MODIFY = 0x00000002
MOVED_FROM = 0x00000040
MOVED_TO = 0x00000080
CREATE = 0x00000100
DELETE = 0x00000200
OVERFLOW = 0x00004000
IGNORED = 0x00008000
EVENT = struct.Struct("iIII")
BUFFER = 65536


class Notice(NamedTuple):
    """Something has changed."""

    watch: int
    """The number that ``watch_file`` or ``watch_folder`` gave; -1: the queue has overflowed, so anywhere."""
    name: str
    """The name in a watched folder; empty for a watched file."""
    gone: bool
    """The watch has ended, because its file is gone."""


class Notices:
    """A queue of notices; ``descriptor`` is readable when there are some.

    Raises ``OSError`` when the system gives no (further) queue.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self.descriptor = self._checked(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        except AttributeError:
            raise OSError(errno.ENOSYS, "no inotify on this system") from None

    def watch_file(self, path: str) -> int:
        """Be told when bytes are added to a file, or it is truncated; raises ``OSError``."""
        return self._watch(path, MODIFY)

    def watch_folder(self, path: str) -> int:
        """Be told when a name in a folder becomes another file's; raises ``OSError``."""
        return self._watch(path, CREATE | MOVED_FROM | MOVED_TO | DELETE)

    def forget(self, watch: int) -> None:
        """End a watch; one that has ended by itself is none any more."""
        self._libc.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> list[Notice]:
        """All notices that are there; it never waits."""
        found: list[Notice] = []
        while True:
            try:
                data = os.read(self.descriptor, BUFFER)
            except BlockingIOError:
                return found
            found += parsed(data)
            if len(data) < BUFFER // 2:
                return found

    def close(self) -> None:
        """End all watches."""
        os.close(self.descriptor)

    def _watch(self, path: str, mask: int) -> int:
        return self._checked(self._libc.inotify_add_watch(self.descriptor, os.fsencode(path), mask))

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def parsed(data: bytes) -> list[Notice]:
    """The notices in what the kernel gave."""
    found: list[Notice] = []
    place = 0
    while place < len(data):
        watch, mask, _, length = EVENT.unpack_from(data, place)
        place += EVENT.size + length
        name = os.fsdecode(data[place - length : place].rstrip(b"\0"))
        found.append(Notice(-1 if mask & OVERFLOW else watch, name, bool(mask & IGNORED)))
    return found
