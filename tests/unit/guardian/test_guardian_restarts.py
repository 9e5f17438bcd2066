"""When the next master is started: at once where the last one worked, ever later where that helps nobody."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from pypm.guardian import child as child_module
from pypm.guardian import guardian as guardian_module
from pypm.guardian.child import Child
from pypm.guardian.guardian import Guardian
from pypm.guardian.holdings import Holdings
from pypm.system.home import Home
from pypm.testing import FakeClock


class Scene:
    """A guardian on a clock of its own, and how long it waits after each master."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.journal = home / "master.log"
        for module in (guardian_module, child_module):
            monkeypatch.setattr(module.time, "monotonic", self.clock)
        self.guardian = Guardian(Home(str(home)), Holdings())

    def delay_after(self, lived: float, status: int, *, serving: bool = True) -> float:
        """Seconds until the next master, after one that lived so long and ended with this wait status."""
        child = self.guardian._master = Child(os.getpid(), socket.socket())
        child.greeted, child.serving = True, serving
        self.clock.advance(lived)
        self.guardian._start_at = None
        self.guardian._ended(child, status)
        start_at = self.guardian._start_at
        assert start_at is not None
        delay = start_at - self.clock()
        self.clock.advance(delay)
        return round(delay, 3)


@pytest.fixture
def scene(home: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(home, monkeypatch)


def test_a_master_that_was_killed_is_replaced_at_once(scene: Scene) -> None:
    assert [scene.delay_after(3.0, signal.SIGKILL) for _ in range(20)] == [0.0] * 20


def test_a_killer_that_does_not_stop_is_followed_more_slowly_and_never_slower_than_a_second(
    scene: Scene,
) -> None:
    delays = [scene.delay_after(0.4, signal.SIGKILL) for _ in range(12)]
    assert delays == [0.1] * 5 + [0.2, 0.4, 0.8] + [1.0] * 4
    assert scene.delay_after(2.0, signal.SIGKILL) == 0.0
    assert scene.delay_after(0.4, signal.SIGKILL) == 0.1, "one that had its time makes that good"


def test_masters_that_end_by_themselves_are_started_later_and_later(scene: Scene) -> None:
    delays = [scene.delay_after(0.4, 1 << 8, serving=False) for _ in range(12)]
    assert delays[:5] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 30.0
    assert scene.delay_after(11.0, 1 << 8) == 0.0


def test_a_master_that_cannot_be_forked_is_tried_again_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Child:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(guardian_module, "start_child", refuse)
    delays = []
    for _ in range(4):
        scene.guardian._start()
        assert scene.guardian._start_at is not None
        delays.append(round(scene.guardian._start_at - scene.clock(), 3))
    assert delays == [0.0, 0.1, 0.2, 0.4]
    assert "cannot start a master: [Errno 11]" in scene.journal.read_text()


def test_after_a_master_that_was_about_to_end_none_follows(scene: Scene) -> None:
    child = scene.guardian._master = Child(os.getpid(), socket.socket())
    child.greeted = child.serving = True
    scene.guardian._take(child, ["ending"], [])
    scene.guardian._start_at = None
    scene.guardian._ended(child, signal.SIGKILL)
    assert scene.guardian._start_at is None
    assert scene.guardian._result == 0
