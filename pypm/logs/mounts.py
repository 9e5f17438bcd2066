"""Which files are on file systems of the kernel itself, and which wait for a server or another program."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence

__all__ = ["LOCAL", "Mounts", "parse_mounts"]

LOCAL = frozenset(
    (
        *(
            "ext2",
            "ext3",
            "ext4",
            "xfs",
            "btrfs",
            "bcachefs",
            "zfs",
            "f2fs",
            "jfs",
            "reiserfs",
            "nilfs2",
            "ubifs",
        ),
        *(
            "tmpfs",
            "ramfs",
            "rootfs",
            "devtmpfs",
            "proc",
            "sysfs",
            "overlay",
            "ecryptfs",
            "squashfs",
            "erofs",
        ),
        *("vfat", "exfat", "msdos", "ntfs3", "hfsplus", "iso9660", "udf"),
    )
)
"""All others (FUSE, NFS, CIFS, 9p, unknown ones) may let us wait."""
FRESH = 1.0
"""Seconds for which the list of mounts is good."""
ESCAPE = re.compile(r"\\([0-7]{3})")
MOST_LINKS = 40


def parse_mounts(text: str) -> dict[str, str]:
    """The type of the topmost file system at each mount point, from the text of /proc/self/mountinfo."""
    mounts = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, types = before.split(" "), after.split(" ")
        if len(fields) > 4 and types[0]:
            mounts[ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4])] = types[0]
    return mounts


def read_mounts() -> str:
    """What the kernel says of our mounts; nothing where there is no /proc."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


class Mounts:
    """The mounts of this process; these, and links to folders, are looked up anew after a second."""

    def __init__(
        self, read: Callable[[], str] = read_mounts, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._mounts: dict[str, str] = {}
        self._folders: dict[str, tuple[str, bool]] = {}
        """What folders have been resolved to with these mounts: the logs of a home are in one."""
        self._read_at = float("-inf")

    def resolve(self, path: str) -> tuple[str, bool]:
        """``os.path.realpath`` of an absolute path, and whether it is local.

        Of a path that is not local only the part up to there is resolved: nobody is asked who might let us
        wait.
        """
        self._refresh()
        folder, name = os.path.split(path)
        if name in ("", ".", ".."):
            return self._resolve("/", path.split("/"))
        found = self._folders.get(folder)
        if found is None:
            found = self._folders[folder] = self._resolve("/", folder.split("/"))
        real, is_local = found
        if not is_local:
            return os.path.normpath(os.path.join(real, name)), False
        return self._resolve(real, [name])

    def _resolve(self, current: str, parts: Sequence[str]) -> tuple[str, bool]:
        """The same for the ``parts`` of a path that begins at the folder ``current``."""
        left = [*reversed(parts)]
        links = 0
        while left:
            part = left.pop()
            if part in ("", "."):
                continue
            if part == "..":
                current = os.path.dirname(current)
                continue
            following = os.path.join(current, part)
            if not self._is_local(following):
                return os.path.normpath(os.path.join(following, *reversed(left))), False
            try:
                target = os.readlink(following) if links < MOST_LINKS else ""
            except OSError:  # no link, or not there
                target = ""
            if not target:
                current = following
                continue
            links += 1
            current = "/" if target.startswith("/") else current
            left += target.split("/")[::-1]
        return current, True

    def _is_local(self, place: str) -> bool:
        """Whether what is mounted here, if something is, is local."""
        return self._mounts.get(place, "tmpfs") in LOCAL

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._read_at >= FRESH:
            self._mounts, self._read_at = parse_mounts(self._read()), now
            self._folders.clear()
