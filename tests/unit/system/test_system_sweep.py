"""Whatever a run becomes is found, and nothing else; signals reach exactly that."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypm.system import cgroup
from pypm.system.process import is_same, start_ticks
from pypm.system.subreaper import PR_SET_CHILD_SUBREAPER, become_subreaper
from pypm.system.sweep import (
    Main,
    Mark,
    Member,
    ProcessTable,
    belongs,
    child_pids,
    escaped_descendants,
    is_marked,
    send_to,
)
from pypm.testing import wait_until

RUN_ID = "0123456789ab"

DOUBLE_FORK = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        os.closerange(0, 64)
        for _ in range(3):
            os.open("/dev/null", os.O_RDWR)
        os.execve("/bin/sleep", ["sleep", "987"], ENVIRONMENT)
    os._exit(0)
os.wait()
open(sys.argv[1], "w").close()
time.sleep(1000)
"""


class Running:
    """A program as pypm starts one: a session of its own, marks in its environment, a pipe as stdout."""

    def __init__(self, folder: Path) -> None:
        self.flag = folder / "ready"
        self.home = str(folder)
        self._read, self._write = os.pipe2(os.O_CLOEXEC)
        self._main: subprocess.Popen[bytes]
        self.mark: Mark

    def start(self, *command: str, wait: bool = True) -> Mark:
        """Start it; it has begun when it has made the file that its last argument names."""
        environment = os.environ | {"PYPM_RUN_ID": RUN_ID, "PYPM_HOME": self.home}
        self._main = subprocess.Popen(
            [*command, str(self.flag)], env=environment, stdout=self._write, start_new_session=True
        )
        ticks = start_ticks(self._main.pid)
        assert ticks is not None
        self.mark = Mark(self._main.pid, ticks, RUN_ID, self.home, (os.fstat(self._read).st_ino, 0))
        if wait:
            wait_until(self.flag.exists)
        return self.mark

    def shell(self, script: str) -> Mark:
        """Start a line of bash, which has begun when it gets to ``: > $0``."""
        return self.start("/bin/bash", "-c", script)

    def python(self, script: str) -> Mark:
        return self.start(sys.executable, "-c", script)

    def kill_main(self) -> None:
        """End the main process alone, and reap it."""
        os.kill(self._main.pid, signal.SIGKILL)
        self._main.wait()

    def members(self) -> list[Member]:
        return ProcessTable.read().members(self.mark)

    def names(self) -> list[str]:
        return [each.name for each in self.members()]

    def end(self) -> None:
        """Kill whatever there is, by other means than what is tested."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid() and self._is_ours(entry):
                os.kill(int(entry.name), signal.SIGKILL)
        self._main.kill()
        self._main.wait()
        os.close(self._read)
        os.close(self._write)
        reap_orphans()

    def _is_ours(self, process: Path) -> bool:
        try:
            command = (process / "cmdline").read_bytes()
            return os.fsencode(self.home) in command + (process / "environ").read_bytes() or (
                command.endswith(b"sleep\0" + b"987\0")
            )
        except OSError:
            return False


def reap_orphans() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def resign_as_subreaper() -> None:
    """What other tests leave behind is init's again, which reaps it."""
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    become_subreaper()
    run = Running(tmp_path)
    yield run
    run.end()
    resign_as_subreaper()


def test_children_of_a_shell_are_found_while_it_runs_and_after_its_end(running: Running) -> None:
    running.shell("sleep 987 & sleep 987 & : > $0; wait")
    wait_until(lambda: running.names() == ["bash", "sleep", "sleep"])
    running.kill_main()
    assert running.names() == ["sleep", "sleep"]


def test_a_shell_loop_is_found_at_every_moment(running: Running) -> None:
    running.shell("while true; do sleep 0.01; : > $0; done")
    for _ in range(20):
        assert running.names()[0] == "bash"


def test_a_child_in_a_session_of_its_own_is_found_by_its_parent(running: Running) -> None:
    running.shell("env -i setsid sleep 987 > /dev/null 2>&1 & : > $0; wait")
    wait_until(lambda: running.names() == ["bash", "sleep"])


