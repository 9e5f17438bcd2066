"""What a guardian's program leaves to the next one in the same process, and whether that one is good."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from pypm.guardian import renewal as renewal_module
from pypm.guardian.__main__ import main
from pypm.guardian.child import Child
from pypm.guardian.guardian import REFUSED, Guardian
from pypm.guardian.holdings import Holdings
from pypm.guardian.journal import Journal
from pypm.guardian.renewal import FORMAT, Inheritance, Renewal
from pypm.system.home import Home
from pypm.system.sockets import receive_message


def test_all_that_only_the_guardian_knows_goes_on(home: Path) -> None:
    """Ends that no master has acknowledged, those that it was not told, what is held."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = Child(4321, ours)
    child.began, child.last_beat = 12.5, 13.25
    holdings = Holdings()
    pipes = [os.pipe() for _ in range(2)]
    holdings.add("out:3", pipes[0][0])
    holdings.add("succession", pipes[1][0])
    holdings.keep("succession")
    left = Inheritance(holdings, child)
    left.exits, left.untold = {70: (9, 1.0625), 71: (256, 2.5)}, {71: None}
    left.retired = {4000}
    found = Inheritance.read(left.leave())
    guardian = Guardian(Home(str(home)), found.holdings, inheritance=found)
    assert guardian._exits == left.exits
    assert guardian._retired == left.retired
    assert found.holdings.named == {"out:3": pipes[0][0]}
    assert found.holdings.kept == {"succession": pipes[1][0]}
    assert guardian._start_at is None, "there is a master"
    master = guardian._master
    assert master is not None
    assert (master.pid, master.began, master.last_beat) == (4321, 12.5, 13.25)
    assert master.serving
    assert guardian._listener() is master
    guardian._tell_ends()
    assert receive_message(theirs) == (["exits", "71 256 2.5"], [])
    ours.detach()
    master.disconnect()
    theirs.close()
    for read, write in pipes:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("inheritable", [True, False])
def test_descriptors_are_inherited_for_the_moment_of_the_exec_only(inheritable: bool) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    holdings = Holdings()
    for name in ("held", "kept"):
        holdings.add(name, os.dup(theirs.fileno()))
    holdings.keep("kept")
    Inheritance(holdings, Child(1, ours)).make_inheritable(inheritable)
    descriptors = [ours.fileno(), *holdings.named.values(), *holdings.kept.values()]
    assert [os.get_inheritable(each) for each in descriptors] == [inheritable] * 3
    for each in (*holdings.named.values(), *holdings.kept.values()):
        os.close(each)
    ours.close()
    theirs.close()


def test_a_program_that_knows_another_inheritance_says_so() -> None:
    assert main(["--check", FORMAT]) == 0
    assert main(["--check", "0"]) == REFUSED


def test_an_unchanged_program_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("a process was forked"))
    Renewal(Journal(str(tmp_path / "log"))).look()


def test_a_check_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    renewal = Renewal(Journal(str(log)))
    monkeypatch.setattr(renewal, "_loaded", 0)
    monkeypatch.setattr(renewal_module, "CHECK_TIME", 1)
    monkeypatch.setattr(renewal_module, "_COMMAND", ["/bin/sh", "-c", "exec sleep 100"])
    renewal.look()
    assert renewal._check is not None
    pid, status = os.waitpid(renewal._check, 0)
    assert renewal.takes(pid, status)
    assert not renewal.is_due
    assert f"its check ended with -{signal.SIGALRM:d}" in log.read_text()
