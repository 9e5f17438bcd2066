"""What processes use beyond what is sampled: their share of memory, descriptors, bytes read and written.

To find that out costs more than a look at /proc/PID/stat, so it is done where it decides, or somebody asks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["WholeUsage", "measure_whole", "proportional_memory"]

KIB = 1024


class WholeUsage(NamedTuple):
    """What the processes of a tree use together; None: the kernel does not let us look.

    ``proportional`` is memory in which a page that several processes share counts in parts (PSS), in bytes.
    Bytes read and written are those of storage, as far as they went through pages or to a disk.
    """

    proportional: int | None
    descriptors: int | None
    read_bytes: int | None
    written_bytes: int | None


def measure_whole(pids: Iterable[int]) -> WholeUsage:
    """Measure these processes; those that are gone count as nothing."""
    pids = list(pids)
    proportional = proportional_memory(pids)
    descriptors = _sum(_count_descriptors(pid) for pid in pids)
    io = [_numbers(f"/proc/{pid}/io") for pid in pids]
    read = _sum(None if each is None else each.get(b"read_bytes", 0) for each in io)
    written = _sum(None if each is None else each.get(b"write_bytes", 0) for each in io)
    return WholeUsage(proportional, descriptors, read, written)


def proportional_memory(pids: Iterable[int]) -> int | None:
    """The proportional memory of processes together, in bytes; None where the kernel does not tell it.

    The kernel goes through all their pages: some milliseconds for each 100 MB.
    """
    figures = (_numbers(f"/proc/{pid}/smaps_rollup") for pid in pids)
    total = _sum(None if each is None else each.get(b"Pss", 0) for each in figures)
    return None if total is None else total * KIB


def _sum(parts: Iterable[int | None]) -> int | None:
    """Their sum, unless one is not known."""
    total = 0
    for part in parts:
        if part is None:
            return None
        total += part
    return total


def _count_descriptors(pid: int) -> int | None:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:
        return 0
    except OSError:
        return None


def _numbers(path: str) -> dict[bytes, int] | None:
    """The lines ``name: number`` of a file of /proc; empty: the process is gone, None: it may not be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return {}
    except OSError:
        return None
    try:
        data = os.read(descriptor, 4096)
    except ProcessLookupError:
        return {}
    except OSError:
        return None
    finally:
        os.close(descriptor)
    pairs = (line.partition(b":") for line in data.splitlines())
    return {
        name: int(words[0]) for name, _, value in pairs if (words := value.split()) and words[0].isdigit()
    }
