"""What pypm itself needs other than a shell gives, and agents do not get with it.

That is more open files, and to be one of the last that the kernel kills for want of memory.
"""

from __future__ import annotations

import os
import resource

__all__ = [
    "OWN_OOM_SCORE",
    "limit_open_files",
    "oom_score_of_shell",
    "open_files_of_shell",
    "protect_from_oom",
    "raise_open_files_limit",
]

OWN_OOM_SCORE = "/proc/self/oom_score_adj"
PROTECTED = -900
"""The adjustment of a journal or a bus: all agents go first."""

_OF_SHELL = "PYPM_OPEN_FILES"
"""Environment variable with the soft limit that the first guardian was started with."""
_OOM_SCORE_OF_SHELL = "PYPM_OOM_SCORE_ADJ"
"""Environment variable with the adjustment that the first guardian was started with, if it has another."""


def raise_open_files_limit() -> None:
    """Let this process and its children have as many open files as the machine allows: the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.environ.setdefault(_OF_SHELL, str(soft))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_files_of_shell() -> int | None:
    """The soft limit of open files before it was raised; None if it was not."""
    try:
        return int(os.environ[_OF_SHELL])
    except (KeyError, ValueError):
        return None


def limit_open_files(pid: int, soft: int) -> None:
    """Give a process of ours a soft limit of open files; one that the kernel refuses leaves it as it is.

    A program that uses select(2) breaks beyond 1,024, and one that closes all that it may have open takes its
    time: that is why shells begin with so few.
    """
    try:
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    except (OSError, ValueError):
        return  # it has ended already, runs as another user, or the hard limit is lower by now


def protect_from_oom() -> None:
    """Let the kernel kill nearly every other process before this one and its children, where we may."""
    try:
        with open(OWN_OOM_SCORE, "r+b", buffering=0) as file:
            before = int(file.read())
            if before > PROTECTED:
                file.write(b"%d" % PROTECTED)
                os.environ.setdefault(_OOM_SCORE_OF_SHELL, str(before))
    except OSError:
        return  # only root may, and not in every container


def oom_score_of_shell() -> int | None:
    """The adjustment before we were protected; None if we were not."""
    try:
        return int(os.environ[_OOM_SCORE_OF_SHELL])
    except (KeyError, ValueError):
        return None
