"""Killed for want of memory, or not: what the kernel counts, and what its log says."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from fakes import FakeLoop

from pypm.master.oom import OomWatch
from pypm.system.oom import KillCounter, is_in_kernel_log
from pypm.testing import FakeClock


def log_line(pid: int, ago: float = 1.0, words: str = "Out of memory: Killed process") -> str:
    microseconds = int((time.clock_gettime(time.CLOCK_MONOTONIC) - ago) * 1e6)
    return f"3,812,{microseconds},-;{words} {pid} (python3) total-vm:1kB, anon-rss:1kB\n"


class Kernel:
    """The files in which a kernel tells of its kills, and a watch of them."""

    def __init__(self, folder: Path) -> None:
        self.count = folder / "vmstat"
        self.log = folder / "kmsg"
        self.kills(3)
        self.loop = FakeLoop(FakeClock())
        counter = KillCounter((str(folder / "memory.events"), str(self.count)))
        loop: asyncio.AbstractEventLoop = self.loop  # type: ignore[assignment]
        self.watch = OomWatch(loop, counter, str(self.log))
        self.watch.start()

    def kills(self, number: int) -> None:
        self.count.write_text(f"pgmajfault 7\noom_kill {number}\nnuma_hit 1\n")


def test_a_sigkill_without_such_a_kill_is_somebody_elses(tmp_path: Path) -> None:
    assert Kernel(tmp_path).watch.evidence(77) == ""


def test_a_kill_at_that_time_makes_it_probable(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.kills(4)
    assert kernel.watch.evidence(77).startswith("probably out of memory")


def test_the_kernels_log_makes_it_certain(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.kills(4)
    kernel.log.write_text("6,1,1,-;usb 1-1\n" + log_line(77))
    assert kernel.watch.evidence(77) == "out of memory, as the kernel's log says"
    assert kernel.watch.evidence(78).startswith("probably")


def test_a_kill_of_long_ago_says_nothing(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.kills(4)
    kernel.loop.run(15.0)
    assert kernel.watch.evidence(77) != "", "the look may have been between the kill and our hearing of it"
    kernel.loop.run(10.0)
    assert kernel.watch.evidence(77) == ""


def test_our_own_group_tells_more_than_the_machine(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\noom 0\noom_kill 0\noom_group_kill 0\n")
    kernel = Kernel(tmp_path)
    kernel.kills(40)
    assert kernel.watch.evidence(77) == ""


def test_where_nobody_counts_nothing_is_claimed(tmp_path: Path) -> None:
    watch = OomWatch(asyncio.new_event_loop(), KillCounter((str(tmp_path / "none"),)))
    assert watch.evidence(77) == ""
    watch._loop.close()


def test_lines_of_the_kernels_log(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    log.write_text(
        log_line(5, words="Memory cgroup out of memory: Killed process")
        + log_line(6, words="Out of memory: Kill process")
        + log_line(7, ago=600.0)
        + log_line(8, words="segfault in")
    )
    assert [is_in_kernel_log(pid, str(log)) for pid in (5, 6, 7, 8, 55)] == [True, True, False, False, False]
    assert not is_in_kernel_log(5, str(tmp_path / "none"))
