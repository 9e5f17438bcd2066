"""Reading the end of a log: exact in lines, however long they are, across rotated files."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Iterator

import msgspec

from pypm.logs.rotation import Generation, Position, generations

__all__ = ["Tail", "open_generation", "read_tail", "split_lines", "tail"]

BLOCK = 65536
TRIES = 20
"""How often reading begins anew because a rotation came between listing and opening the files."""


class Tail(msgspec.Struct, frozen=True):
    """The last lines of a log, and where they end: the place from which to follow it without a gap."""

    lines: list[bytes]
    """Oldest first, each with its newline; only the last one may be without."""
    position: Position | None
    """``None``: there is no file."""


def tail(path: str, lines: int) -> list[bytes]:
    """The last ``lines`` lines of a log and its rotated files, oldest first, each with its newline.

    Bytes after the last newline count as a line. Empty if there is no file.

    Raises ``OSError`` as ``read_tail``.
    """
    return read_tail(path, lines).lines


def read_tail(path: str, lines: int) -> Tail:
    """Like ``tail``, with the place where the lines end; ``lines`` may be 0 to learn only that.

    Raises ``OSError`` when a file may not be read, or when the log is rotated faster than it can be listed.
    """
    for _ in range(TRIES):
        with contextlib.suppress(FileNotFoundError):
            files = generations(path)
            if files is not None:
                return read_generations(files, lines)
    raise OSError(errno.EAGAIN, "rotated faster than it can be read", path)


def read_generations(files: list[Generation], lines: int) -> Tail:
    """The last ``lines`` lines of these files, which are listed oldest first.

    Raises ``FileNotFoundError`` when a file's name is another file's by now.
    """
    position: Position | None = None
    blocks: deque[bytes] = deque()
    missing = lines
    for generation in reversed(files):
        descriptor = open_generation(generation)
        try:
            size = os.fstat(descriptor).st_size
            position = position or Position(generation.identity, size)
            for block in blocks_from_end(descriptor, size if missing > 0 else 0):
                if not blocks and block.endswith(b"\n"):
                    missing += 1  # this newline ends the last line, it does not begin it
                blocks.appendleft(block)
                missing -= block.count(b"\n")
                if missing <= 0:
                    break
        finally:
            os.close(descriptor)
        if missing <= 0:
            break
    return Tail(split_lines(b"".join(blocks))[-lines:] if lines else [], position)


def blocks_from_end(descriptor: int, size: int) -> Iterator[bytes]:
    """The first ``size`` bytes of a file in blocks, the last one first."""
    end = size
    while end > 0:
        start = max(end - BLOCK, 0)
        yield os.pread(descriptor, end - start, start)
        end = start


def split_lines(data: bytes) -> list[bytes]:
    """The lines of ``data`` with their newlines; unlike ``splitlines``, a carriage return is no line end."""
    *whole, rest = data.split(b"\n")
    lines = [line + b"\n" for line in whole]
    if rest:
        lines.append(rest)
    return lines


def open_generation(generation: Generation) -> int:
    """A descriptor for reading one file of a log.

    Raises ``FileNotFoundError`` when its name is another file's by now, and other ``OSError`` as they come.
    """
    descriptor = os.open(generation.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) != generation.identity:
        os.close(descriptor)
        raise FileNotFoundError(generation.path)
    return descriptor
