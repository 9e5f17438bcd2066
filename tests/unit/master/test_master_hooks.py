"""A hook that not even SIGKILL ends holds no stop."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any, cast

import pytest

from pypm.core.events import Event, HookEnded
from pypm.core.instance import Instance, Run, Status
from pypm.core.spec import AppSpec, Hook, Hooks
from pypm.core.state import App
from pypm.master import hooks
from pypm.master.hooks import HookRunner
from pypm.system import process
from pypm.system.sweep import ProcessTable
from pypm.testing import wait_until

HOOK = Hook(("/bin/sh", "-c", "exec sleep 1000"), timeout=0.05)
SPEC = AppSpec("a", ("/a",), "/", hooks=Hooks(pre_stop=HOOK))
RUN = Run("00000000000b", "token", 10, 1, 0.0)


class Surroundings:
    """Outputs, ends and events as the hooks use them."""

    def __init__(self) -> None:
        self.children: list[int] = []
        self.told: list[str] = []

    def of(self, _instance: Instance) -> Surroundings:
        return self

    def open_writers(self) -> tuple[int, int]:
        return os.open("/dev/null", os.O_WRONLY), os.open("/dev/null", os.O_WRONLY)

    def keep(self, pid: int) -> None:
        self.children.append(pid)

    def let_go(self, pid: int) -> None:
        self.children.remove(pid)

    def mains(self) -> set[int]:
        return set(self.children)

    def record(self, event: str, **facts: object) -> None:
        self.told.append(f"{event}: {facts.get('reason', '')}")


def test_a_hook_that_cannot_be_killed_holds_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Surroundings()
    heard: list[Event] = []
    stopping = [
        Instance(number, "a", number, 0.0, 0.0, SPEC, status=Status.STOPPING, run=RUN, preparing=True)
        for number in range(hooks.AT_ONCE + 1)
    ]

    async def whole() -> None:
        runner = HookRunner(
            asyncio.get_running_loop(),
            lambda _id, event: heard.append(event),
            cast("Any", around),
            cast("Any", around),
            cast("Any", around),
            {"a": App(SPEC, 0.0)},
            lambda _: {},
            "/home",
        )
        with monkeypatch.context() as patch:
            patch.setattr(process, "send_group", lambda *_: None)
            patch.setattr(ProcessTable, "members", lambda *_: [])
            for instance in stopping:
                runner.run(instance, "pre_stop")
            await asyncio.to_thread(wait_until, lambda: len(heard) >= len(stopping), 20.0)
            assert len(around.children) == len(stopping), "all of them live"
        for pid in around.children:
            os.killpg(pid, signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: not around.children, 20.0)
        runner.close()

    asyncio.run(whole())
    assert heard[: len(stopping)] == [HookEnded(RUN.run_id)] * len(stopping)
    assert around.told == ["hook.failed: killed after its timeout of 50ms"] * len(stopping)
