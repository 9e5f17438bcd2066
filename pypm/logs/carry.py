"""A stream's bytes between pipe and log, in a memory file that another process holds: they outlive ours.

The kernel moves bytes from the pipe to the place of the file's offset, which belongs to the open file and not
to a process: how far it is tells what has come. A small header tells how much of that is written to the logs,
and, before each write to one, what is about to be written where. Whoever finds such a file after a
``kill -9`` goes on at the very byte.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from typing import NamedTuple

__all__ = ["Carry", "CarryError", "Intent", "MemoryCarry"]

MAGIC = b"PYPMCRY1"
HEADER = struct.Struct("<8s13Q")
SETTINGS = 4096
"""Where the settings begin: the header is a page."""
DATA = 65536
"""Where the stream's bytes begin."""
NO_INTENT = (0,) * 10
COMPACT = 128 * 1024
"""Bytes from which on the file is used from its beginning again."""


class CarryError(Exception):
    """A file that is none of this kind, or is torn."""


class Intent(NamedTuple):
    """What is being written: a batch of waiting bytes, as records, into one file after the other."""

    size: int
    """Bytes of the batch, from the first waiting one on."""
    state: int
    """The LineState after it."""
    milliseconds: int
    """When it was received, as Unix time."""
    length: int
    """Bytes of all its records."""
    file: int
    """Which of the stream's files is written now: those before have all of it, those after it nothing."""
    device: int = 0
    inode: int = 0
    """The file as it is on the disk; it may have been renamed since."""
    before: int = 0
    """Its size before this write."""
    missing: int = 0
    """How many of the records' bytes, the last ones, were not in it then."""


class MemoryCarry:
    """The same in the memory of this process only, where there is no memory file: it dies with us."""

    def __init__(self) -> None:
        self.state = 0
        """The LineState of the first waiting byte."""
        self.intent: Intent | None = None
        self.settings: bytes | None = None
        """What ``keep_settings`` was given."""
        self._data = bytearray()

    @property
    def waiting(self) -> int:
        """How many bytes have come and are not consumed."""
        return len(self._data)

    def fill(self, pipe: int, limit: int) -> int:
        """Take up to ``limit`` bytes from a pipe; 0 at its end. Raises BlockingIOError when it is empty."""
        data = os.read(pipe, limit)
        self._data += data
        return len(data)

    def read(self, start: int = 0) -> bytes:
        """The waiting bytes from the one with number ``start`` on."""
        return bytes(self._data[start:])

    def intend(self, intent: Intent) -> None:
        """Remember what is about to be written."""
        self.intent = intent

    def consume(self, size: int, state: int) -> None:
        """The first ``size`` waiting bytes are written; those after them begin in ``state``."""
        del self._data[:size]
        self.state, self.intent = state, None

    def keep_settings(self, settings: bytes) -> None:
        """Remember what the records depend on, while nothing is intended. Raises OSError if too long."""
        self.settings = settings

    def refresh(self) -> None:
        """Learn what others have done with it."""

    def close(self) -> None:
        """Forget everything."""
        self._data.clear()


class Carry(MemoryCarry):
    """A memory file; ``descriptor`` is ours to close, and somebody else's to keep as well.

    Raises OSError where there is no such thing, and CarryError for a descriptor that is something else.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        super().__init__()
        self._consumed = self._end = DATA
        if descriptor is None:
            self.descriptor = os.memfd_create("pypm-carry", os.MFD_CLOEXEC)
            os.lseek(self.descriptor, DATA, os.SEEK_SET)
            self._write_header()
        else:
            self.descriptor = descriptor
            self.refresh()
        self._spliceable = True

    @property
    def waiting(self) -> int:
        return self._end - self._consumed

    def fill(self, pipe: int, limit: int) -> int:
        self._make_place()
        count = self._splice(pipe, limit) if self._spliceable else self._copy(pipe, limit)
        self._end += count
        return count

    def read(self, start: int = 0) -> bytes:
        return os.pread(self.descriptor, self.waiting - start, self._consumed + start)

    def intend(self, intent: Intent) -> None:
        self.intent = intent
        self._write_header()

    def consume(self, size: int, state: int) -> None:
        self._consumed += size
        self.state, self.intent = state, None
        self._write_header()

    def keep_settings(self, settings: bytes) -> None:
        if len(settings) > DATA - SETTINGS - 8:
            raise OSError(errno.E2BIG, "what is to be masked in its logs is too long: 60 kB in all")
        os.pwrite(self.descriptor, bytes(8) + settings, SETTINGS)
        os.pwrite(self.descriptor, struct.pack("<II", len(settings), zlib.crc32(settings)), SETTINGS)
        self.settings = settings

    def refresh(self) -> None:
        """Raises CarryError where it is not in order."""
        self._read_header()
        self.settings = self._read_settings()

    def close(self) -> None:
        os.close(self.descriptor)

    def _splice(self, pipe: int, limit: int) -> int:
        try:
            return os.splice(pipe, self.descriptor, limit)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            self._spliceable = False
            return self._copy(pipe, limit)

    def _copy(self, pipe: int, limit: int) -> int:
        """Without splicing, what is read and not yet written here is lost with this process."""
        data = os.read(pipe, limit)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        return len(data)

    def _make_place(self) -> None:
        """Use the file from its beginning again, once what is consumed is worth it."""
        waiting = self.waiting
        if self._end - DATA <= COMPACT or waiting > self._consumed - DATA:
            return
        if waiting:
            os.pwrite(self.descriptor, self.read(), DATA)
        self._move_to(DATA + waiting)
        if not waiting:
            os.ftruncate(self.descriptor, DATA)

    def _move_to(self, end: int) -> None:
        """What waits is at the beginning, up to ``end``: say that, go there, and say that it is done."""
        self._consumed, self._end = DATA, end
        self._write_header(end)
        os.lseek(self.descriptor, end, os.SEEK_SET)
        self._write_header()

    def _write_header(self, moved_to: int = 0) -> None:
        fields = NO_INTENT if self.intent is None else (1, *self.intent)
        header = HEADER.pack(MAGIC, self._consumed, moved_to, self.state, *fields)
        os.pwrite(self.descriptor, header, 0)

    def _read_header(self) -> None:
        header = os.pread(self.descriptor, HEADER.size, 0)
        if len(header) < HEADER.size or not header.startswith(MAGIC):
            raise CarryError("no header")
        _, self._consumed, moved_to, self.state, intended, *fields = HEADER.unpack(header)
        self.intent = Intent(*fields) if intended else None
        if moved_to:
            os.lseek(self.descriptor, moved_to, os.SEEK_SET)
            self._write_header()
        self._end = os.lseek(self.descriptor, 0, os.SEEK_CUR)
        intended_size = 0 if self.intent is None else self.intent.size
        if not DATA <= self._consumed <= self._consumed + intended_size <= self._end:
            raise CarryError("its places do not fit each other")

    def _read_settings(self) -> bytes | None:
        """None where they were never written, or torn when a process was killed: then nothing is intended."""
        length, checksum = struct.unpack("<II", os.pread(self.descriptor, 8, SETTINGS).ljust(8, b"\0"))
        settings = os.pread(self.descriptor, min(length, DATA), SETTINGS + 8)
        return settings if length and zlib.crc32(settings) == checksum else None
