"""Without free descriptors: nothing seems gone, nothing is half made, nothing stands still for ever."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeLoop, NoKeeper, new_instance
from msgspec.structs import replace

from pypm.core.instance import Run, Status
from pypm.logs.registry import LogRegistry
from pypm.master.adoption import ended_runs
from pypm.master.ends import End, Ends
from pypm.master.event_log import EventLog
from pypm.master.link import Reaped
from pypm.master.output import Outputs
from pypm.master.timers import Timers
from pypm.system.process import start_ticks
from pypm.testing import FakeClock


def refuse(*_: Any, **__: Any) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def running(pid: int) -> Any:
    run = Run("r", "t", pid, start_ticks(pid) or 0, 0.0, ready=True)
    return replace(new_instance(), status=Status.ONLINE, run=run)


def test_who_cannot_be_looked_at_does_not_seem_to_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = running(os.getpid())
    assert ended_runs([instance]) == set()
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        ended_runs([instance])


def test_a_zombie_is_watched_until_its_parent_is_done_with_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    instance = running(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert ended_runs([instance]) == set()
    child.wait()
    assert ended_runs([instance]) == {child.pid}


def test_an_output_that_could_not_be_made_is_made_at_the_next_start(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        outputs = Outputs(
            asyncio.get_running_loop(), LogRegistry(), str(home), NoKeeper(), EventLog(f"{home}/events.jsonl")
        )
        with monkeypatch.context() as patch:
            patch.setattr(os, "pipe2", refuse)
            with pytest.raises(OSError, match="Too many open files"):
                outputs.of(new_instance())
        for descriptor in outputs.of(new_instance()).open_writers():
            os.write(descriptor, b"x\n")
            os.close(descriptor)
        outputs.close()

    asyncio.run(scenario())
    assert sorted(path.read_text() for path in home.glob("agent*.log")) == ["x\n", "x\n"]


class OldMasters(NoKeeper):
    """Holds the pipe of an agent's stdout, as the last master has left it."""

    def __init__(self, read: int) -> None:
        self.read: int | None = read

    def holds(self, name: str) -> bool:
        return name.startswith("out:") and self.read is not None

    def take(self, name: str) -> int | None:
        read = self.read if name.startswith("out:") else None
        self.read = self.read if read is None else None
        return read


def test_what_an_agent_prints_waits_while_its_logs_cannot_be_taken_over(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read, write = os.pipe2(os.O_NONBLOCK)

    async def scenario() -> None:
        registry = LogRegistry()
        outputs = Outputs(
            asyncio.get_running_loop(), registry, str(home), OldMasters(read), EventLog(f"{home}/e")
        )
        with monkeypatch.context() as patch:
            patch.setattr(registry, "open", refuse)
            outputs.recover(new_instance())
        os.write(write, b"x\n")
        assert "cannot be taken over" in caplog.text
        for _ in range(3):  # turns of the loop in which it could be read
            await asyncio.sleep(0)
        outputs.of(new_instance())
        outputs.close()

    asyncio.run(scenario())
    os.close(write)
    assert [path.read_text() for path in home.glob("agent-out.log")] == ["x\n"]


def test_a_deadline_that_fails_does_not_stop_the_others() -> None:
    clock = FakeClock(100.0)
    loop = FakeLoop(clock)
    fired: list[int] = []

    def fire(key: int, *_: float) -> None:
        if key == 1:
            refuse()
        fired.append(key)

    timers = Timers(loop, clock, fire)  # type: ignore[arg-type]
    timers.arm(1, 101.0)
    timers.arm(2, 102.0)
    with pytest.raises(OSError, match="Too many"):
        loop.run(5.0)
    loop.run(5.0)
    assert fired == [2]


def test_an_end_of_one_that_had_the_pid_before_ends_no_child_of_ours() -> None:
    class Owner:
        def run_ended(self, end: End, *, guardians: bool) -> None:
            raise AssertionError(end)

        def orphan_ended(self) -> None:
            pass

    async def scenario() -> None:
        ends = Ends(asyncio.get_running_loop(), object(), Owner())  # type: ignore[arg-type]
        ends.watch(os.getpid(), 1, "run", ours=True)
        ends.guardian_saw({os.getpid(): Reaped(0, 1.0)})
        assert ends.is_ours(os.getpid())
        ends._drop(os.getpid())

    asyncio.run(scenario())
