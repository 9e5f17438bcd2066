"""What a program has said about itself: kept for heartbeats, which repeat it, and for probes."""

from __future__ import annotations

from typing import Any

__all__ = ["STATUS_LENGTH", "Facts", "short_text"]

STATUS_LENGTH = 200
"""Characters of a text that are sent."""


class Facts:
    """The facts of one process. Times are those of the monotonic clock, in seconds."""

    def __init__(self) -> None:
        self.ready_at: float | None = None
        self.stopping = False
        self.status: str | None = None
        self.last_beat: float | None = None
        self.last_progress: float | None = None
        self.has_proved_more = False
        """A heartbeat came from the work itself: those that only prove the process say nothing any more."""

    def repeated(self) -> dict[str, Any]:
        """What a heartbeat repeats, for a master that was not there or has been replaced."""
        facts: dict[str, Any] = {}
        if self.ready_at is not None:
            facts["ready"] = True
        if self.status is not None:
            facts["status"] = self.status
        return facts


def short_text(text: object, length: int = STATUS_LENGTH) -> str:
    """Any object as a text that can be sent: cut, and without lone surrogates, which are no UTF-8."""
    return str(text)[:length].encode("utf-8", "replace").decode()
