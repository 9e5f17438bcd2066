"""The ends of children, as the kernel tells them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Death", "peek", "reap_orphans"]


class Death(NamedTuple):
    """How a process ended: exit code or signal number."""

    pid: int
    code: int | None
    signal: int | None
    core_dumped: bool

    @classmethod
    def from_status(cls, pid: int, status: int) -> Death:
        """Read a wait status, as waitpid(2) gives it."""
        if os.WIFSIGNALED(status):
            return cls(pid, None, os.WTERMSIG(status), os.WCOREDUMP(status))
        return cls(pid, os.WEXITSTATUS(status), None, False)


def peek(pid: int) -> Death | None:
    """How a child of ours has ended, leaving it to be reaped; None if it lives.

    Raises ChildProcessError if it is no child of ours.
    """
    result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return Death(pid, result.si_status, None, False)
    return Death(pid, None, result.si_status, result.si_code == os.CLD_DUMPED)


def reap_orphans(is_known: Callable[[int], bool]) -> None:
    """Reap the children that have ended and that somebody else has left to us.

    A known one is somebody's to reap later; it may hide others, so call this again after that.
    """
    while True:
        try:
            result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if result is None or is_known(result.si_pid):
            return
        os.waitpid(result.si_pid, 0)
