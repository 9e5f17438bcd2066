"""Orphans come to us: a subreaper is the new parent of what its descendants leave behind."""

from __future__ import annotations

import ctypes
import os

__all__ = ["become_subreaper", "is_subreaper"]

PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37


def become_subreaper() -> None:
    """Make this process the reaper of orphaned descendants (prctl(2), PR_SET_CHILD_SUBREAPER).

    Raises OSError where the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def is_subreaper() -> bool:
    """Whether this process is one; False where the kernel does not tell."""
    flag = ctypes.c_int(0)
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(flag), 0, 0, 0) == 0 and flag.value != 0
