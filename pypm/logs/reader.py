"""Reading the end of a log: exact in lines, however long they are, across rotated files."""

from __future__ import annotations

import msgspec

from pypm.logs.lines import read_lines
from pypm.logs.listing import files_of
from pypm.logs.rotation import Position
from pypm.logs.spans import last_lines, whole

__all__ = ["Tail", "read_tail", "tail"]


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
    files = files_of(path)
    position = Position(files[-1].identity, files[-1].size) if files else None
    chunks = read_lines(last_lines(whole(files), lines))
    return Tail([line for chunk in chunks for line in chunk.lines], position)
