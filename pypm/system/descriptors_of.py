"""A descriptor that another process has open, as one of our own (pidfd_getfd(2), Linux 5.6)."""

from __future__ import annotations

import ctypes
import os

__all__ = ["copy_descriptor"]

PIDFD_GETFD = 438
"""The number of the system call, the same on all architectures."""


def copy_descriptor(pid: int, number: int) -> int:
    """Give a descriptor, closed on exec, of what the process ``pid`` has open as ``number``.

    The kernel allows it to whoever might trace that process. Raises OSError.
    """
    process = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor: int = libc.syscall(PIDFD_GETFD, process, number, 0)
    finally:
        os.close(process)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return descriptor
