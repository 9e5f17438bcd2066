"""The environment with which a process was started, as the kernel shows it."""

from __future__ import annotations

import os

__all__ = ["environment_of"]


def environment_of(pid: int) -> dict[str, str]:
    """The variables of a process; empty if it is gone, or has written over them to set its title."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in entries if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
