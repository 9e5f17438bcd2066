"""The generations of a log: ``x.log`` now, ``x.log.1`` before it, ``x.log.2.gz`` before that.

A file is told by device and inode, never by its name alone: between two looks at a name, a rotation may have
given it to another file. Symbolic links are followed first, so the generations are beside the real file.

Every change of these names happens in the master's loop, so no two of them cross; after a crash between two
of them the next look or rotation goes on from what is there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import struct
from collections.abc import Iterable
from typing import Literal

import msgspec

__all__ = [
    "Compression",
    "Generation",
    "Identity",
    "Position",
    "close_hole",
    "generations",
    "heal_indexes",
    "index_owner",
    "index_path",
    "index_paths",
    "list_generations",
    "make_folder",
    "remove_twins",
    "shift",
]

Identity = tuple[int, int]
"""Device and inode."""
Compression = Literal["none", "gzip", "zstd"]

SUFFIXES: dict[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}
COMPRESSIONS = {suffix: compression for compression, suffix in SUFFIXES.items()}
ROTATED = re.compile(r"\.([1-9][0-9]{0,4})(\.gz|\.zst|)")
"""What comes after a log's name in that of a rotated file. Longer numbers are dates, and not ours."""
INDEX = ".index"
INDEX_HEAD = struct.Struct("<8sQ")
LISTINGS = 10
"""How often a folder is listed until two listings in a row agree."""


class Generation(msgspec.Struct, frozen=True):
    """One file of a log, as it was when the folder was listed; ``modified`` in nanoseconds."""

    path: str
    number: int
    """0: the current file."""
    identity: Identity
    size: int
    """Bytes of the file as it is, compressed or not."""
    modified: int
    compression: Compression = "none"

    @property
    def base(self) -> str:
        """The path of the log whose generation this is."""
        if not self.number:
            return self.path
        return self.path.removesuffix(f".{self.number}{SUFFIXES[self.compression]}")


class Position(msgspec.Struct, frozen=True):
    """A place in a log that stays the same place when the file is rotated."""

    identity: Identity
    offset: int


def generations(path: str) -> list[Generation] | None:
    """The regular files of a log, oldest first; empty if there is none, ``None`` if they will not hold still.

    A listing can fall into the middle of a rotation and see a file twice or not at all, so two listings
    in a row have to agree on names and files. Of a file that is there both plain and compressed, because
    something has ended between the two, only the compressed one is given.
    """
    path = os.path.realpath(path)
    before: list[tuple[int, Identity]] | None = None
    for _ in range(LISTINGS):
        listed = list_generations(path)
        seen = [(file.number, file.identity) for file in listed]
        if seen == before:
            return without_twins(listed)
        before = seen
    return None


def list_generations(path: str) -> list[Generation]:
    """One look at the generations of a resolved path, oldest first, with twins."""
    ends = sorted(rotated_ends(path), key=lambda end: (-end[0], end[1]))
    names = [(f"{path}.{number}{suffix}", number, COMPRESSIONS[suffix]) for number, suffix in ends]
    looks = (look(*name) for name in [*names, (path, 0, COMPRESSIONS[""])])
    return [generation for generation in looks if generation is not None]


