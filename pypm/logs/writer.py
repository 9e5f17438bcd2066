"""Writing one log: append, rotate by size, survive what happens to the file and to the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from pypm.logs.rotation import Identity, make_folder, shift

__all__ = ["LogFile", "LogTrouble"]

LOOK_EVERY = 1.0
"""Seconds between two looks at whether the file is still the one that has the name; also between two tries
of a rotation that failed."""
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""Not blocking, because a person may name a FIFO that nobody reads."""
NEWLINE = b"\n"


class LogTrouble(msgspec.Struct, frozen=True):
    """A log begins or ceases to fail: bytes are dropped (``write``), or it cannot be rotated (``rotation``).

    A log that cannot be rotated grows beyond its size: better too large than lost.
    """

    path: str
    kind: Literal["write", "rotation"]
    ended: bool
    reason: str
    """What the system said when it began; empty when it has ended."""
    dropped_bytes: int
    """Dropped since it began."""


class LogFile:
    """A log file of bounded size, opened at its first byte.

    ``max_size`` is in bytes (0: never rotate), ``retain`` counts rotated files (0: the content is dropped
    instead). Rotation happens before the byte that would not fit, and at a line's end: the file may grow
    beyond ``max_size`` to end a line that was begun, but never beyond twice ``max_size``; only a line that
    is still longer is cut in two. Bytes are never changed, doubled or left out: the rotated files from the
    oldest to the newest and then the current one are the stream that was written.

    A file that was moved, deleted or truncated from outside is noticed within a second of writing
    (``clock`` gives seconds that never go back) or at ``reopen``. An ``OSError`` never leaves ``write``: what
    could not be written is dropped and counted, ``on_error`` is told when that begins and when it ends, and
    each write tries anew.
    """

    def __init__(
        self,
        path: str,
        *,
        max_size: int,
        retain: int,
        on_error: Callable[[LogTrouble], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.max_size = max_size
        self.retain = retain
        self.users = 1
        """How many streams write here; kept by the registry."""
        self.dropped_bytes = 0
        """Dropped since this object was made."""
        self._on_error = on_error
        self._clock = clock
        self._troubles: dict[Literal["write", "rotation"], int] = {}
        self._fd: int | None = None
        self._real_path = path
        self._identity: Identity = (0, 0)
        self._regular = True
        self._size = 0
        self._at_line_end: bool | None = True
        """None: not known, since the kernel moved bytes that nobody looked at."""
        self._look_at = 0.0
        self._rotate_at = 0.0
        self._splice_fd: int | None = None
        self._spliceable = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append all of ``data``, rotating where it is due; what fails is dropped and counted."""
        rest = memoryview(data)
        if not rest:
            return
        try:
            if self._fd is not None and self._clock() >= self._look_at:
                self._look()
            while rest:
                descriptor = self._open()
                if count := self._fitting(rest):
                    rest = rest[self._append(descriptor, rest[:count]) :]
                else:
                    self._rotate()
        except OSError as error:
            self._drop(len(rest), error)
        else:
            self._ended("write")

    def splice(self, pipe: int, limit: int) -> int | None:
        """Let the kernel move up to ``limit`` bytes from a pipe, so that none is ever only in our memory.

        Gives how many it moved, or None where ``write`` has to do it: a rotation is due, the disk refuses, or
        the file system cannot. Raises BlockingIOError when the pipe is empty.
        """
        if not self._spliceable:
            return None
        try:
            if self._fd is not None and self._clock() >= self._look_at:
                self._look()
            if (offset := self._splice_offset()) is None:
                return None
            room = self.max_size - offset if self._may_rotate() else limit
            if room <= 0:
                return None
            assert self._splice_fd is not None
            count = os.splice(pipe, self._splice_fd, min(limit, room), offset_dst=offset)
        except BlockingIOError:
            raise
        except OSError as error:
            self._spliceable = error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOSYS)
            return None
        self._size = offset + count
        self._at_line_end = None
        if self._troubles:
            self._ended("write")
        return count

    def _splice_offset(self) -> int | None:
        """Where the file ends now; None for what is no regular file. Others may have changed it meanwhile."""
        descriptor = self._open()
        if not self._regular:
            self._spliceable = False
            return None
        if self._splice_fd is None:
            # The kernel splices into no file that is open for appending.
            self._splice_fd = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_CLOEXEC)
        return os.fstat(descriptor).st_size

    def truncate(self) -> bool:
        """Empty the file, whether it is open or not; ``False`` if there is no regular file of that name.

        Raises ``OSError`` when it cannot be done.
        """
        if self._fd is not None:
            self._look()
        try:
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                return False
            os.truncate(self.path, 0)
        except (FileNotFoundError, NotADirectoryError):
            return False
        self._size = 0
        self._at_line_end = True
        return True

    def reopen(self) -> None:
        """Let go of the file, because somebody has moved it; the next byte opens the one of that name."""
        self.close()

    def close(self) -> None:
        """Close the file, if it is open; a later write opens it again."""
        if self._splice_fd is not None:
            os.close(self._splice_fd)
            self._splice_fd = None
        if self._fd is None:
            return
        descriptor, self._fd = self._fd, None
        # Network file systems report here what became of earlier writes; there is nobody left to retry them.
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def _open(self) -> int:
        """The descriptor, opened if it is not."""
        if self._fd is not None:
            return self._fd
        path = os.path.realpath(self.path)
        try:
            descriptor = os.open(path, FLAGS, 0o600)
        except FileNotFoundError:
            make_folder(os.path.dirname(path))
            descriptor = os.open(path, FLAGS, 0o600)
        status = os.fstat(descriptor)
        self._fd = descriptor
        self._real_path = path
        self._identity = (status.st_dev, status.st_ino)
        self._regular = stat.S_ISREG(status.st_mode)
        self._take_size(status.st_size)
        self._look_at = self._clock() + LOOK_EVERY
        return descriptor

    def _look(self) -> None:
        """Let go of the file if the name is another file's by now; learn its size if others changed it."""
        self._look_at = self._clock() + LOOK_EVERY
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            self.close()
            return
        except OSError:
            return  # no way to know; what is open can still be written
        if (status.st_dev, status.st_ino) != self._identity:
            self.close()
        elif status.st_size != self._size:
            self._take_size(status.st_size)

    def _take_size(self, size: int) -> None:
        self._size = size
        self._at_line_end = size == 0 or not self._regular or ends_line(self._real_path, size)

    def _append(self, descriptor: int, data: memoryview) -> int:
        """One write; gives how many bytes it took."""
        count = os.write(descriptor, data)
        if count == 0:
            raise OSError(errno.EIO, "the file system takes no bytes")
        self._size += count
        self._at_line_end = data[count - 1] == NEWLINE[0]
        return count

    def _fitting(self, data: memoryview) -> int:
        """How many bytes of ``data`` belong into the current file; 0: it has to be rotated first."""
        room = max(self.max_size - self._size, 0)
        if len(data) <= room or not self._may_rotate():
            return len(data)
        if end := bytes(data[:room]).rfind(NEWLINE) + 1:
            return end
        if self._size and self._ends_line():
            return 0
        bound = max(2 * self.max_size - self._size, 0)
        if end := bytes(data[room:bound]).find(NEWLINE) + 1:
            return room + end
        return min(len(data), bound)

    def _ends_line(self) -> bool:
        if self._at_line_end is None:
            self._at_line_end = ends_line(self._real_path, self._size)
        return self._at_line_end

    def _may_rotate(self) -> bool:
        if not (self.max_size and self._regular):
            return False
        return "rotation" not in self._troubles or self._clock() >= self._rotate_at

    def _rotate(self) -> None:
        """Move the full file out of the way, or empty it if nothing is retained."""
        size = self._size
        self._look()
        if self._fd is None or self._size != size:
            return  # others were at it: what fits is to be judged anew
        self.close()
        try:
            if self.retain:
                shift(self._real_path, self.retain)
            else:
                os.truncate(self._real_path, 0)
        except OSError as error:
            self._rotate_at = self._clock() + LOOK_EVERY
            self._began("rotation", error)
        else:
            self._ended("rotation")

    def _drop(self, count: int, error: OSError) -> None:
        if not isinstance(error, BlockingIOError):
            self.close()
        self._began("write", error)
        self._troubles["write"] += count
        self.dropped_bytes += count

    def _began(self, kind: Literal["write", "rotation"], error: OSError) -> None:
        if kind not in self._troubles:
            self._troubles[kind] = 0
            reason = error.strerror or str(error)
            self._on_error(LogTrouble(self.path, kind, ended=False, reason=reason, dropped_bytes=0))

    def _ended(self, kind: Literal["write", "rotation"]) -> None:
        if kind in self._troubles:
            dropped = self._troubles.pop(kind)
            self._on_error(LogTrouble(self.path, kind, ended=True, reason="", dropped_bytes=dropped))


def ends_line(path: str, size: int) -> bool:
    """Whether the last of a file's ``size`` bytes ends a line; a file that may not be read is taken to."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(size - 1)
            return file.read(1) == NEWLINE
    except OSError:
        return True
