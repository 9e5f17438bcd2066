"""One process: who it is beyond its pid, whether it lives, and signals to it and to its group."""

from __future__ import annotations

import os
import signal

__all__ = [
    "TICKS_PER_SECOND",
    "command_line",
    "group_exists",
    "identify",
    "is_same",
    "parent",
    "read_stat",
    "send",
    "send_group",
    "signal_number",
    "start_ticks",
]

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
"""The unit of times in /proc."""


def read_stat(pid: int) -> bytes | None:
    """What /proc/PID/stat has; None if there is no such process.

    Raises OSError where no descriptor is left to read it with: a process must not seem to be gone by that.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    try:
        data = os.read(descriptor, 4096)
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
    return data


def command_line(pid: int) -> bytes:
    """The words of a process, each with a NUL after it, or the title that it has set (proc(5)).

    4 KiB of it at most; empty if it is gone, or somebody else's.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(4096)
    except OSError:
        return b""


def _stat_fields(pid: int) -> list[bytes] | None:
    """Its fields from the third (state) on."""
    data = read_stat(pid)
    # The second field is the name in parentheses, which may itself contain spaces and parentheses.
    return None if data is None else data[data.rindex(b")") + 2 :].split()


def start_ticks(pid: int) -> int | None:
    """When the process was started, in clock ticks after boot (proc(5), field 22); None if it is no more."""
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[19])


def parent(pid: int) -> int | None:
    """The pid of a process's parent; None if the process is no more."""
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[1])


def identify(pid: int) -> tuple[int, int, int] | None:
    """Process group, session and start ticks of a living process; None for a zombie or none at all."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in (b"Z", b"X"):
        return None
    return int(fields[2]), int(fields[3]), int(fields[19])


def is_same(pid: int, ticks: int) -> bool:
    """Whether the process with this pid and start time lives (a zombie does not)."""
    fields = _stat_fields(pid)
    return fields is not None and int(fields[19]) == ticks and fields[0] not in (b"Z", b"X")


def send(pid: int, number: int) -> bool:
    """Send a signal to one process; False if it is no more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def send_group(pgid: int, number: int) -> bool:
    """Send a signal to a process group; False if it is empty."""
    try:
        os.killpg(pgid, number)
    except ProcessLookupError:
        return False
    return True


def group_exists(pgid: int) -> bool:
    """Whether any process, or zombie, of the group is left."""
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def signal_number(name: str) -> int:
    """The number of a signal by its canonical name, such as ``SIGTERM``."""
    return int(signal.Signals[name])
