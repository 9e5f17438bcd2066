"""Groups of version 2: made, entered, killed and removed, where this machine has them and lets us."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypm.system import cgroup
from pypm.system.cgroup import Groups, Place, own_place
from pypm.system.process import start_ticks
from pypm.testing import wait_until


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[Groups]:
    found = Groups.prepare(str(tmp_path), own_place())
    if not found.folder:
        pytest.skip(f"no groups here: {found.trouble}")
    yield found
    cgroup.kill_all(found.folder)
    wait_until(lambda: cgroup.is_empty(found.folder))
    wait_until(lambda: cgroup.remove(found.folder))


def put_shell(path: str, script: str) -> subprocess.Popen[bytes]:
    """A shell that is in the group before it runs ``script``."""
    shell = subprocess.Popen(["/bin/bash", "-c", f"read; {script}"], stdin=subprocess.PIPE)
    assert cgroup.put(path, shell.pid, start_ticks(shell.pid) or 0)
    assert shell.stdin is not None
    shell.stdin.close()
    return shell


def test_all_in_a_group_die_at_once_whatever_they_did_to_hide(groups: Groups) -> None:
    path = groups.make(7)
    assert path is not None
    assert path == groups.path(7) == groups.make(7)
    assert cgroup.is_empty(path)
    shell = put_shell(path, "env -i setsid -f sleep 987; while true; do sleep 0.01; done")
    wait_until(lambda: len(cgroup.members(path)) >= 3)
    assert shell.pid in cgroup.members(path)
    assert not cgroup.is_empty(path)
    assert not cgroup.remove(path)
    assert groups.has_kill == cgroup.kill_all(path)
    assert shell.wait(10) == -9
    wait_until(lambda: cgroup.is_empty(path))
    assert cgroup.remove(path)
    assert not os.path.exists(path)


def test_groups_that_an_agent_made_below_its_own_count_and_are_removed(groups: Groups) -> None:
    path = groups.make(1)
    os.mkdir(f"{path}/below")
    shell = put_shell(f"{path}/below", "sleep 987")
    assert cgroup.members(str(path)) >= {shell.pid}
    assert not cgroup.is_empty(str(path))
    cgroup.kill_all(str(path))
    shell.wait(10)
    wait_until(lambda: cgroup.remove(str(path)))


def test_a_process_that_is_not_the_one_that_was_meant_stays_where_it_is(groups: Groups) -> None:
    path = groups.make(1)
    shell = subprocess.Popen(["sleep", "987"])
    try:
        assert not cgroup.put(str(path), shell.pid, (start_ticks(shell.pid) or 0) - 1)
        assert cgroup.members(str(path)) == set()
    finally:
        shell.kill()
        shell.wait()


def test_closing_leaves_what_runs(groups: Groups) -> None:
    empty, used = groups.make(1), groups.make(2)
    shell = put_shell(str(used), "sleep 987")
    groups.close()
    assert not os.path.exists(str(empty))
    assert shell.poll() is None
    cgroup.kill_all(str(used))
    shell.wait(10)
    wait_until(lambda: cgroup.is_empty(str(used)))
    groups.close()
    assert not os.path.exists(groups.folder)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place("none", ""), "no cgroup hierarchy"),
        (Place("unified", ""), "outside"),
        (Place("unified", "/proc/self/no-group"), "not delegated"),
    ],
)
def test_where_there_can_be_no_groups_there_are_none(place: Place, words: str) -> None:
    groups = Groups.prepare("/home", place)
    assert words in groups.trouble
    assert (groups.folder, groups.make(1), groups.path(1)) == ("", None, "")
    groups.close()


def test_a_group_that_is_not_there_is_empty() -> None:
    assert cgroup.is_empty("/sys/fs/cgroup/no-such-group")
    assert cgroup.members("/sys/fs/cgroup/no-such-group") == set()
    assert not cgroup.kill_all("/sys/fs/cgroup/no-such-group")
    assert cgroup.remove("/sys/fs/cgroup/no-such-group")
