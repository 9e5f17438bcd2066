"""What processes have done, from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from pypm.system.activity import measure_activity
from pypm.system.tree import tree_pids
from pypm.testing import wait_until


def test_our_own_work_is_seen() -> None:
    before = measure_activity([os.getpid()])
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    with open("/dev/zero", "rb") as file:
        file.read(100_000)
    after = measure_activity([os.getpid()])
    assert after.cpu > before.cpu
    assert after.io_bytes >= before.io_bytes + 100_000
    assert after.switches >= before.switches


def test_who_is_gone_has_done_nothing() -> None:
    assert measure_activity([2**22 + 1]) == (0.0, 0, 0)


def test_the_pids_of_a_tree() -> None:
    command = [sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '1000'])"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        pids = wait_until(lambda: tree if len(tree := tree_pids(process.pid, process.pid)) == 2 else [], 20.0)
        assert pids[0] == process.pid
        assert tree_pids(pids[1], process.pid) == [pids[1], process.pid], "another one is its main process"
    finally:
        os.killpg(process.pid, 9)
        process.wait()
    assert tree_pids(process.pid, process.pid) == []
