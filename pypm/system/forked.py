"""Processes that a master has forked and that have not executed their program yet.

Nothing tells what such a process will be: it has the memory of the one that forked it, and no environment of
its own. It has only been asked for, so it may be ended without a loss.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Collection

from pypm.system.process import command_line, is_same, send, start_ticks
from pypm.system.sweep import child_pids

__all__ = ["end_forked", "forked_pids", "title_of"]

PAUSE = 0.002


def forked_pids(parent: int, title: bytes) -> dict[int, int]:
    """The children of a process that have the memory of a process of this title: start ticks by pid.

    The title is one that was set, which leaves nothing of the environment to be read.
    """
    found = {pid: start_ticks(pid) for pid in child_pids(parent) or () if _has_memory_of(pid, title)}
    return {pid: ticks for pid, ticks in found.items() if ticks is not None}


def end_forked(parent: int, title: bytes, others: Collection[int], patience: float) -> list[int]:
    """Wait until ``forked_pids`` gives nobody but ``others``: they execute their programs, or end.

    Those that have done neither after ``patience`` seconds are killed; gives their pids.
    """
    deadline = time.monotonic() + patience
    while True:
        found = forked_pids(parent, title)
        left = {pid: ticks for pid, ticks in found.items() if pid not in others}
        if not left or time.monotonic() > deadline:
            break
        time.sleep(PAUSE)
    for pid, ticks in left.items():
        if _has_memory_of(pid, title) and is_same(pid, ticks):
            send(pid, signal.SIGKILL)
    return sorted(left)


def _has_memory_of(pid: int, title: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            if file.read(1) != b"\0":
                return False
    except OSError:
        return False  # gone meanwhile, or somebody else's
    return title_of(pid) == title


def title_of(pid: int) -> bytes:
    """The command line of a process, or the title that it has set; empty if it is gone."""
    return command_line(pid).rstrip(b"\0")
