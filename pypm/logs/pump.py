"""From a pipe into log files: a bounded share at a time, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pypm.logs.writer import LogFile

__all__ = ["LONGEST_HELD", "PIPE", "Pump"]

TURN = 1024 * 1024
READ = 4 * 65536
"""Bytes that are read at once where they cannot be spliced."""
DRAIN = 2 * 1024 * 1024
PIPE = 65536
"""Bytes a pipe holds by default."""
FULL = 0.75
"""Share of a pipe from which on it counts as full: pages that hold several short writes have gaps."""
LONGEST_HELD = 65536
"""Bytes of a line's beginning that are held back at most."""

_buffer = memoryview(bytearray(READ))
"""One for all pumps: between two reads nothing is left in it, and a master pumps in one thread."""


class Pump:
    """Moves what comes out of ``fd``, the non-blocking read end of a pipe, into ``files``.

    Where a file is this stream's own, every byte goes into it at once. Where several streams share a file,
    the beginning of a line is held back until the line is ended (or longer than 64 KiB, or until ``drain``,
    the pipe's end, ``replace_files`` or ``close``), so that another stream's bytes do not get into it. What
    is held is lost if the process is killed; with a carry that outlives it, ``RecordPump`` does the same.

    The descriptor stays the caller's. Pumps use one buffer, so all of a process are turned in one thread.
    """

    def __init__(self, fd: int, files: Sequence[LogFile]) -> None:
        self.fd = fd
        self.capacity = PIPE
        """Bytes the pipe holds, kept by who changes that."""
        self.full_turns = 0
        """How many turns in a row, until now, have found the pipe full: its writer was waiting for room."""
        self.moved = 0
        """Bytes moved so far."""
        self.ended = False
        """The pipe's last writer has gone and everything has been read."""
        self._use(files)

    @property
    def files(self) -> list[LogFile]:
        """The files that get this stream."""
        return [outlet.file for outlet in self._outlets]

    @property
    def blocked(self) -> bool:
        """A file takes nothing now, so nothing is read: ``retry`` has to be called now and then."""
        if self._only is not None:
            return self._only.file.blocked
        return any(outlet.file.blocked for outlet in self._outlets)

    @property
    def is_shared(self) -> bool:
        """Other streams write into these files, too."""
        if self._only is not None:
            return self._only.file.users > 1
        return any(outlet.file.users > 1 for outlet in self._outlets)

    def turn(self, limit: int = TURN) -> int:
        """Move at most ``limit`` bytes, without waiting; gives how many were moved.

        Reads again only after a read that emptied a full pipe: more will come with the next turn. 0 means
        that there was nothing, that a file is ``blocked``, or the end (``ended``).
        """
        moved = 0
        full = int(self.capacity * FULL)
        while moved < limit:
            count = self._move(limit - moved)
            moved += count
            if count < min(full, READ):
                break
        self.full_turns = self.full_turns + 1 if moved >= full else 0
        return moved

    def retry(self) -> int:
        """Try again to write what a blocked file holds, then take a turn; gives what ``turn`` gives."""
        for outlet in self._outlets:
            if outlet.file.blocked:
                outlet.file.retry()
        return self.turn()

    def drain(self, limit: int = DRAIN) -> int:
        """Move all that is in the pipe, at most ``limit`` bytes, and hold nothing back; gives the bytes.

        For a process that has died: afterwards its last words are in the files, also those without a
        newline. The limit is for a pipe that a child of that process holds open and goes on filling.
        """
        moved = 0
        while moved < limit and (count := self._move(limit - moved)):
            moved += count
        self._let_go()
        return moved

    settle = drain
    """For the next pump on the pipe: it does not learn what is held back here."""

    def replace_files(self, files: Sequence[LogFile]) -> None:
        """Go on into other files; what is held back still goes into the old ones."""
        self._let_go()
        self._use(files)

    def close(self) -> None:
        """Write what is held back. Neither the descriptor nor the files are closed."""
        self._let_go()

    def _move(self, limit: int) -> int:
        """One read and its writes; 0 when there is nothing now, a file is blocked, or the pipe has ended."""
        try:
            count = self._splice(limit)
            if count:
                self.moved += count
                return count
            if self.blocked:
                return 0
            count = os.readv(self.fd, (_buffer[:limit],))
        except BlockingIOError:
            return 0
        if count == 0:
            self.ended = True
            self._let_go()
            return 0
        for outlet in self._outlets:
            outlet.write(_buffer[:count])
        self.moved += count
        return count

    def _splice(self, limit: int) -> int:
        """Move bytes without touching them, where one file gets all of them; 0: they have to be read."""
        outlet = self._only
        if outlet is None or outlet.held or outlet.file.users > 1:
            return 0
        return outlet.file.splice(self.fd, limit) or 0

    def _use(self, files: Sequence[LogFile]) -> None:
        self._outlets = outlets(files)
        # Nearly all streams have one file, and each line of a quiet one is a turn: that is not looked for.
        self._only = self._outlets[0] if len(self._outlets) == 1 else None

    def _let_go(self) -> None:
        for outlet in self._outlets:
            outlet.let_go()


class Outlet:
    """One stream's way into one file, by whole lines where the file is shared."""

    __slots__ = ("file", "held")

    def __init__(self, file: LogFile) -> None:
        self.file = file
        self.held = b""

    def write(self, chunk: memoryview) -> None:
        """Write ``chunk``, but hold a line's beginning back if others write here too."""
        if self.file.users == 1 and not self.held:
            self.file.write(chunk)
            return
        end = last_line_end(chunk)
        rest = len(chunk) - end
        if end == 0:
            rest += len(self.held)
        if self.file.users == 1 or rest > LONGEST_HELD:
            end = len(chunk)
        if end:
            self.file.write(self.held + chunk[:end] if self.held else chunk[:end])
            self.held = bytes(chunk[end:])
        else:
            self.held += chunk

    def let_go(self) -> None:
        """Write what is held back."""
        if self.held:
            self.file.write(self.held)
            self.held = b""


def last_line_end(chunk: memoryview) -> int:
    """Bytes up to the last newline, which is included; 0 when there is none near the end."""
    start = max(len(chunk) - LONGEST_HELD - 1, 0)
    end = bytes(chunk[start:]).rfind(b"\n") + 1
    return start + end if end else 0


def outlets(files: Sequence[LogFile]) -> list[Outlet]:
    """One outlet a file, also when a file is named twice."""
    return [Outlet(file) for file in dict.fromkeys(files)]
