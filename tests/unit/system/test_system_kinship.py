"""The relatives of processes, and how zombies have ended."""

from __future__ import annotations

import os
import signal
import sys

from children import SHELL, end, start

from pypm.system.kinship import read_kinship, zombie_status
from pypm.system.process import start_ticks
from pypm.testing import wait_until

NO_PID = 1 << 22


def test_the_relatives_of_the_living_and_of_zombies() -> None:
    pid = start(["/bin/sleep", "1000"])
    try:
        kinship = read_kinship(pid)
        assert kinship == (os.getpid(), pid, pid, start_ticks(pid))
        assert zombie_status(pid) is None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: zombie_status(pid) is not None)
        assert read_kinship(pid) == kinship
    finally:
        end(pid)
    assert read_kinship(NO_PID) is None
    assert zombie_status(NO_PID) is None


def test_how_somebody_elses_child_has_ended() -> None:
    """Its parent does not reap it; how it ended is what waitpid would say."""
    for how, code in (("os._exit(7)", 7), ("os.kill(os.getpid(), 9)", -9)):
        script = f"import os, time\nif os.fork() == 0:\n    {how}\ntime.sleep(1000)\n"
        pid = start([sys.executable, "-ISc", script])
        try:
            wait_until(lambda pid=pid: child_of(pid) and zombie_status(child_of(pid)) is not None)
            status = zombie_status(child_of(pid))
            assert status is not None
            assert os.waitstatus_to_exitcode(status) == code
        finally:
            end(pid)


def child_of(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return int(file.read() or 0)


def test_a_shell_is_the_parent_of_what_it_starts() -> None:
    pid = start([SHELL, "-c", "sleep 1000 & wait"])
    try:
        wait_until(lambda: child_of(pid))
        kinship = read_kinship(child_of(pid))
        assert kinship is not None
        assert (kinship.parent, kinship.session) == (pid, pid)
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
