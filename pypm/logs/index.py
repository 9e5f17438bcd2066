"""When which bytes of a log came, and from which run: a sparse index beside each of its files.

``x.log.index`` belongs to ``x.log``, ``x.log.1.gz.index`` to ``x.log.1.gz``. All numbers are little endian:

    header   magic ``PYPMLIX1`` · inode of the file it belongs to · how many of the records are members
    record   time in Unix milliseconds · offset in the plain log · run as a number (0: not known)
    member   0 · offset in the plain log · offset in the compressed file

each field 8 bytes. The bytes from a record's offset on were received within the second after its time.
Members come last, only in the index of a compressed file: at each of them the file can be decompressed
without what is before, and the last one is its end. Times and offsets never go down. A torn last record
is not counted.

An index is a help, never a must: what is missing or damaged makes reading coarser, and nothing fails.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator

from pypm.logs.rotation import Generation, heal_indexes, index_owner, index_path, index_paths

__all__ = ["Index", "IndexWriter", "Record", "index_path", "read_index", "run_number", "write_index"]

MAGIC = b"PYPMLIX1"
HEADER = struct.Struct("<8sQQ")
RECORD = struct.Struct("<QQQ")
SECOND = 1000
"""Milliseconds within which the bytes after a record have come."""
BLOCK = 4096
"""Records that are read at once where all of them are looked at."""

Record = tuple[int, int, int]
"""Time in Unix milliseconds, offset, run."""


class IndexWriter:
    """Appends to the index of a log's current file. It raises nothing: what fails is a record less.

    No descriptor is kept: a record is written once a second at most, and a thousand logs are many files.
    """

    def __init__(self) -> None:
        self._path = ""
        self._inode = 0
        self._size = 0
        self._ready = False
        self._last = 0
        """Time of the last record, in milliseconds."""
        self.first = 0
        """Time of the first record in milliseconds; 0: there is none, or it is not known yet."""

    def begin(self, path: str, inode: int, size: int) -> None:
        """Go on with the file ``path`` (resolved), which is ``size`` bytes long now.

        Its index is read at once only where the file has content, whose age it tells.
        """
        self._path, self._inode, self._size = path, inode, size
        self._ready = False
        self._last = self.first = 0
        if size:
            self._prepare()

    def restart(self) -> None:
        """The file was emptied: so is its index."""
        self._last = self.first = self._size = 0
        self._ready = False
        with contextlib.suppress(OSError):
            os.truncate(index_path(self._path), 0)

    def note(self, time: int, offset: int, run: int) -> None:
        """What is written from ``offset`` on is received at ``time`` (Unix milliseconds) from ``run``."""
        if not (self._ready or self._prepare()):
            return
        # A clock that was set back must not make the times unsearchable.
        self._last = max(time, self._last)
        self._size = max(offset, self._size)
        self.first = self.first or self._last
        try:
            descriptor = os.open(index_path(self._path), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError:
            self._ready = False
            return
        try:
            self._ready = os.write(descriptor, RECORD.pack(self._last, offset, run)) == RECORD.size
        except OSError:
            self._ready = False
        finally:
            os.close(descriptor)

    def _prepare(self) -> bool:
        """Make the index there and whole, that of this file; False if it cannot be."""
        try:
            if index_owner(index_path(self._path)) not in (None, self._inode):
                heal_indexes(self._path)
            self._ready = self._open_whole()
        except OSError:
            self._ready = False
        return self._ready

    def _open_whole(self) -> bool:
        descriptor = os.open(index_path(self._path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            header = os.pread(descriptor, HEADER.size, 0)
            count = max(os.fstat(descriptor).st_size - HEADER.size, 0) // RECORD.size
            last = record_at(descriptor, count - 1) if count else (0, 0, 0)
            if header != HEADER.pack(MAGIC, self._inode, 0) or last[1] > self._size:
                os.ftruncate(descriptor, 0)
                count, last = 0, (0, 0, 0)
                if os.pwrite(descriptor, HEADER.pack(MAGIC, self._inode, 0), 0) != HEADER.size:
                    return False
            os.ftruncate(descriptor, HEADER.size + count * RECORD.size)
            self._last = last[0]
            self.first = record_at(descriptor, 0)[0] if count else 0
        finally:
            os.close(descriptor)
        return True


class Index:
    """The index of one generation, as it was when it was opened; it is read where it is asked, not whole.

    Offsets are such of the plain log, times are Unix milliseconds, 0 where nothing is known. Where the file
    has no index there is one record, at offset 0: the last change of the file before it.
    """

    def __init__(self, generation: Generation, descriptor: int | None, since: int) -> None:
        self._descriptor = descriptor
        self._modified = generation.modified // 1_000_000
        self._coarse = (since, 0, 0)
        self._records = self._members = 0
        total = 0
        if descriptor is not None:
            # It may have been emptied since it was opened.
            members = HEADER.unpack(os.pread(descriptor, HEADER.size, 0).ljust(HEADER.size, b"\0"))[2]
            total = max(os.fstat(descriptor).st_size - HEADER.size, 0) // RECORD.size
            self._members = min(members, total)
            self._records = total - self._members
        self.size: int | None = generation.size if generation.compression == "none" else None
        """Bytes of the plain log; None: not known, as the file is compressed and has no index."""
        if descriptor is not None and self._members:
            self.size = record_at(descriptor, total - 1)[1]

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    @property
    def exact(self) -> bool:
        """There are records, so that times are known to the second."""
        return self._records > 0

    def offset_since(self, milliseconds: int) -> int:
        """Where to begin to find all that was received at that time or later; a little more may be there.

        At the file's end if all of it came earlier.
        """
        number = self._after(milliseconds - SECOND)
        if number == 0:
            return 0
        if number < self._count():
            return self._record(number)[1]
        if self._modified < milliseconds:
            return self._end()
        return self._record(number - 1)[1]  # what came last has no record: the disk took none

    def offset_until(self, milliseconds: int) -> int:
        """Where to end to have all that was received until then; a little more may be there."""
        number = self._after(milliseconds)
        return self._record(number)[1] if number < self._count() else self._end()

    def time_at(self, offset: int) -> int:
        """When the byte at ``offset`` was received, to the second."""
        return self._record(self._number_at(offset))[0]

    def run_ranges(self, run: int) -> list[tuple[int, int]]:
        """From where to where the output of a run goes; the end is not included."""
        ranges: list[tuple[int, int]] = []
        start: int | None = None
        for _, offset, owner in self.records():
            if owner == run and start is None:
                start = offset
            elif owner != run and start is not None:
                if offset > start:
                    ranges.append((start, offset))
                start = None
        if start is not None and self._end() > start:
            ranges.append((start, self._end()))
        return ranges

    def runs(self) -> list[int]:
        """The runs whose output is here, in the order of their beginnings."""
        return list(dict.fromkeys(run for _, _, run in self.records() if run))

    def records(self) -> Iterator[Record]:
        """All records, in order, without the members."""
        if not self._records:
            yield self._coarse
            return
        yield from self._read(0, self._records)

    def records_from(self, offset: int) -> Iterator[Record]:
        """The record in which the byte at ``offset`` lies, and all after it."""
        if not self._records:
            yield self._coarse
            return
        yield from self._read(self._number_at(offset), self._records)

    def members(self) -> list[tuple[int, int]]:
        """Places where a compressed file can be begun: plain offset, compressed offset; without its end."""
        if self._members < 2:
            return []
        members = self._read(self._records, self._records + self._members - 1)
        return [(plain, compressed) for _, plain, compressed in members]

    def _count(self) -> int:
        return self._records or 1

    def _end(self) -> int:
        """The plain size; for a compressed file without an index a number beyond it."""
        return (1 << 62) if self.size is None else self.size

    def _record(self, number: int) -> Record:
        if self._descriptor is None or not self._records:
            return self._coarse
        return record_at(self._descriptor, number)

    def _read(self, first: int, end: int) -> Iterator[Record]:
        """The records from number ``first`` up to ``end``."""
        assert self._descriptor is not None
        while first < end:
            count = min(BLOCK, end - first)
            data = os.pread(self._descriptor, count * RECORD.size, HEADER.size + first * RECORD.size)
            yield from RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size])
            first += count

    def _number_at(self, offset: int) -> int:
        """Number of the record in which the byte at ``offset`` lies."""
        low, high = 0, self._count()
        while low < high:
            middle = (low + high) // 2
            if self._record(middle)[1] <= offset:
                low = middle + 1
            else:
                high = middle
        return max(low - 1, 0)

    def _after(self, milliseconds: int) -> int:
        """Number of the first record with a later time."""
        low, high = 0, self._count()
        while low < high:
            middle = (low + high) // 2
            if self._record(middle)[0] > milliseconds:
                high = middle
            else:
                low = middle + 1
        return low


def run_number(run_id: str) -> int:
    """A run's id as the number by which an index names it; 0 for what is no run id."""
    try:
        return int(run_id, 16) & 0xFFFFFFFFFFFFFFFF
    except ValueError:
        return 0


