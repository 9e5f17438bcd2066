"""The ends of children, as the kernel tells them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Death", "reap"]


class Death(NamedTuple):
    """How a child ended: exit code or signal number."""

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


def reap() -> Iterator[Death]:
    """Reap every child that has ended, our own and the orphans that came to us, one at a time."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield Death.from_status(pid, status)
