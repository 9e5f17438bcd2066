"""Whom the guardian takes to hang: a master that is silent while the guardian itself was awake."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypm.guardian import child as child_module
from pypm.guardian import guardian as guardian_module
from pypm.guardian.child import DUMP_SIGNAL, SILENCE, Child
from pypm.guardian.guardian import DUMP_TIME, Guardian
from pypm.guardian.holdings import Holdings
from pypm.system.home import Home
from pypm.system.sockets import send_message
from pypm.testing import FakeClock


class FakePoll:
    """A poll that finds nothing, after the time it is given or as long as the process is stopped in it."""

    def __init__(self, clock: FakeClock, stopped: float) -> None:
        self._clock = clock
        self._stopped = stopped

    def register(self, *_: object) -> None:
        pass

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        self._clock.advance(max(milliseconds / 1000, self._stopped))
        return []


class Scene:
    """A guardian with a master in charge, on a clock of their own; what is sent to the master."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.signals: list[int] = []
        self.journal = home / "master.log"
        self._monkeypatch = monkeypatch
        for module in (guardian_module, child_module):
            monkeypatch.setattr(module.time, "monotonic", self.clock)
        self.guardian = Guardian(Home(str(home)), Holdings())
        self.guardian._start_at = None
        ours, self.master = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.child = self.guardian._master = Child(os.getpid(), ours)
        self.child.greeted = self.child.serving = True
        monkeypatch.setattr(self.child, "send_signal", self.signals.append)

    def turn(self, *, stopped: float = 0.0) -> None:
        """One turn of the guardian's loop, in which it is ``stopped`` for so many seconds."""
        poll = FakePoll(self.clock, stopped)
        self._monkeypatch.setattr(guardian_module.select, "poll", lambda: poll)
        self.guardian._wait(-1)
        self.guardian._act()

    def beat(self) -> None:
        send_message(self.master, ["beat"])
        self.guardian._receive(self.child)


@pytest.fixture
def scene(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    made = Scene(home, monkeypatch)
    yield made
    made.child.disconnect()
    made.master.close()


def test_a_silent_master_shows_its_stacks_and_is_killed(scene: Scene) -> None:
    scene.turn()
    assert scene.signals == [DUMP_SIGNAL]
    scene.turn()
    assert scene.signals == [DUMP_SIGNAL, signal.SIGKILL]


def test_a_master_that_answers_at_the_last_moment_is_spared(scene: Scene) -> None:
    scene.turn()
    scene.beat()
    scene.clock.advance(DUMP_TIME * 2)
    scene.guardian._act()
    assert scene.signals == [DUMP_SIGNAL]
    assert "answers again" in scene.journal.read_text()
    scene.turn()
    scene.turn()
    assert scene.signals[-1] == signal.SIGKILL, "a later silence is another one"


def test_a_guardian_that_was_stopped_itself_blames_nobody(scene: Scene) -> None:
    """SIGSTOP to both, a frozen container, a paused virtual machine: the master was stopped as well."""
    scene.turn(stopped=300.0)
    assert scene.signals == []
    scene.turn(stopped=3 * SILENCE)
    assert scene.signals == []
    scene.beat()
    scene.turn()
    scene.turn()
    assert scene.signals == [DUMP_SIGNAL, signal.SIGKILL], "afterwards silence is silence again"


def test_a_guardian_that_was_stopped_between_stacks_and_end_waits_again(scene: Scene) -> None:
    scene.turn()
    scene.turn(stopped=300.0)
    assert scene.signals == [DUMP_SIGNAL]
