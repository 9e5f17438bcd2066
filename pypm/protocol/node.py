"""Node's channel between parent and child, in its JSON form: one JSON text a line. No I/O.

All that pypm understands of it is one message, ``process.send("ready")``; so nothing has to be parsed, and no
program can make us keep more than the beginning of a line.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SHUTDOWN", "Heard", "NodeLines"]

SHUTDOWN = b'"shutdown"\n'
"""What makes ``process.on("message", …)`` of the child be called with ``"shutdown"``."""
_READY = b'"ready"'


class Heard(NamedTuple):
    """What some bytes have said: readiness, and how many other messages."""

    ready: bool
    others: int


class NodeLines:
    """Takes what comes over the channel, in whatever pieces."""

    def __init__(self) -> None:
        self._begun = b""
        """The beginning of a line, as far as it matters."""

    def feed(self, data: bytes) -> Heard:
        """What these bytes have completed."""
        *whole, rest = data.split(b"\n")
        if not whole:
            self._begun = (self._begun + rest)[: len(_READY) + 1]
            return Heard(False, 0)
        whole[0] = self._begun + whole[0]
        self._begun = rest[: len(_READY) + 1]
        count = whole.count(_READY)
        return Heard(count > 0, len(whole) - count)
