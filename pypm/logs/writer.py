"""Writing one log: append, rotate by size, survive what happens to the file and to the disk."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from typing import Literal

from pypm.logs.current import LOOK_EVERY, NEWLINE, CurrentFile
from pypm.logs.peek import peek
from pypm.logs.rotation import Identity, begins_with_hole, close_hole, shift
from pypm.logs.trouble import LogTrouble, Troubles, dropped_marker

__all__ = ["Before", "LogFile", "LogTrouble", "OnFull"]

OnFull = Literal["drop", "block"]
Before = Callable[[Identity, int, int], None]
"""Told before each write to a file: which file, its size, how many of the given bytes are not in it yet."""

NOTE_EVERY = 1.0
"""Seconds between two records in the index while the same run writes."""
FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
"""What the system says where deleting something may help."""
NO_SPLICE = frozenset((errno.EINVAL, errno.EBADF, errno.ENOSYS))
"""What it says where a file system cannot splice."""


class LogFile(CurrentFile):
    """A log file of bounded size, opened at its first byte.

    ``max_size`` is in bytes (0: never rotate), ``retain`` counts rotated files (0: the content is dropped
    instead). Rotation happens before the byte that would not fit, and at a line's end: the file may grow
    beyond ``max_size`` to end a line that was begun, but never beyond twice ``max_size``; only a line that
    is still longer is cut in two. Bytes are never changed, doubled or left out: the rotated files from the
    oldest to the newest and then the current one are the stream that was written. ``rotate`` does the same at
    any moment. When which bytes came, and from which ``run``, stands in an index beside the file.

    An ``OSError`` never leaves ``write``. With ``on_full`` ``"drop"``, ``make_room`` is asked first where the
    disk is full; then what could not be written is dropped and counted, each write tries anew, and the first
    bytes that are taken again have a marker line before them. With ``"block"``, the file holds what it was
    given and is ``blocked``: whoever writes here has to wait, and to call ``retry`` now and then.
    ``on_error`` is told when either begins and when it ends.
    """

    def __init__(
        self,
        path: str,
        *,
        max_size: int,
        retain: int,
        on_full: OnFull = "drop",
        on_error: Callable[[LogTrouble], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(path, clock=clock, wall=wall)
        self.max_size = max_size
        self.retain = retain
        self.on_full = on_full
        self.make_room: Callable[[int], bool] | None = None
        """Called with a number of bytes for which the disk has no room; tells whether it has made some."""
        self.marker: Callable[[int, str], bytes] = dropped_marker
        """Makes the line that tells how many bytes were dropped, and why."""
        self.users = 1
        """How many streams write here; kept by the registry."""
        self.run = 0
        """The run whose output is written, as a number, for the index; 0: not known."""
        self.on_noted: Callable[[LogFile], None] = lambda _: None
        """Told about once a second while something is written."""
        self.on_rotated: Callable[[LogFile], None] = lambda _: None
        """Told after each rotation, and when the file was emptied by ``truncate``."""
        self._noted_run = 0
        self._troubles = Troubles(path, on_error, clock)
        self._blocked = False
        self._held = bytearray()
        self._before: Before | None = None
        self._room_at = 0.0
        self._rotate_at = 0.0
        self._spliceable = True

    @property
    def dropped_bytes(self) -> int:
        """Dropped since this object was made."""
        return self._troubles.dropped_bytes

    @property
    def blocked(self) -> bool:
        """The disk takes nothing, and nothing may be dropped: write no more until ``retry`` gives True."""
        return self._blocked

    def write(self, data: bytes | bytearray | memoryview, before: Before | None = None) -> None:
        """Append all of ``data``, rotating where it is due; what fails is dropped and counted, or held."""
        rest = memoryview(data)
        if not rest:
            return
        if self._blocked:
            self._held += rest
            return
        self._before = before
        while rest:
            try:
                rest = rest[self._write_some(rest) :]
            except OSError as error:
                if not self._is_room_made(error, len(rest)):
                    self._refuse(rest, error)
                    return
        if self._troubles.any():
            self._troubles.ended("write", "block")

    def retry(self) -> bool:
        """Try again to write what is held; True when all of it is written and more may be tried."""
        held, self._held = self._held, bytearray()
        self._blocked = False
        self.write(held, self._before)
        return not self._blocked

    def when_ready(self, callback: Callable[[], None]) -> bool:  # noqa: ARG002
        """Have ``callback`` called as soon as there is sense in going on; False: nobody knows when."""
        return False

    def splice(self, pipe: int, limit: int) -> int | None:
        """Let the kernel move up to ``limit`` bytes from a pipe, so that none is ever only in our memory.

        Gives how many it moved, or None where ``write`` has to do it: the disk refuses, or the file system
        cannot. Raises BlockingIOError when the pipe is empty, or the file is ``blocked``.
        """
        if self._blocked:
            raise BlockingIOError
        if not self._spliceable or self._troubles.has("write"):
            return None
        try:
            if (place := self._splice_place(pipe, limit)) is None:
                return None
            offset, room = place
            self._keep_index(offset)
            assert self._splice_fd is not None
            count = os.splice(pipe, self._splice_fd, room, offset_dst=offset)
            if not self._begins_with_nul and os.pread(self._splice_fd, 1, 0) == b"\0":
                offset = self._close_hole(offset, count)
        except BlockingIOError:
            raise
        except OSError as error:
            self._spliceable = error.errno not in NO_SPLICE
            if self._spliceable and self.on_full == "block":
                self._block(error)
                raise BlockingIOError from error
            return None
        self._size = offset + count
        self._at_line_end = None
        if self._troubles.any():
            self._troubles.ended("write", "block")
        return count

    def _splice_place(self, pipe: int, limit: int) -> tuple[int, int] | None:
        """Where what is in a pipe goes now, and how much of it at most; None where it cannot be spliced.

        Where a rotation is due, the line's end is looked for without reading: who is killed in the middle of
        a rotation has no byte in his memory.
        """
        while (offset := self._splice_offset()) is not None:
            if not self._may_rotate():
                return offset, limit
            room = 0 if self._cut else self.max_size - offset
            if room > 0:
                return offset, min(limit, room)
            if offset != self._size:
                self._size, self._at_line_end = offset, None
            data = peek(pipe)
            if not data:
                return offset, limit  # the pipe's end, which the splice tells
            if count := self._fitting(memoryview(data)):
                return offset, min(limit, count)
            self._rotate()
        return None

    def _splice_offset(self) -> int | None:
        """Where the file ends now; None for what is no regular file. Others may have changed it meanwhile."""
        if self._fd is not None and self._clock() >= self._look_at:
            self._look()
        descriptor = self._open()
        if not self._regular:
            self._spliceable = False
            return None
        if self._splice_fd is None:
            # The kernel splices into no file that is open for appending.
            self._splice_fd = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
            self._begins_with_nul = os.pread(self._splice_fd, 1, 0) == b"\0"
        offset = os.fstat(descriptor).st_size
        if offset < self._size:
            self._emptied()
        return offset

    def _close_hole(self, offset: int, count: int) -> int:
        """Where the bytes just spliced to ``offset`` are, without the hole that a truncation has left."""
        assert self._splice_fd is not None
        if offset == 0 and not begins_with_hole(self._splice_fd):
            self._begins_with_nul = True  # that is what the agent prints
            return 0
        place = close_hole(self._splice_fd, offset, count)
        if place != offset:
            self._emptied()
        return place

    def truncate(self) -> bool:
        """As ``CurrentFile.truncate``."""
        is_empty = super().truncate()
        if is_empty:
            self._tell(self.on_rotated)
        return is_empty

    def rotate(self) -> bool:
        """Begin a new file, if this one has content, at its last line's end: now, or once that is written.

        ``False`` if there is nothing to rotate. Raises ``OSError`` when the file cannot be opened.
        """
        if not self._has_content():
            return False
        self._open()
        self._cut = True
        self._at_line_end = None
        if self._ends_line():
            self._rotate()
        return True

    def do(self, work: Callable[[], object]) -> None:
        """Do something with the files of this log between two writes."""
        work()

    def end(self) -> None:
        """Close the file for good: what is held is tried once more, and dropped if it cannot be written."""
        if self._blocked:
            policy, self.on_full = self.on_full, "drop"
            self.retry()
            self.on_full = policy
        self._troubles.ended("write", "block")
        self.close()

    def _keep_index(self, offset: int) -> None:
        """Tell the index what comes next, at ``offset``: at most once a second, and when the run changes."""
        now = self._clock()
        if now < self._note_at and self.run == self._noted_run:
            return
        self._noted_run = self.run
        self._note_at = now + NOTE_EVERY
        if self._regular:
            self._index.note(int(self._wall() * 1000), offset, self.run)
        self._tell(self.on_noted)

    def _tell(self, callback: Callable[[LogFile], None]) -> None:
        callback(self)

    def _write_some(self, data: memoryview) -> int:
        """One step of writing ``data``: gives how many bytes were taken; 0: the file was rotated instead."""
        if self._troubles.is_pausing():
            raise BlockingIOError(errno.EAGAIN, self._troubles.reason)
        if self._fd is not None and self._clock() >= self._look_at:
            self._look()
        descriptor = self._open()
        if self._troubles.unmarked:
            self._mark(descriptor)
        count = self._fitting(data)
        if not count:
            self._rotate()
            return 0
        self._keep_index(self._size)
        if self._before is not None:
            self._before(self._identity, os.fstat(descriptor).st_size, len(data))
        count = self._append(descriptor, data[:count])
        self._room_at = 0.0
        return count

    def _mark(self, descriptor: int) -> None:
        """Write the marker for what was dropped, whole or not at all, on a line of its own."""
        line = self.marker(self._troubles.unmarked, self._troubles.reason)
        marker = memoryview(line if self._ends_line() else NEWLINE + line)
        count = self._append(descriptor, marker)
        if count < len(marker):
            self._size -= count
            self._at_line_end = None
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - count)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._troubles.unmarked = 0

    def _append(self, descriptor: int, data: memoryview) -> int:
        """One write; gives how many bytes it took."""
        count = os.write(descriptor, data)
        if count == 0:
            raise OSError(errno.EIO, "the file system takes no bytes")
        if not self._size:
            self._begins_with_nul = data[0] == 0
        self._size += count
        self._at_line_end = data[count - 1] == NEWLINE[0]
        return count

    def _fitting(self, data: memoryview) -> int:
        """How many bytes of ``data`` belong into the current file; 0: it has to be rotated first."""
        room = 0 if self._cut else max(self.max_size - self._size, 0)
        if len(data) <= room or not self._may_rotate():
            return len(data)
        if end := bytes(data[:room]).rfind(NEWLINE) + 1:
            return end
        if self._size and self._ends_line():
            return 0
        bound = max(2 * self.max_size - self._size, 0) if self.max_size else len(data)
        if end := bytes(data[room:bound]).find(NEWLINE) + 1:
            return room + end
        return min(len(data), bound)

    def _may_rotate(self) -> bool:
        if not ((self.max_size or self._cut) and self._regular):
            return False
        return not self._troubles.has("rotation") or self._clock() >= self._rotate_at

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
                self._index.restart()
        except OSError as error:
            self._rotate_at = self._clock() + LOOK_EVERY
            self._troubles.began("rotation", error)
        else:
            self._cut = False
            self._troubles.ended("rotation")
            self._tell(self.on_rotated)

    def _is_room_made(self, error: OSError, needed: int) -> bool:
        """Whether something was deleted for ``needed`` bytes, so that writing them is to be tried again.

        Where that does not help, the next try is a second later: nothing more is deleted for nothing.
        """
        if self.on_full != "drop" or error.errno not in FULL or self.make_room is None:
            return False
        now = self._clock()
        if now < self._room_at:
            return False
        self._room_at = now + LOOK_EVERY
        return self.make_room(needed)

    def _refuse(self, rest: memoryview, error: OSError) -> None:
        if not isinstance(error, BlockingIOError):
            self.close()
        if self.on_full == "block":
            self._held += rest
            self._block(error)
        else:
            self._troubles.dropped(len(rest), error)

    def _block(self, error: OSError) -> None:
        self._blocked = True
        self._troubles.began("block", error)