def test_a_child_in_a_session_of_its_own_is_found_by_its_environment(running: Running) -> None:
    running.shell("setsid sleep 987 > /dev/null 2>&1 & : > $0; wait")
    wait_until(lambda: running.names() == ["bash", "sleep"])
    running.kill_main()
    assert running.names() == ["sleep"]


def test_a_child_with_another_environment_is_found_by_its_pipe(running: Running) -> None:
    running.shell("env -i setsid sleep 987 & : > $0; wait")
    wait_until(lambda: running.names() == ["bash", "sleep"])
    running.kill_main()
    assert running.names() == ["sleep"]


def test_a_child_that_gave_all_marks_away_is_found_if_it_was_seen_before(running: Running) -> None:
    mark = running.shell("env -i setsid sleep 987 > /dev/null 2>&1 & : > $0; wait")
    wait_until(lambda: running.names() == ["bash", "sleep"])
    seen = escaped_descendants(mark)
    assert [each.name for each in seen] == ["sleep"]
    running.kill_main()
    assert running.names() == []
    assert ProcessTable.read().members(mark, seen=seen) == seen
    other = seen[0]._replace(start_ticks=seen[0].start_ticks - 1)  # its pid had been another process's
    assert ProcessTable.read().members(mark, seen=[other]) == []


def test_a_double_forked_daemon_that_closed_everything_is_found(running: Running) -> None:
    running.python(DOUBLE_FORK.replace("ENVIRONMENT", "os.environ"))
    wait_until(lambda: "sleep" in running.names())
    daemon = next(each for each in running.members() if each.name == "sleep")
    assert os.getsid(daemon.pid) not in (running.mark.pid, daemon.pid)
    running.kill_main()
    assert running.members() == [daemon]
    assert belongs(daemon.pid, running.mark) == daemon


def test_descendants_of_a_daemon_are_found_though_they_bear_no_mark(running: Running) -> None:
    script = "setsid bash -c 'env -i sleep 987 > /dev/null; true' > /dev/null 2>&1 & : > $0; wait"
    running.shell(script)
    wait_until(lambda: running.names() == ["bash", "bash", "sleep"])
    running.kill_main()
    assert running.names() == ["bash", "sleep"]


def test_a_process_in_a_group_of_its_own_is_found_by_the_session(running: Running) -> None:
    running.shell("set -m; env -i sleep 987 > /dev/null & : > $0; wait")
    wait_until(lambda: running.names() == ["bash", "sleep"])
    sleep = running.members()[1]
    assert sleep.pgid == sleep.pid != running.mark.pid
    running.kill_main()
    assert running.members() == [sleep]


def test_zombies_are_no_members(running: Running) -> None:
    running.python("import os, time, sys\nif os.fork(): open(sys.argv[1], 'w').close(); time.sleep(1000)\n")
    (zombie,) = child_pids(running.mark.pid) or set()
    wait_until(lambda: Path(f"/proc/{zombie}/stat").read_text().split()[2] == "Z")
    assert [each.pid for each in running.members()] == [running.mark.pid]
    assert not belongs(zombie, running.mark)


def test_what_belongs_to_others_is_not_found(running: Running, tmp_path: Path) -> None:
    mark = running.shell("setsid sleep 987 & : > $0; wait")
    wait_until(lambda: len(running.members()) == 2)
    other = subprocess.Popen(["sleep", "987"], env={"PYPM_RUN_ID": RUN_ID, "PYPM_HOME": "/elsewhere"})
    try:
        found = [each.pid for each in running.members()]
        assert other.pid not in found
        assert os.getpid() not in found
        assert not is_marked(other.pid, mark)
        longer = mark._replace(run_id=RUN_ID[:-1], pipes=(0, 0))  # a prefix of ours
        sleep = running.members()[1]
        assert is_marked(sleep.pid, mark)
        assert not is_marked(sleep.pid, longer)
    finally:
        other.kill()
        other.wait()


