"""Who a process is, whether it lives, and what its group and its tree are."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from children import SHELL, children_of, end, running, start, state_of, wait_for_zombie

from pypm.system import process
from pypm.system.meter import TreeMeter, TreeUsage
from pypm.system.reap import Death, peek, reap_orphans
from pypm.testing import wait_until

NOBODY = 2**22 + 5
"""More than the largest pid that Linux gives."""


def measure_trees(roots: set[int]) -> dict[int, TreeUsage]:
    meter = TreeMeter()
    meter.follow(roots)
    return meter.measure(roots)


def test_a_process_is_its_pid_and_its_start_time() -> None:
    with running(["/bin/sleep", "100"]) as pid:
        ticks = process.start_ticks(pid)
        assert ticks is not None
        assert process.is_same(pid, ticks)
        assert not process.is_same(pid, ticks - 1)
        assert not process.is_same(pid, ticks + 1)
    assert not process.is_same(pid, ticks)
    assert process.start_ticks(pid) is None


def test_a_zombie_does_not_live() -> None:
    pid = start(["/bin/true"])
    try:
        ticks = process.start_ticks(pid)
        wait_for_zombie(pid)
        assert ticks is not None
        assert not process.is_same(pid, ticks)
        assert process.group_exists(pid), "it counts until it is reaped"
    finally:
        end(pid)


def test_a_name_with_spaces_and_parentheses_confuses_nobody(tmp_path: Path) -> None:
    name = os.path.join(tmp_path, "a) S 1 (b")
    os.symlink("/bin/sleep", name)
    with running([name, "100"]) as pid:
        wait_until(lambda: "(b" in Path(f"/proc/{pid}/stat").read_text())
        ticks = process.start_ticks(pid)
        assert ticks is not None
        assert process.is_same(pid, ticks)
        assert measure_trees({pid})[pid].processes == 1


def test_nobody_is_nobody() -> None:
    assert process.start_ticks(NOBODY) is None
    assert not process.is_same(NOBODY, 0)
    assert not process.group_exists(NOBODY)
    assert not process.send(NOBODY, signal.SIGTERM)
    assert not process.send_group(NOBODY, signal.SIGTERM)


def test_a_signal_to_one_and_to_all() -> None:
    with running([SHELL, "-c", "sleep 100 & wait"]) as pid:
        wait_until(lambda: children_of(pid))
        child = children_of(pid)[0]
        assert process.send(pid, signal.SIGKILL)
        wait_for_zombie(pid)
        assert state_of(child) not in ("", "Z")
        assert process.group_exists(pid), "the main process is dead, its child is not"
        assert process.send_group(pid, signal.SIGKILL)
        wait_until(lambda: state_of(child) in ("", "Z"))


def test_signals_by_name() -> None:
    assert process.signal_number("SIGTERM") == 15
    with pytest.raises(KeyError):
        process.signal_number("SIGNONE")


# --- ends ---


def death_of(pid: int) -> Death:
    return wait_until(lambda: peek(pid), what=f"the end of {pid}")


def test_each_end_is_told_as_what_it_is_and_left_to_be_reaped() -> None:
    exits = start([SHELL, "-c", "exit 7"])
    killed = start([SHELL, "-c", "kill -KILL $$"])
    assert death_of(exits) == death_of(exits) == Death(exits, 7, None, False)
    assert death_of(killed)[1:3] == (None, 9)
    for pid in (exits, killed):
        os.waitpid(pid, 0)
        with pytest.raises(ChildProcessError):
            peek(pid)


def test_who_lives_has_no_end() -> None:
    with running(["/bin/sleep", "100"]) as pid:
        assert peek(pid) is None


def test_a_wait_status_is_read_as_what_it_is() -> None:
    assert Death.from_status(5, 7 << 8) == Death(5, 7, None, False)
    assert Death.from_status(5, 9) == Death(5, None, 9, False)
    assert Death.from_status(5, 11 | 0x80) == Death(5, None, 11, True)


def test_orphans_are_reaped_and_who_is_known_is_not() -> None:
    known = start(["/bin/true"])
    orphan = start(["/bin/true"])
    wait_for_zombie(known)
    wait_for_zombie(orphan)
    reap_orphans(lambda pid: pid == known)
    assert state_of(known) == "Z"
    os.waitpid(known, 0)
    reap_orphans(lambda pid: pid == known)
    assert state_of(orphan) == ""


def test_nothing_to_reap_is_no_error_and_nothing_waits() -> None:
    reap_orphans(lambda _: False)
    with running(["/bin/sleep", "100"]):
        reap_orphans(lambda _: False)


# --- trees ---


def test_a_tree_has_its_children_also_where_they_have_left() -> None:
    nested = "(sleep 100 & sleep 100 & wait) & setsid sleep 100 & wait"
    with running([SHELL, "-c", nested]) as pid:
        wait_until(lambda: measure_trees({pid})[pid].processes == 5)
        assert measure_trees({pid})[pid].memory > 5 * 64 * 1024
        inner = next(each for each in children_of(pid) if children_of(each))
        other_session = next(each for each in children_of(pid) if each != inner)
        os.kill(inner, signal.SIGKILL)
        wait_until(lambda: state_of(inner) == "", what="the end of the inner shell")
        assert measure_trees({pid})[pid].processes == 4, "its children are still in the session"
        os.kill(other_session, signal.SIGKILL)
        wait_until(lambda: measure_trees({pid})[pid].processes == 3)


def test_a_tree_outlives_its_first_process() -> None:
    """Its session has the number of the first process as long as anything of it lives."""
    with running([SHELL, "-c", "sleep 100 & wait"]) as pid:
        wait_until(lambda: children_of(pid))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert measure_trees({pid})[pid].processes == 1
        process.send_group(pid, signal.SIGKILL)
        wait_until(lambda: measure_trees({pid}) == {})


def test_each_process_belongs_to_one_tree() -> None:
    with running(["/bin/sleep", "100"]) as one, running([SHELL, "-c", "sleep 100 & wait"]) as two:
        wait_until(lambda: children_of(two))
        usages = measure_trees({one, two, NOBODY})
        assert {pid: usage.processes for pid, usage in usages.items()} == {one: 1, two: 2}
        nested = measure_trees({os.getpid(), one})
        assert nested[one].processes == 1, "the nearest root has it"
        assert nested[os.getpid()].processes >= 3


def test_cpu_of_children_that_have_ended_counts() -> None:
    work = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    with running([SHELL, "-c", f"({work}); sleep 100"]) as pid:
        usage = wait_until(
            lambda: next((each for each in measure_trees({pid}).values() if each.cpu > 0.0), None)
        )
        assert usage.cpu > 0.0
        wait_until(lambda: [each for each in children_of(pid) if b"sleep" in command_of(each)])
        assert measure_trees({pid})[pid].cpu >= usage.cpu


def command_of(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def test_memory_is_what_is_resident() -> None:
    own = measure_trees({os.getpid()})[os.getpid()]
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    assert own.memory == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.2)
