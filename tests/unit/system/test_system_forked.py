"""Processes that have been forked and have not executed their program yet: found, waited for, ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pypm.system import held
from pypm.system.forked import end_forked, forked_pids
from pypm.system.process import is_same, start_ticks
from pypm.testing import wait_until

pytestmark = pytest.mark.skipif(not held.is_possible(), reason="no process can be held here")

TITLE = b"a master of tests"
MASTER = """
import os, sys
from setproctitle import setproctitle
from pypm.system.held import Start, spawn_held

setproctitle(sys.argv[1])

def hold(pid):
    print(pid, flush=True)
    sys.stdin.readline()

null = os.open("/dev/null", os.O_RDWR)
command = ["/bin/sleep", "60.25"]
pid = spawn_held(Start(command, "/", {"MARK": "x"}, 0o22, (null, null, null), ()), lambda: None, hold)
print("started", flush=True)
os.waitpid(pid, 0)
"""


class Master:
    """A process that holds another one, until it is told to go on."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", MASTER, TITLE.decode()]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout
        self.pid = self.process.pid
        self.held = int(self.output.readline())
        self.ticks = start_ticks(self.held)

    def go_on(self) -> None:
        self.input.write(b"\n")
        self.input.flush()
        assert self.output.readline() == b"started\n"

    def lives(self) -> bool:
        assert self.ticks is not None
        return is_same(self.held, self.ticks)


@pytest.fixture
def master() -> Iterator[Master]:
    made = Master()
    try:
        yield made
    finally:
        made.process.kill()
        if made.lives():
            os.kill(made.held, 9)
        made.process.communicate()


def test_one_that_has_not_executed_its_program_is_found(master: Master) -> None:
    assert forked_pids(master.pid, TITLE) == {master.held: master.ticks}
    assert forked_pids(master.pid, b"another title") == {}
    assert master.pid not in forked_pids(os.getpid(), b"another title")
    assert master.pid in forked_pids(os.getpid(), TITLE), "a master looks the same"
    master.go_on()
    wait_until(lambda: not forked_pids(master.pid, TITLE), 20.0)
    assert master.lives()


def test_it_is_waited_for(master: Master) -> None:
    ended: list[list[int]] = []
    waiting = threading.Thread(target=lambda: ended.append(end_forked(master.pid, TITLE, (), 60.0)))
    waiting.start()
    assert not ended
    master.go_on()
    waiting.join(30.0)
    assert ended == [[]]
    assert master.lives()


def test_it_is_ended_when_it_takes_too_long(master: Master) -> None:
    assert end_forked(master.pid, TITLE, {master.held}, 0.0) == []
    assert master.lives()
    assert end_forked(master.pid, TITLE, (), 0.0) == [master.held]
    wait_until(lambda: not master.lives(), 20.0)
