"""How many open files a process may have: pypm needs more than a shell gives, and agents get the shell's."""

from __future__ import annotations

import os
import resource

__all__ = ["limit_open_files", "open_files_of_shell", "raise_open_files_limit"]

_OF_SHELL = "PYPM_OPEN_FILES"
"""Environment variable with the soft limit that the first guardian was started with."""


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