def read_index(generation: Generation, previous: Generation | None = None) -> Index:
    """The index of a file, wherever a crash has left it; without one, ``previous`` tells when it began.

    Raises nothing: an index that may not be read is none.
    """
    since = 0 if previous is None else previous.modified // 1_000_000
    with contextlib.suppress(OSError):
        for path in places(generation):
            if (descriptor := open_index(path, generation.identity[1])) is not None:
                return Index(generation, descriptor, since)
    return Index(generation, None, since)


def places(generation: Generation) -> Iterator[str]:
    """Where the index of a file may be: beside it, else beside others, for which the folder is listed."""
    beside = index_path(generation.path)
    yield beside
    yield from (other for other in index_paths(generation.base) if other != beside)


def open_index(path: str, inode: int) -> int | None:
    """A descriptor of the index at ``path``, if it is that of the file with this inode."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    header = os.pread(descriptor, HEADER.size, 0)
    if len(header) == HEADER.size and header[:16] == HEADER.pack(MAGIC, inode, 0)[:16]:
        return descriptor
    os.close(descriptor)
    return None


def write_index(path: str, inode: int, records: Iterable[Record], members: Iterable[tuple[int, int]]) -> None:
    """Write a whole index, that of a compressed file; the last of ``members`` is the file's end.

    Raises ``OSError``.
    """
    ends = [RECORD.pack(0, plain, compressed) for plain, compressed in members]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(HEADER.pack(MAGIC, inode, len(ends)))
        file.writelines(RECORD.pack(*record) for record in records)
        file.writelines(ends)


def record_at(descriptor: int, number: int) -> Record:
    """One record; zeros where there is none any more."""
    data = os.pread(descriptor, RECORD.size, HEADER.size + number * RECORD.size)
    time, offset, run = RECORD.unpack(data) if len(data) == RECORD.size else (0, 0, 0)
    return time, offset, run