def look(path: str, number: int, compression: Compression = "none") -> Generation | None:
    """The file of this name, unless it is gone or no regular file."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    identity = (status.st_dev, status.st_ino)
    return Generation(path, number, identity, status.st_size, status.st_mtime_ns, compression)


def rotated_ends(path: str) -> set[tuple[int, str]]:
    """Number and suffix of the rotated files beside a resolved path."""
    prefix = os.path.basename(path)
    ends = (ROTATED.fullmatch(name, len(prefix)) for name in siblings(path))
    return {(int(end[1]), end[2]) for end in ends if end}


def siblings(path: str) -> list[str]:
    """Names in the folder of ``path`` that begin with its name and a dot."""
    folder, base = os.path.split(path)
    try:
        return [name for name in os.listdir(folder) if name.startswith(f"{base}.")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def twins(files: Iterable[Generation]) -> list[Generation]:
    """The plain files whose content is also there compressed: same number, same time of last change."""
    files = list(files)
    compressed = {(file.number, file.modified) for file in files if file.compression != "none"}
    return [
        file for file in files if file.compression == "none" and (file.number, file.modified) in compressed
    ]


def without_twins(files: list[Generation]) -> list[Generation]:
    """What is to be read of these files."""
    double = {file.path for file in twins(files)}
    return [file for file in files if file.path not in double]


def remove_twins(files: list[Generation]) -> list[Generation]:
    """Delete the plain files that are also there compressed; gives what is left.

    Raises ``OSError`` when one cannot be deleted.
    """
    left = without_twins(files)
    for file in files:
        if file not in left:
            remove(file.path)
    return left


def remove(path: str) -> None:
    """Delete a file of a log and its index, if they are there."""
    for name in (path, index_path(path)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def remove_rotated(path: str) -> None:
    """Delete all rotated files of a log. Raises ``OSError`` when one cannot be deleted."""
    for file in list_generations(os.path.realpath(path)):
        if file.number:
            remove(file.path)


def shift(path: str, retain: int) -> None:
    """Make room for a new ``path``: it becomes ``path.1``, ``path.1`` becomes ``path.2``, up to ``retain``.

    ``path`` is resolved and ``retain`` at least 1; compressed files keep their suffix, indexes go with their
    files. The oldest file beyond ``retain`` is deleted, and what an earlier and larger ``retain`` has
    left. Each step is one rename from the old end, so a crash between two of them leaves a gap
    in the numbers, which the next rotation fills, and loses nothing.

    No folder is listed: one with the logs of a thousand agents takes longer to read than this may.

    Raises ``OSError`` when a rename fails.
    """
    rotated: list[list[str]] = []
    while len(rotated) < retain and (suffixes := present(path, len(rotated) + 1)):
        rotated.append(suffixes)
    if len(rotated) == retain:
        for suffix in rotated.pop():
            remove(f"{path}.{retain}{suffix}")
    elif os.path.lexists(index_path(f"{path}.{len(rotated) + 1}")):
        heal_indexes(path)  # a crash came between the renames of a file and of its index
    for number in range(len(rotated), 0, -1):
        for suffix in rotated[number - 1]:
            rename(f"{path}.{number}{suffix}", f"{path}.{number + 1}{suffix}")
    rename(path, f"{path}.1")
    extra = retain + 1
    while suffixes := present(path, extra):
        for suffix in suffixes:
            remove(f"{path}.{extra}{suffix}")
        extra += 1


def present(path: str, number: int) -> list[str]:
    """Suffixes with which the rotated file of this number is there, after its twin has been removed.

    Raises ``OSError`` when that cannot be done.
    """
    looks = [look(f"{path}.{number}{suffix}", number, kind) for kind, suffix in SUFFIXES.items()]
    files = [file for file in looks if file is not None]
    if len(files) > 1:
        files = remove_twins(files)
    return [SUFFIXES[file.compression] for file in files]


def rename(old: str, new: str) -> None:
    """Rename a file of a log, and its index after it."""
    os.rename(old, new)
    # Without an index reading is coarser, and nothing else: it must not keep the files from being rotated.
    with contextlib.suppress(OSError):
        os.rename(index_path(old), index_path(new))


def index_path(path: str) -> str:
    """Where the index of a file of a log is."""
    return path + INDEX


def index_paths(path: str) -> list[str]:
    """The indexes beside a resolved path: its own and those of its rotated files."""
    folder = os.path.dirname(path)
    return [os.path.join(folder, name) for name in siblings(path) if name.endswith(INDEX)]


def index_owner(path: str) -> int | None:
    """Inode of the file to which the index at ``path`` belongs; ``None``: there is none, or it is broken."""
    try:
        with open(path, "rb", buffering=0) as file:
            header = file.read(INDEX_HEAD.size) or b""
    except OSError:
        return None
    if len(header) < INDEX_HEAD.size:
        return None
    owner: int = INDEX_HEAD.unpack(header)[1]
    return owner


def heal_indexes(path: str) -> None:
    """Bring the indexes of a log back to their files, from which a crash or a stranger's renames took them.

    An index whose file is gone is deleted. It raises nothing: what cannot be done now is done later.
    """
    files = {file.identity[1]: file.path for file in list_generations(path)}
    prefix = len(path)
    for index in index_paths(path):
        ours = index == index_path(path) or ROTATED.fullmatch(index[prefix:].removesuffix(INDEX))
        owner = index_owner(index)
        if not ours or (owner in files and index_path(files[owner]) == index):
            continue
        with contextlib.suppress(OSError):
            if owner in files:
                os.rename(index, f"{index}.{owner}")
            else:
                os.unlink(index)
    for name in siblings(path):
        moved = re.fullmatch(r".*\.index\.([0-9]+)", name)
        if moved and int(moved[1]) in files:
            with contextlib.suppress(OSError):
                os.rename(os.path.join(os.path.dirname(path), name), index_path(files[int(moved[1])]))


def close_hole(descriptor: int, offset: int, count: int) -> int:
    """Take away the hole that is left where a file was truncated while ``count`` bytes went to ``offset``.

    Somebody who copies and truncates (logrotate's ``copytruncate``) can come between two blocks of one
    splice, which goes on where it was. Gives where the bytes are now, as if none were missing. Raises
    ``OSError``.
    """
    if os.fstat(descriptor).st_size != offset + count:
        return offset  # others are at it again: the next look finds what they leave
    data = os.pread(descriptor, count, offset).lstrip(b"\0")
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))
    if os.pread(descriptor, 1, 0) == b"\0":  # it was truncated between these two, which has made it longer
        os.ftruncate(descriptor, 0)
        return -count
    return len(data) - count


def begins_with_hole(descriptor: int) -> bool:
    """Whether the first page of a file was never written; the position of the descriptor is lost.

    False where the file system does not tell (lseek(2)).
    """
    try:
        return os.lseek(descriptor, 0, os.SEEK_DATA) > 0
    except OSError as error:
        return error.errno == errno.ENXIO  # there is nothing else in it


def make_folder(folder: str) -> None:
    """Make a folder and its missing parents, owner-only; ``os.makedirs`` gives its mode to the last one only.

    Raises ``OSError`` when one cannot be made.
    """
    parent = os.path.dirname(folder)
    if parent != folder and not os.path.isdir(parent):
        make_folder(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)


def put_compressed(plain: Generation, partial: str, inode: int) -> Generation | None:
    """Give the file ``partial``, in which ``plain`` was compressed, its name, and delete the plain one.

    Only now, whatever its number has become meanwhile. ``None``, and nothing but ``partial`` is changed, if
    either is not the file any more that it was. Called in the master's loop, as every change of names.

    Raises ``OSError``.
    """
    found = find(plain)
    made = look(partial, plain.number)
    if found is None or made is None or made.identity[1] != inode:
        remove(partial)
        return None
    kind: Compression = "zstd" if partial.removesuffix(".partial").endswith(".zst") else "gzip"
    target = found.path + SUFFIXES[kind]
    with contextlib.suppress(OSError):
        os.rename(index_path(partial), index_path(target))
    os.rename(partial, target)
    remove(found.path)
    return look(target, found.number, kind)


def find(file: Generation) -> Generation | None:
    """A rotated file under the name that it has by now; ``None`` if it is gone or was changed.

    The number of an inode alone does not tell a file: another one soon has that of a deleted one.
    """
    now = look(file.path, file.number, file.compression)
    if now is not None and is_same(now, file):
        return now
    return next((each for each in list_generations(file.base) if each.number and is_same(each, file)), None)


def is_same(one: Generation, other: Generation) -> bool:
    """Whether two looks have seen the same file with the same content."""
    return (one.identity, one.size, one.modified) == (other.identity, other.size, other.modified)
