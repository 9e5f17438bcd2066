"""Processes as the kernel sees them: descendants, CPU time, memory, and when the last of many is gone."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "DeathWatch",
    "Memory",
    "context_switches",
    "cpu_seconds",
    "descendants",
    "executable_of",
    "kill_all",
    "memory_of",
    "parse_rollup",
    "parse_stat",
    "peak_resident",
    "processes_in",
    "processes_with_argument",
    "reaped_cpu_seconds",
]

CPUCLOCK_SCHED = 2
CLOCK_TICK = os.sysconf("SC_CLK_TCK")
KIB = 1024


def parse_stat(text: str) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may itself hold spaces and brackets."""
    return text[text.rindex(")") + 2 :].split()


def _read(pid: int, name: str) -> str:
    """The text of /proc/PID/NAME; empty when the process is gone or not ours to look at."""
    try:
        with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def executable_of(pid: int) -> str:
    """The path of the program that a process runs, or an empty string when it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def descendants(roots: Iterable[int]) -> list[int]:
    """The living processes among ``roots`` and all that came from them, each once, parents before children.

    A root may have come from another root, as a master has from its guardian.
    """
    children: dict[int, list[int]] = {}
    for pid in _all_pids():
        text = _read(pid, "stat")
        if text:
            children.setdefault(int(parse_stat(text)[1]), []).append(pid)
    found: dict[int, None] = {}
    queue = [pid for pid in roots if _read(pid, "stat")]
    while queue:
        pid = queue.pop(0)
        if pid not in found:
            found[pid] = None
            queue += children.get(pid, [])
    return list(found)


def processes_in(folder: str) -> list[int]:
    """The living processes, other than this one, that have to do with a folder.

    They name it in their arguments or environment, work in it, or hold a file in it open: a process that
    sets its title overwrites the first two.
    """
    return [pid for pid in _all_pids() if pid != os.getpid() and _has_to_do_with(pid, folder)]


def processes_with_argument(word: str) -> list[int]:
    """The living processes that have exactly this word among their arguments."""
    return [pid for pid in _all_pids() if word in _read(pid, "cmdline").split("\0")]


def _has_to_do_with(pid: int, folder: str) -> bool:
    return folder in _read(pid, "cmdline") or folder in _read(pid, "environ") or folder in _links(pid)


def _links(pid: int) -> str:
    """The working folder and the open files of a process, a line each."""
    try:
        descriptors = [f"fd/{number}" for number in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return ""
    lines = []
    for name in ("cwd", *descriptors):
        with contextlib.suppress(OSError):
            lines.append(os.readlink(f"/proc/{pid}/{name}"))
    return "\n".join(lines)


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that these processes have used in all their threads, ended ones too; to the nanosecond."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    return total


def reaped_cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of children that these processes have waited for; to the clock tick (10 ms)."""
    total = 0
    for pid in pids:
        text = _read(pid, "stat")
        if text:
            fields = parse_stat(text)
            total += int(fields[13]) + int(fields[14])
    return total / CLOCK_TICK


@dataclass(frozen=True)
class Memory:
    """Memory in bytes of several processes together.

    ``own`` is the sum of their private pages and, counted once, the largest amount that one of them has of
    pages that others map too. For a single process this is its RSS; unlike PSS it does not depend on what
    other programs happen to run.
    """

    own: int
    proportional: int
    resident: int


def parse_rollup(text: str) -> dict[str, int]:
    """The byte counts of /proc/PID/smaps_rollup, by name."""
    counts = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            counts[words[0].rstrip(":")] = int(words[1]) * KIB
    return counts


def memory_of(pids: Iterable[int]) -> Memory:
    """The memory of these processes now; those that are gone count as nothing."""
    private = shared = proportional = resident = 0
    for pid in pids:
        counts = parse_rollup(_read(pid, "smaps_rollup"))
        if not counts:
            continue
        own = counts["Private_Clean"] + counts["Private_Dirty"]
        private += own
        shared = max(shared, counts["Rss"] - own)
        proportional += counts["Pss"]
        resident += counts["Rss"]
    return Memory(private + shared, proportional, resident)


def _status_values(text: str, name: str) -> int:
    """The sum of the numbers in the lines of /proc/PID/status that begin with ``name``."""
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:"))


def context_switches(pids: Iterable[int]) -> int:
    """How often the threads of these processes have been put on a CPU because they had something to do."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                total += _status_values(_read(pid, f"task/{thread}/status"), "voluntary_ctxt_switches")
    return total


def peak_resident(pids: Iterable[int]) -> int:
    """The sum of the largest resident memory that each of these processes has had so far, in bytes."""
    return sum(_status_values(_read(pid, "status"), "VmHWM") for pid in pids) * KIB


def kill_all(pids: Iterable[int]) -> None:
    """SIGKILL to each of these processes; those that are gone already are no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class DeathWatch:
    """Tells when the last of many processes, children or not, has ended."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._poll = select.epoll()
        self._open: set[int] = set()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                self._open.add(descriptor)
                self._poll.register(descriptor, select.EPOLLIN)

    def wait(self, timeout: float) -> int | None:
        """Nanoseconds of the monotonic clock at the last death, or ``None`` if some outlive ``timeout``."""
        deadline = time.monotonic() + timeout
        last = time.monotonic_ns()
        while self._open:
            for descriptor, _ in self._poll.poll(max(0.0, deadline - time.monotonic())):
                last = time.monotonic_ns()
                self._poll.unregister(descriptor)
                self._open.discard(descriptor)
                os.close(descriptor)
            if self._open and time.monotonic() > deadline:
                return None
        return last

    def close(self) -> None:
        """Gives the descriptors back."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()
        self._poll.close()

    def __enter__(self) -> DeathWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
