"""Following logs across rotation, compression, truncation, deletion and files that are not there yet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Hashable, Iterator
from typing import BinaryIO, Generic, TypeVar

from pypm.logs.compressed import open_generation, open_plain
from pypm.logs.lines import Chunk, Joiner
from pypm.logs.rotation import Generation, Position, generations, look

__all__ = ["Follower"]

SHARE = 1024 * 1024
"""Bytes read of one log in one poll."""
MARK = 64
"""Bytes before the place of reading that are compared with what was read."""

Source = TypeVar("Source", bound=Hashable)


class Follower(Generic[Source]):
    """Reads what is added to several logs, each known to the caller by its ``source``.

    It never waits: the caller looks again after a while, or at once as long as something comes. Each log is
    read to its end before the next file of that name, also when it was rotated several times between two
    looks, and compressed. A file that was truncated is read from its beginning; that it was is seen by its
    size or by other bytes at the place of reading.
    """

    def __init__(self) -> None:
        self._logs: dict[Source, FollowedLog] = {}

    def add(self, source: Source, path: str, position: Position | None = None) -> None:
        """Follow a log from ``position`` (where ``read_tail`` ended); ``None``: all there is and will be.

        Raises ``OSError`` when a file may not be read.
        """
        self._logs[source] = FollowedLog(path, position, len(self._logs))

    def poll(self, sources: Collection[Source] | None = None) -> list[tuple[Source, Chunk]]:
        """Whole lines that have come since the last look, of some sources or of all; one may come twice.

        About 1 MiB of each log is read; empty only if no line has ended. A line that has grown beyond
        1 MiB is given in pieces.

        Raises ``OSError`` when a file may not be read.
        """
        if sources is None:
            chosen = list(self._logs)
        else:
            # In the order in which they were added, so that the same events are always shown alike.
            chosen = sorted(self._logs.keys() & sources, key=lambda source: self._logs[source].number)
        return [(source, chunk) for source in chosen for chunk in self._logs[source].poll()]

    def flush(self) -> list[tuple[Source, Chunk]]:
        """What has been read of lines that have not ended."""
        return [(source, chunk) for source, log in self._logs.items() for chunk in log.flush()]

    def close(self) -> None:
        """Close all files; the follower cannot be used again."""
        for log in self._logs.values():
            log.close()
        self._logs.clear()


class FollowedLog:
    """One log: the file that is being read, how far, and the line that has not ended."""

    def __init__(self, path: str, position: Position | None, number: int) -> None:
        self.number = number
        self._path = path
        self._position = position
        self._joiner = Joiner()
        self._file: Generation | None = None
        self._fd: int | None = None
        """Of the file, if it is not compressed; then it is read through the stream."""
        self._stream: BinaryIO | None = None
        self._offset = 0
        self._mark = b""
        """The last bytes before the offset: if others are there, the file was truncated and written anew."""
        if position is not None:
            # At once: a file that is open is read to its end whatever becomes of its name.
            current = look(os.path.realpath(path), 0)
            if current is not None and current.identity == position.identity:
                self._switch(current)
            else:
                self._switch_to_place(position)

    def poll(self) -> Iterator[Chunk]:
        """Whole lines that have come, from at most ``SHARE`` bytes or as many as the first line has."""
        rest, found = SHARE, False
        while (rest > 0 or not found) and not self._is_idle():
            offset = self._offset
            if data := self._read(SHARE):
                assert self._file is not None
                rest -= len(data)
                # After a truncation the offset begins anew.
                begin = offset if self._offset == offset + len(data) else 0
                for chunk in self._joiner.add(self._file, begin, data):
                    found = True
                    yield chunk
            elif not self._go_on():
                break

    def flush(self) -> Iterator[Chunk]:
        """The line that has not ended, which is then forgotten."""
        return self._joiner.flush()

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _switch_to_place(self, position: Position) -> None:
        for file in generations(self._path) or ():
            if file.identity == position.identity:
                self._switch(file)
                return

    def _is_idle(self) -> bool:
        """Whether nothing can have come, by the one look that most polls need.

        The file of that name is ours and read to its end, or there was never one and there still is none.
        """
        try:
            status = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return self._file is None and self._position is None
        identity = (status.st_dev, status.st_ino)
        return self._file is not None and identity == self._file.identity and status.st_size == self._offset

    def _read(self, limit: int) -> bytes:
        """What comes next in the file, from its beginning if it is not the one any more that was read."""
        if self._stream is not None:
            data = self._stream.read(limit)
            self._offset += len(data)
            return data
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
        if self._file is None:
            return self._first(files)
        places = [place for place, file in enumerate(files) if file.identity == self._file.identity]
        if places:
            newer = files[places[-1] + 1 :]
        else:
            # Ours was deleted, compressed or moved elsewhere. Rotated files are newer if they were written to
            # later; a compressed one has the time of the last change of the file that it was made from.
            modified = self._file.modified if self._fd is None else os.fstat(self._fd).st_mtime_ns
            newer = [file for file in files if file.number == 0 or file.modified > modified]
        return next((file for file in newer if file.size), None)

    def _first(self, files: list[Generation]) -> Generation | None:
        """Where reading begins: at the position, or with the oldest file."""
        if self._position is None:
            return files[0] if files else None
        return files[-1] if files else None

    def _switch(self, file: Generation) -> bool:
        position, offset = self._position, 0
        here = position is not None and position.identity == file.identity
        if position is not None and here and position.offset <= file.size:
            offset = position.offset
        descriptor, stream = None, None
        with contextlib.suppress(FileNotFoundError):
            if file.compression == "none":
                descriptor = open_generation(file)
            elif not here:
                stream = open_plain(file)
            else:
                # The newest file is a compressed one, and was read: what comes is in the next one.
                descriptor = None
        if descriptor is None and stream is None and not here:
            return False  # rotated since it was listed: the next look will find it
        self.close()
        self._fd, self._stream, self._file, self._position = descriptor, stream, file, None
        self._offset, self._mark = offset, b""
        if descriptor is not None:
            start = max(offset - MARK, 0)
            self._mark = os.pread(descriptor, offset - start, start)
        return True
