"""Making room on a full disk: the oldest rotated logs of an app go before its output is dropped."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from pypm.logs.rotation import Generation, find, generations, remove

__all__ = ["make_room"]


def make_room(path: str, logs: Iterable[str], needed: int) -> list[Generation]:
    """Delete rotated files of ``logs``, oldest first, until ``needed`` bytes are free; give what was deleted.

    Only files in the folder of the log ``path`` go: others may be on another disk, where they help nobody,
    or on one that does not answer. What cannot be deleted is left.
    """
    folder = os.path.dirname(os.path.realpath(path))
    rotated = [
        file
        for log in dict.fromkeys(logs)
        if os.path.dirname(log) in (folder, os.path.dirname(path))
        for file in generations(log) or []
        if file.number
    ]
    deleted = []
    freed = 0
    for file in sorted(rotated, key=lambda each: (each.modified, -each.number)):
        if freed >= needed:
            break
        with contextlib.suppress(OSError):
            # On file systems with threads of their own, another log may just have been rotated.
            if (now := find(file)) is not None:
                remove(now.path)
                deleted.append(now)
                freed += now.size
    return deleted
