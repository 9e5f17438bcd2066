"""The current file of a log: opened when it is needed, known by its inode, with its size and its index."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable

from pypm.logs.index import IndexWriter
from pypm.logs.rotation import Identity, make_folder

__all__ = ["LOOK_EVERY", "NEWLINE", "CurrentFile"]

LOOK_EVERY = 1.0
"""Seconds between two looks at whether the file is still the one that has the name; also between two tries
of a rotation that failed."""
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""Not blocking, because a person may name a FIFO that nobody reads."""
NEWLINE = b"\n"


class CurrentFile:
    """The file that has a log's name. ``clock`` gives seconds that never go back, ``wall`` those since 1970.

    What others do to it (move it, delete it, truncate it) is noticed within a second of writing, or at
    ``reopen``.
    """

    def __init__(
        self, path: str, *, clock: Callable[[], float], wall: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self._clock = clock
        self._wall = wall
        self._index = IndexWriter()
        self._note_at = 0.0
        """When the index is to be told again what comes."""
        self._cut = False
        """The file is to be rotated at the end of its present line."""
        self._fd: int | None = None
        self._real_path = path
        self._identity: Identity = (0, 0)
        self._regular = True
        self._size = 0
        self._at_line_end: bool | None = True
        """None: not known, since the kernel moved bytes that nobody looked at."""
        self._look_at = 0.0
        self._splice_fd: int | None = None
        """The same file, for the kernel to move bytes into."""
        self._begins_with_nul = False

    @property
    def identity(self) -> Identity | None:
        """The file that is open; ``None``: none is."""
        return None if self._fd is None else self._identity

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
        if self._fd is None:
            self._index.begin(os.path.realpath(self.path), 0, 0)
        self._emptied()
        return True

    def begun_at(self) -> float | None:
        """When the present content of the file began, in seconds since 1970; ``None``: there is none.

        Where no index tells, it is now. Raises ``OSError`` when the file cannot be opened.
        """
        if not self._has_content():
            return None
        self._open()
        return self._index.first / 1000 or self._wall()

    def _has_content(self) -> bool:
        if self._fd is not None:
            self._look()
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size > 0

    def reopen(self) -> None:
        """Let go of the file, because somebody has moved it; the next byte opens the one of that name."""
        self.close()

    def is_at_line_end(self) -> bool:
        """Whether the next byte begins a line; nothing is opened for writing to learn that."""
        if self._fd is not None:
            return self._ends_line()
        try:
            size = os.stat(self.path).st_size
        except OSError:
            return True
        return size == 0 or ends_line(self.path, size)

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
        if self._identity != (status.st_dev, status.st_ino):
            self._cut = False
        self._fd = descriptor
        self._real_path = path
        self._identity = (status.st_dev, status.st_ino)
        self._regular = stat.S_ISREG(status.st_mode)
        self._index.begin(path, status.st_ino, status.st_size)
        self._note_at = 0.0
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
            if status.st_size < self._size:
                self._emptied()
            self._take_size(status.st_size)

    def _take_size(self, size: int) -> None:
        self._size = size
        self._at_line_end = size == 0 or not self._regular or ends_line(self._real_path, size)

    def _emptied(self) -> None:
        """The file was truncated, by us or by others: what comes next is its beginning."""
        self._size = 0
        self._at_line_end = True
        self._begins_with_nul = False
        self._cut = False
        self._index.restart()
        self._note_at = 0.0

    def _ends_line(self) -> bool:
        if self._at_line_end is None:
            self._at_line_end = ends_line(self._real_path, self._size)
        return self._at_line_end


def ends_line(path: str, size: int) -> bool:
    """Whether the last of a file's ``size`` bytes ends a line; a file that may not be read is taken to."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(size - 1)
            return file.read(1) == NEWLINE
    except OSError:
        return True
