"""Whether the kernel has killed for want of memory: what it counts, and what its log says of a process."""

from __future__ import annotations

import os
import re
import time

from pypm.system.cgroup import own_place

__all__ = ["KillCounter", "is_in_kernel_log"]

RECENT = 60.0
"""Seconds; what the kernel's log said earlier of a pid was about another process."""
MOST_READ = 8 * 1024 * 1024
KILLED = re.compile(rb"[0-9]+,[0-9]+,([0-9]+),[^;]*;.*[Oo]ut of memory: Kill(?:ed)? process ([0-9]+)\b")


class KillCounter:
    """How many processes the kernel has killed so: in our control group where that is told, else at all."""

    def __init__(self, files: tuple[str, ...] | None = None) -> None:
        self._files = (*_group_files(), "/proc/vmstat") if files is None else files

    def read(self) -> int | None:
        """The number; None where the kernel does not tell it."""
        for path in self._files:
            try:
                with open(path, "rb") as file:
                    text = file.read()
            except OSError:
                continue
            if found := re.search(rb"^oom_kill ([0-9]+)$", text, re.MULTILINE):
                return int(found[1])
        return None


def _group_files() -> tuple[str, ...]:
    """``memory.events`` of our own group and those above it; only one with that controller has the file."""
    folder = own_place().folder
    files = []
    while folder.startswith("/sys/"):
        files.append(f"{folder}/memory.events")
        folder = os.path.dirname(folder)
    return tuple(files)


def is_in_kernel_log(pid: int, path: str = "/dev/kmsg") -> bool:
    """Whether the kernel's log says that it has just killed this process; False, too, where none may read it.

    In a container the log has other pids than we see.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return any(_names(record, pid) for record in _records(descriptor))
    finally:
        os.close(descriptor)


def _records(descriptor: int) -> list[bytes]:
    """Those that the log holds now; each read of the kernel's log gives one of them."""
    records: list[bytes] = []
    size = 0
    while size < MOST_READ:
        try:
            data = os.read(descriptor, 16384)
        except BlockingIOError:
            break
        except BrokenPipeError:  # it was overwritten while we looked
            continue
        except OSError:
            break
        if not data:
            break
        size += len(data)
        records += data.split(b"\n")
    return records


def _names(record: bytes, pid: int) -> bool:
    match = KILLED.match(record)
    if match is None or int(match[2]) != pid:
        return False
    return time.clock_gettime(time.CLOCK_MONOTONIC) - int(match[1]) / 1e6 < RECENT
