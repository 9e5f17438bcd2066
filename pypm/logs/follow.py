"""Following logs across rotation, truncation, deletion and files that are not there yet."""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Generic, TypeVar

from pypm.logs.reader import open_generation, split_lines
from pypm.logs.rotation import Generation, Identity, Position, generations

__all__ = ["Follower"]

SHARE = 1024 * 1024
"""Bytes read of one log in one poll."""
MARK = 64
"""Bytes before the place of reading that are compared with what was read."""
LONGEST_PARTIAL = 8 * 1024 * 1024
"""Bytes after which a line without an end is given in pieces."""

Source = TypeVar("Source", bound=Hashable)


class Follower(Generic[Source]):
    """Reads what is added to several logs, each known to the caller by its ``source``.

    It never waits: the caller looks again after a while, or at once as long as something comes. Each log is
    read to its end before the next file of that name, also when it was rotated several times between two
    looks. A file that was truncated is read from its beginning; that it was is seen by its size or by other
    bytes at the place of reading.
    """

    def __init__(self) -> None:
        self._logs: dict[Source, FollowedLog] = {}

    def add(self, source: Source, path: str, position: Position | None = None, partial: bytes = b"") -> None:
        """Follow a log from ``position`` (where ``read_tail`` ended); ``None``: all there is and will be.

        ``partial`` is the beginning of a line that the caller has read and not shown.
        """
        self._logs[source] = FollowedLog(path, position, partial)

    def poll(self) -> list[tuple[Source, list[bytes]]]:
        """Whole lines that have come since the last look, with their newlines, by source.

        About 1 MiB of each log is read; empty only if no line has ended. A line that has grown beyond
        8 MiB is given in pieces.

        Raises ``OSError`` when a file may not be read.
        """
        polled = ((source, log.poll()) for source, log in self._logs.items())
        return [(source, lines) for source, lines in polled if lines]

    def flush(self) -> list[tuple[Source, list[bytes]]]:
        """What has been read of lines that have not ended."""
        flushed = ((source, log.flush()) for source, log in self._logs.items())
        return [(source, [line]) for source, line in flushed if line]

    def close(self) -> None:
        """Close all files; the follower cannot be used again."""
        for log in self._logs.values():
            log.close()
        self._logs.clear()


class FollowedLog:
    """One log: the file that is being read, how far, and the line that has not ended."""

    def __init__(self, path: str, position: Position | None, partial: bytes) -> None:
        self._path = path
        self._position = position
        self._partial = bytearray(partial)
        self._fd: int | None = None
        self._identity: Identity = (0, 0)
        self._offset = 0
        self._mark = b""
        """The last bytes before the offset: if others are there, the file was truncated and written anew."""

    def poll(self) -> list[bytes]:
        """Whole lines that have come, from at most ``SHARE`` bytes or as many as the first line has."""
        lines: list[bytes] = []
        rest = SHARE
        while (rest > 0 or not lines) and not self._is_idle():
            if data := self._read(SHARE):
                lines += self._lines(data)
                rest -= len(data)
            elif not self._go_on():
                break
        return lines

    def flush(self) -> bytes:
        """The line that has not ended, which is then forgotten."""
        partial = bytes(self._partial)
        self._partial.clear()
        return partial

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _is_idle(self) -> bool:
        """Whether nothing can have come, by the one look that most polls need.

        The file of that name is ours and read to its end, or there was never one and there still is none.
        """
        try:
            status = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return self._fd is None and self._position is None
        return (status.st_dev, status.st_ino) == self._identity and status.st_size == self._offset

    def _read(self, limit: int) -> bytes:
        """What comes next in the file, from its beginning if it is not the one any more that was read."""
        if self._fd is None:
            return b""
        mark = len(self._mark)
        data = os.pread(self._fd, mark + limit, self._offset - mark)
        if data.startswith(self._mark):
            data = data[mark:]
        else:
            self._offset = 0
            self._mark = b""
            data = os.pread(self._fd, limit, 0)
        self._offset += len(data)
        self._mark = (self._mark + data[-MARK:])[-MARK:]
        return data

    def _go_on(self) -> bool:
        """After the file's end: go to the next one; ``False``: there is none yet."""
        following = self._following()
        if following is None:
            return False
        # Only now is it known that nobody writes to the old file any more: what came since is still in it.
        if self._fd is not None and os.fstat(self._fd).st_size > self._offset:
            return True
        return self._switch(following)

    def _following(self) -> Generation | None:
        """The file that comes after the one that was read, once it has a byte."""
        files = generations(self._path)
        if files is None:
            return None
        if self._fd is None:
            return self._first(files)
        places = [place for place, file in enumerate(files) if file.identity == self._identity]
        if places:
            newer = files[places[-1] + 1 :]
        else:
            # Ours was deleted or moved elsewhere. Rotated files are newer if they were written to later.
            modified = os.fstat(self._fd).st_mtime_ns
            newer = [file for file in files if file.number == 0 or file.modified > modified]
        return next((file for file in newer if file.size), None)

    def _first(self, files: list[Generation]) -> Generation | None:
        """Where reading begins: at the position, or with the oldest file."""
        if self._position is None:
            return files[0] if files else None
        marked = [file for file in files if file.identity == self._position.identity]
        return next(iter(marked or files[-1:]), None)

    def _switch(self, file: Generation) -> bool:
        try:
            descriptor = open_generation(file)
        except FileNotFoundError:
            return False  # rotated since it was listed: the next look will find it
        self.close()
        self._fd = descriptor
        self._identity = file.identity
        position, self._position = self._position, None
        self._offset = 0
        if position and position.identity == file.identity and position.offset <= file.size:
            self._offset = position.offset
        start = max(self._offset - MARK, 0)
        self._mark = os.pread(descriptor, self._offset - start, start)
        return True

    def _lines(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes."""
        end = data.rfind(b"\n") + 1
        if end:
            lines = split_lines(bytes(self._partial) + data[:end])
            self._partial = bytearray(data[end:])
        else:
            lines = []
            self._partial += data
        if len(self._partial) > LONGEST_PARTIAL:
            lines.append(self.flush())
        return lines
