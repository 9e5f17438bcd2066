"""What processes have done, from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from pypm.system.activity import Activity, increase, measure_activity
from pypm.system.tree import pids_of_trees, tree_pids
from pypm.testing import wait_until


def test_our_own_work_is_seen() -> None:
    me = os.getpid()
    before = measure_activity([me])
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    with open("/dev/zero", "rb") as file:
        file.read(100_000)
    done = increase(before, measure_activity([me]))
    assert done.cpu > 0.0
    assert done.io_bytes >= 100_000


def test_who_is_gone_has_done_nothing() -> None:
    assert measure_activity([2**22 + 1]) == {2**22 + 1: (0.0, 0, 0)}


def test_who_has_ended_takes_nothing_away_from_the_others() -> None:
    """A child that was not waited for, with ten minutes of CPU, ends; its parent works."""
    before = {1: Activity(5.0, 100, 10), 2: Activity(600.0, 10**9, 10**6)}
    now = {1: Activity(7.0, 300, 20), 3: Activity(1.0, 0, 5)}
    assert increase(before, now) == (3.0, 200, 15)


def test_the_pids_of_a_tree() -> None:
    command = [sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '1000'])"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        pids = wait_until(lambda: tree if len(tree := tree_pids(process.pid, process.pid)) == 2 else [], 20.0)
        assert pids[0] == process.pid
        assert tree_pids(pids[1], process.pid) == [pids[1], process.pid], "another one is its main process"
        trees = [(process.pid, process.pid), (pids[1], process.pid), (2**22 + 1, 2**22 + 1)]
        assert pids_of_trees(trees[::2]) == {trees[0]: pids, trees[2]: []}
        assert pids_of_trees(trees[1:]) == {trees[1]: [pids[1], process.pid], trees[2]: []}
    finally:
        os.killpg(process.pid, 9)
        process.wait()
    assert tree_pids(process.pid, process.pid) == []
