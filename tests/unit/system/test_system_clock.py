"""The clocks are the kernel's."""

from __future__ import annotations

import time

from pypm.system.clock import boot_id, boot_time, wall_time


def test_the_boot_clock_is_the_kernels_uptime() -> None:
    with open("/proc/uptime") as file:
        uptime = float(file.read().split()[0])
    assert abs(boot_time() - uptime) < 60.0
    before = boot_time()
    assert boot_time() >= before


def test_the_wall_clock_is_the_unix_time() -> None:
    assert abs(wall_time() - time.time()) < 60.0


def test_a_boot_has_one_name() -> None:
    assert len(boot_id()) == 36
    assert boot_id() == boot_id()
