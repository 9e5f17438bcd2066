"""Reports of runs: what they say, how many are kept, and of whom there is none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from fakes import new_instance
from msgspec.structs import replace

from pypm.core.events import Captured, Event
from pypm.core.instance import Instance, Run
from pypm.core.spec import AppSpec
from pypm.master.reports import KEPT, Reports
from pypm.system.process import start_ticks


def running(pid: int, ticks: int) -> Instance:
    return replace(new_instance(3, AppSpec("a", ("/a",), "/")), run=Run("r", "t", pid, ticks, 0.0))


def made(home: Path, instance: Instance, times: int = 1) -> list[Captured]:
    """What is told after so many reports."""

    async def make() -> list[Captured]:
        told: asyncio.Queue[Event] = asyncio.Queue()
        reports = Reports(
            asyncio.get_running_loop(), lambda _, event: told.put_nowait(event), str(home), str(home)
        )
        found: list[Captured] = []
        for _ in range(times):
            reports.make(instance, "no heartbeat")
            event = await asyncio.wait_for(told.get(), 30.0)
            assert isinstance(event, Captured)
            found.append(event)
        reports.close()
        return found

    return asyncio.run(make())


def test_only_the_last_ones_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a-out.log").write_text("the last words\n")
    me = start_ticks(os.getpid())
    assert me is not None
    found = made(tmp_path, running(os.getpid(), me), KEPT + 2)
    kept = sorted(str(each) for each in (tmp_path / "reports" / "a").iterdir())
    assert kept == [each.path for each in found[2:]]
    last = Path(found[-1].path)
    assert "no heartbeat" in (last / "why.txt").read_text()
    assert (last / "stdout.txt").read_text() == "the last words\n"


def test_of_a_process_that_has_the_pid_now_there_is_none(tmp_path: Path) -> None:
    """A report may have to wait for others until the run is over."""
    found = made(tmp_path, running(os.getpid(), 1))
    assert found == [Captured("r", "")]
    assert not (tmp_path / "reports").exists()
