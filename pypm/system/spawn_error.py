"""The error of a process that could not be started, wherever that turns out."""

from __future__ import annotations

__all__ = ["SpawnError"]


class SpawnError(Exception):
    """The process could not be started; the message says why."""
