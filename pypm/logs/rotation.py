"""The generations of a log: ``x.log`` now, ``x.log.1`` before it, ``x.log.2`` before that.

A file is told by device and inode, never by its name alone: between two looks at a name, a rotation may have
given it to another file. Symbolic links are followed first, so the generations are beside the real file.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat

import msgspec

__all__ = ["Generation", "Identity", "Position", "generations", "make_folder", "shift"]

Identity = tuple[int, int]
"""Device and inode."""

NUMBER = re.compile(r"[1-9][0-9]{0,4}")
"""A rotation number. Longer ones are dates, and not ours."""
LISTINGS = 10
"""How often a folder is listed until two listings in a row agree."""


class Generation(msgspec.Struct, frozen=True):
    """One file of a log, as it was when the folder was listed; ``modified`` in nanoseconds."""

    path: str
    number: int
    """0: the current file."""
    identity: Identity
    size: int
    modified: int


class Position(msgspec.Struct, frozen=True):
    """A place in a log that stays the same place when the file is rotated."""

    identity: Identity
    offset: int


def generations(path: str) -> list[Generation] | None:
    """The regular files of a log, oldest first; empty if there is none, ``None`` if they will not hold still.

    A listing can fall into the middle of a rotation and see a file twice or not at all, so two listings
    in a row have to agree on names and files.
    """
    path = os.path.realpath(path)
    before: list[tuple[int, Identity]] | None = None
    for _ in range(LISTINGS):
        listed = list_generations(path)
        seen = [(file.number, file.identity) for file in listed]
        if seen == before:
            return listed
        before = seen
    return None


def list_generations(path: str) -> list[Generation]:
    """One look at the generations of a resolved path, oldest first."""
    names = [(f"{path}.{number}", number) for number in sorted(rotation_numbers(path), reverse=True)]
    looks = (look(name, number) for name, number in [*names, (path, 0)])
    return [generation for generation in looks if generation is not None]


def look(path: str, number: int) -> Generation | None:
    """The file of this name, unless it is gone or no regular file."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Generation(path, number, (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


def rotation_numbers(path: str) -> set[int]:
    """The numbers of the rotated files beside a resolved path."""
    folder, base = os.path.split(path)
    prefix = f"{base}."
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    ends = (name[len(prefix) :] for name in names if name.startswith(prefix))
    return {int(end) for end in ends if NUMBER.fullmatch(end)}


def shift(path: str, retain: int) -> None:
    """Make room for a new ``path``: it becomes ``path.1``, ``path.1`` becomes ``path.2``, up to ``retain``.

    ``path`` is resolved and ``retain`` at least 1. The oldest file beyond ``retain`` is replaced, and what an
    earlier and larger ``retain`` has left is deleted. Each step is one rename from the old end, so a crash
    between two of them leaves a gap in the numbers, which the next rotation fills, and loses nothing.

    Raises ``OSError`` when a rename fails.
    """
    numbers = rotation_numbers(path)
    free = next((number for number in range(1, retain) if number not in numbers), retain)
    for number in range(free - 1, 0, -1):
        os.rename(f"{path}.{number}", f"{path}.{number + 1}")
    os.rename(path, f"{path}.1")
    for number in numbers:
        if number > retain:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{path}.{number}")


def make_folder(folder: str) -> None:
    """Make a folder and its missing parents, owner-only; ``os.makedirs`` gives its mode to the last one only.

    Raises ``OSError`` when one cannot be made.
    """
    parent = os.path.dirname(folder)
    if parent != folder and not os.path.isdir(parent):
        make_folder(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
