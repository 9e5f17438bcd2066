"""Looking at what is in a pipe without taking it out; Linux only."""

from __future__ import annotations

import ctypes
import os

__all__ = ["peek"]

MOST = 65536
NONBLOCK = 2
"""SPLICE_F_NONBLOCK."""


def peek(pipe: int) -> bytes:
    """The first bytes in a pipe, which stay there; at most 64 KiB, empty at the pipe's end.

    Raises BlockingIOError when there are none now, and OSError where the system cannot do it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.tee.restype = ctypes.c_ssize_t
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        count = libc.tee(pipe, writer, ctypes.c_size_t(MOST), NONBLOCK)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return os.read(reader, MOST) if count else b""
    finally:
        os.close(reader)
        os.close(writer)
