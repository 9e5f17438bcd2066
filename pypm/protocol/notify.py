"""The messages of sd_notify(3), as systemd defines them: one datagram to what a program says. No I/O.

What is unknown, or has a value that means nothing, is passed over: programs speak to newer service managers
too. Only a datagram that is no message at all is refused.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

__all__ = ["MAX_MESSAGE", "NotAMessageError", "Notification", "parse_notification"]

MAX_MESSAGE = 4096
"""Bytes of the longest message, as in systemd."""
MAX_SECONDS = 10 * 365 * 86400.0
"""What is longer is no time that anybody means to wait."""
LARGEST_PID = 1 << 22
"""The kernel gives no larger ones."""
_LONGEST_NUMBER = 20
"""Digits of the largest number of 64 bits."""


class NotAMessageError(Exception):
    """The datagram is empty, too long, or has a NUL in it."""


class Notification(NamedTuple):
    """What one message says; what it does not mention is False or None."""

    ready: bool = False
    """Work can be done; also: a reload is over."""
    reloading: bool = False
    stopping: bool = False
    status: str | None = None
    """For people; empty: the text that there was holds no longer."""
    error: int | None = None
    """The number (errno) of what went wrong."""
    main_pid: int | None = None
    beat: bool = False
    trigger: bool = False
    """Something is wrong, says the program itself: as if it had missed its heartbeat."""
    watchdog: float | None = None
    """Seconds within which it promises a heartbeat, from now on; 0: it promises none."""
    extend: float | None = None
    """Seconds that it still needs for what it does now."""
    progress: bool = False
    """Work was done (pypm's own word, for agents without ZeroMQ)."""
    iteration: int | None = None
    message: str = ""
    reset: bool = False
    """What was extended holds no longer (pypm's own word too)."""
    barrier: bool = False
    """Close the descriptor that came with this when all that came before has been done."""

    @property
    def text(self) -> str | None:
        """The status for people, with the words for the error where one was told."""
        if not self.error:
            return self.status
        words = os.strerror(self.error) if self.error in errno.errorcode else f"error {self.error}"
        return f"{self.status} ({words})" if self.status else words


def parse_notification(data: bytes) -> Notification:
    """What a datagram says. Raises NotAMessageError where it is no message.

    Of an assignment that comes twice the last one counts. STOPPING wins over READY, and READY over
    RELOADING: who says both has begun a reload and ended it. A barrier counts only when it is alone.
    """
    data = data.removesuffix(b"\0")
    if not data or len(data) > MAX_MESSAGE or b"\0" in data:
        raise NotAMessageError
    said = dict(line.split(b"=", 1) for line in data.split(b"\n") if b"=" in line)
    stopping = said.get(b"STOPPING") == b"1"
    ready = said.get(b"READY") == b"1" and not stopping
    return Notification(
        ready=ready,
        reloading=said.get(b"RELOADING") == b"1" and not ready and not stopping,
        stopping=stopping,
        status=_text(said.get(b"STATUS")),
        error=_number(said.get(b"ERRNO")),
        main_pid=_pid(said.get(b"MAINPID")),
        beat=said.get(b"WATCHDOG") == b"1",
        trigger=said.get(b"WATCHDOG") == b"trigger",
        watchdog=_seconds(said.get(b"WATCHDOG_USEC")),
        extend=_seconds(said.get(b"EXTEND_TIMEOUT_USEC")),
        progress=b"X_PYPM_PROGRESS" in said,
        iteration=_number(said.get(b"X_PYPM_PROGRESS")),
        message=_text(said.get(b"X_PYPM_MESSAGE")) or "",
        reset=said.get(b"X_PYPM_RESET_DEADLINE") == b"1",
        barrier=said == {b"BARRIER": b"1"},
    )


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode().strip()
    except UnicodeDecodeError:
        return None


def _number(value: bytes | None) -> int | None:
    if value is None or len(value) > _LONGEST_NUMBER or not value.isdigit():
        return None
    return int(value)


def _pid(value: bytes | None) -> int | None:
    number = _number(value)
    return number if number and number <= LARGEST_PID else None


def _seconds(value: bytes | None) -> float | None:
    """Microseconds as seconds."""
    microseconds = _number(value)
    return None if microseconds is None else min(microseconds / 1e6, MAX_SECONDS)