def test_the_next_run_of_the_same_instance_is_not_what_this_one_has_left(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share the log pipe and the group."""
    following = running.shell("setsid sleep 987 & env -i setsid sleep 988 & : > $0; wait")
    wait_until(lambda: running.names() == ["bash", "sleep", "sleep"])
    pids = {each.pid for each in running.members()}
    before = following._replace(pid=2**22 + 5, run_id="ba9876543210", group="/group")
    monkeypatch.setattr(cgroup, "members", lambda group: pids)
    table = ProcessTable.read()
    assert table.members(before, {following.pid}) == []
    assert {each.pid for each in table.members(following)} == pids
    running.kill_main()
    left = ProcessTable.read().members(before, {following.pid})
    for each in left:  # it bears no mark any more by which the fixture could find it
        os.kill(each.pid, signal.SIGKILL)
    assert [each.name for each in left] == ["sleep"], "what has no marks at all may be anybody's of the group"


def test_another_run_that_descends_from_this_one_is_left_alone(running: Running) -> None:
    mark = running.shell("bash -c 'sleep 987; true' & : > $0; wait")
    wait_until(lambda: running.names() == ["bash", "bash", "sleep"])
    other = running.members()[1]
    found = ProcessTable.read().members(mark, other_mains={other.pid})
    assert other not in found


def named(running: Running) -> Member:
    """A process without marks that has left the session and the group, and that the run has named."""
    script = "env -i setsid sleep 987 > /dev/null & : > $0; wait"
    mark = running.shell(script)
    wait_until(lambda: running.names() == ["bash", "sleep"])
    member = running.members()[1]
    running.mark = mark._replace(main=Main(member.pid, member.start_ticks))
    return member


def test_a_named_main_process_is_the_runs_own(running: Running) -> None:
    """It is no other run's, also where it is among the main processes of all runs."""
    member = named(running)
    found = ProcessTable.read().members(running.mark, other_mains={member.pid, running.mark.pid})
    assert [each.name for each in found] == ["bash", "sleep"]
    assert escaped_descendants(running.mark) == [member]
    become_subreaper()
    running.kill_main()
    assert running.members() == [member]
    assert escaped_descendants(running.mark) == [member]
    before = running.mark._replace(main=Main(member.pid, member.start_ticks - 1))
    assert ProcessTable.read().members(before, other_mains={member.pid}) == []


def test_nothing_older_than_the_run_is_found(running: Running) -> None:
    mark = running.shell("sleep 987 & : > $0; wait")
    wait_until(lambda: len(running.members()) == 2)
    future = mark._replace(start_ticks=mark.start_ticks + 100 * os.sysconf("SC_CLK_TCK"))
    assert ProcessTable.read().members(future) == []
    assert not belongs(running.members()[1].pid, future)


def test_a_session_whose_leader_is_another_process_is_another_session(running: Running) -> None:
    """The pid was given anew: the leader has our number and another start time."""
    mark = running.shell("env -i sleep 987 > /dev/null & : > $0; wait")
    wait_until(lambda: len(running.members()) == 2)
    before = mark._replace(start_ticks=mark.start_ticks - 1, run_id="another", pipes=(0, 0))
    assert ProcessTable.read().members(before) == []


def test_a_signal_reaches_the_member_and_no_process_with_its_pid(running: Running) -> None:
    running.shell("sleep 987 & : > $0; wait")
    wait_until(lambda: running.names() == ["bash", "sleep"])
    sleep = running.members()[1]
    assert not send_to(sleep._replace(start_ticks=sleep.start_ticks - 1), signal.SIGKILL)
    assert is_same(sleep.pid, sleep.start_ticks)
    assert send_to(sleep, signal.SIGKILL)
    wait_until(lambda: not is_same(sleep.pid, sleep.start_ticks))
    assert not send_to(sleep, signal.SIGKILL)


def test_children_of_all_threads_are_told(running: Running) -> None:
    script = (
        "import subprocess, sys, threading\n"
        "def fork(): subprocess.Popen(['sleep', '987']).wait()\n"
        "threading.Thread(target=fork).start()\n"
        "open(sys.argv[1], 'w').close()\n"
    )
    mark = running.python(script)
    wait_until(lambda: child_pids(mark.pid))
    assert len(child_pids(mark.pid) or ()) == 1
    assert child_pids(2**22 + 1) == set()
