"""The clocks. Durations are measured on the boot clock, which never jumps and goes on in suspend."""

from __future__ import annotations

import time

__all__ = ["boot_id", "boot_time", "wall_time"]


def boot_time() -> float:
    """Seconds since the machine was booted (CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_time() -> float:
    """The Unix time in seconds, for people; never for durations."""
    return time.time()


def boot_id() -> str:
    """The kernel's random name of this boot: a boot time or a pid means something only together with it."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
