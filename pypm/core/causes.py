"""The kinds of reasons for which runs end."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["CAUSES", "Cause"]

Cause = Literal[
    "exit",
    "signal",
    "oom",
    "memory",
    "tasks",
    "cpu",
    "max-runtime",
    "not-ready",
    "watchdog",
    "stalled",
    "probe",
    "schedule",
    "operator",
    "config",
    "watch",
    "dependency",
    "spawn",
    "reboot",
    "unknown",
]
"""``exit``, ``signal`` and ``oom``: by itself or by the kernel; ``unknown``: nobody saw its end."""

CAUSES: tuple[Cause, ...] = get_args(Cause)
