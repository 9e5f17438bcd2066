"""Group commits, on a real loop: few writes, none lost, a disk that refuses is told and tried again."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from fakes import SPEC, new_instance
from msgspec.structs import replace

from pypm.core.instance import Status
from pypm.core.spec import Origin
from pypm.core.state import App, State, decode
from pypm.master import store as store_module
from pypm.master.store import Store
from pypm.testing import wait_until

APP = App(SPEC, 1.0, Origin({"PATH": "/bin"}, 0o077))


class Disk:
    """Takes writes, or refuses them, or makes them wait."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.refuses: OSError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.tries = 0

    def write(self, path: str, data: bytes) -> None:
        self.tries += 1
        assert self.gate.wait(20.0)
        if self.refuses is not None:
            raise self.refuses
        self.written.append(data)

    @property
    def last(self) -> State:
        return decode(self.written[-1])


def with_store(test: Callable[[Store, Disk], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        disk = Disk()
        store = Store("/state.json", asyncio.get_running_loop(), disk.write)
        await test(store, disk)
        await store.close()

    asyncio.run(asyncio.wait_for(run(), 20.0))


def test_all_changes_of_one_turn_are_one_write() -> None:
    async def test(store: Store, disk: Disk) -> None:
        store.put_app(APP)
        store.put_next_id(100)
        for number in range(100):
            store.put_instance(new_instance(number))
            store.put_instance(replace(new_instance(number), status=Status.ERRORED, reason="because"))
        assert disk.written == [], "not inside the turn"
        await store.committed()
        assert len(disk.written) == 1
        state = disk.last
        assert state.apps == [APP]
        assert state.next_id == 100
        expected = [replace(new_instance(n), status=Status.ERRORED, reason="because") for n in range(100)]
        assert state.instances == expected

    with_store(test)


def test_a_master_that_is_not_in_charge_yet_writes_nothing() -> None:
    async def test(store: Store, disk: Disk) -> None:
        store.hold()
        store.put_app(APP)
        for _ in range(20):
            await asyncio.sleep(0)
        assert disk.written == []
        store.go_on()
        await store.committed()
        assert [app.spec.name for app in disk.last.apps] == [SPEC.name]

    with_store(test)


def test_a_file_that_is_anothers_by_now_is_left_as_it_is() -> None:
    async def test(store: Store, disk: Disk) -> None:
        store.put_app(APP)
        await store.committed()
        store.is_lost = lambda: True
        store.put_instance(new_instance(0))
        await store.committed()
        assert len(disk.written) == 1
        store.is_lost = lambda: False
        store.write_anew()
        await store.committed()
        assert len(disk.written) == 2, "it is ours again: its lock was nobody's"

    with_store(test)


def test_changes_during_a_write_are_one_more() -> None:
    async def test(store: Store, disk: Disk) -> None:
        disk.gate.clear()
        store.put_app(APP)
        first = asyncio.ensure_future(store.committed())
        while disk.tries == 0:
            await asyncio.sleep(0)
        for number in range(10):
            store.put_instance(new_instance(number))
            await asyncio.sleep(0)
        second = asyncio.ensure_future(store.committed())
        await asyncio.sleep(0)
        assert not first.done()
        disk.gate.set()
        await first
        assert not second.done(), "what came during the write is not on the disk with it"
        await second
        assert len(disk.written) == 2
        assert len(decode(disk.written[0]).instances) == 0
        assert len(disk.last.instances) == 10

    with_store(test)


def test_nothing_changed_is_committed_already() -> None:
    async def test(store: Store, disk: Disk) -> None:
        await store.committed()
        store.put_app(APP)
        await store.committed()
        await store.committed()
        assert len(disk.written) == 1

    with_store(test)


def test_what_is_dropped_is_gone() -> None:
    async def test(store: Store, disk: Disk) -> None:
        other = App(replace(SPEC, name="other"), 2.0)
        store.put_app(APP)
        store.put_app(other)
        store.put_instance(new_instance(0))
        store.put_instance(new_instance(1, other.spec))
        await store.committed()
        store.put_instance(replace(new_instance(0), restarts=3))
        store.drop_instance(0)
        store.drop_app("agent")
        await store.committed()
        assert disk.last.apps == [other]
        assert [each.id for each in disk.last.instances] == [1]
        assert b"PATH" not in disk.written[-1], "an environment that no app has any more is not kept"

    with_store(test)


def test_an_environment_is_stored_once_for_all_who_have_it() -> None:
    async def test(store: Store, disk: Disk) -> None:
        apps = [App(replace(SPEC, name=f"a{number}"), 1.0, APP.origin) for number in range(5)]
        for app in apps:
            store.put_app(app)
        await store.committed()
        assert disk.written[-1].count(b'"PATH"') == 1
        assert disk.last.apps == apps

    with_store(test)


def test_a_disk_that_refuses_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "RETRY", 0.02)

    async def test(store: Store, disk: Disk) -> None:
        disk.refuses = OSError(28, "No space left on device")
        store.put_app(APP)
        await store.committed()  # answered, although nothing is saved: agents are not held up
        assert store.trouble is not None
        assert "No space left on device" in store.trouble
        assert "/state.json" in store.trouble
        tries = disk.tries
        await asyncio.to_thread(wait_until, lambda: disk.tries >= tries + 2)
        store.put_instance(new_instance(0))
        disk.refuses = None
        await asyncio.to_thread(wait_until, lambda: store.trouble is None)
        await store.committed()
        assert [each.id for each in disk.last.instances] == [0], "nothing was lost meanwhile"

    with_store(test)


def test_a_storm_of_changes_is_no_storm_of_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SPACING", 3600.0)

    async def run() -> int:
        disk = Disk()
        store = Store("/state.json", asyncio.get_running_loop(), disk.write)
        store.put_app(APP)
        await store.committed()
        for number in range(1000):
            store.put_instance(new_instance(number))
            await asyncio.sleep(0)
        store._thread.shutdown()  # it would wait an hour with its last commit
        return disk.tries

    assert asyncio.run(run()) == 1


def test_the_last_changes_are_written_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "state.json"

    async def run() -> None:
        store = Store(str(path), asyncio.get_running_loop())
        store.put_app(APP)
        store.put_instance(new_instance(0))
        await store.close()

    asyncio.run(run())
    assert decode(path.read_bytes()).instances == [new_instance(0)]
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("commit")]


def test_environments_that_no_app_has_any_more_are_forgotten() -> None:
    async def test(store: Store, disk: Disk) -> None:
        for number in range(50):
            store.put_app(replace(APP, origin=Origin({"N": str(number)})))
            store.put_app(App(replace(SPEC, name="other"), 1.0, Origin({"KEPT": "1"})))
            await store.committed()
        origins = {app.spec.name: app.origin.env for app in disk.last.apps}
        assert origins == {SPEC.name: {"N": "49"}, "other": {"KEPT": "1"}}
        assert len(store._origins) == 2

    with_store(test)


def test_what_need_not_be_saved_soon_is_saved_with_the_rest_or_within_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(store: Store, disk: Disk) -> None:
        store.put_app(APP)
        store.put_instance(new_instance(0))
        await store.committed()
        writes = len(disk.written)
        for number in range(50):
            store.put_instance(replace(new_instance(0), restarts=number), soon=False)
            await asyncio.sleep(0)
        assert len(disk.written) == writes
        store.put_instance(new_instance(1))
        await store.committed()
        assert len(disk.written) == writes + 1
        assert disk.last.instances[0].restarts == 49
        store.put_instance(replace(new_instance(0), restarts=50), soon=False)
        await asyncio.to_thread(wait_until, lambda: len(disk.written) == writes + 2)
        assert disk.last.instances[0].restarts == 50
        store.put_instance(replace(new_instance(0), restarts=51), soon=False)
        await store.committed()
        assert disk.last.instances[0].restarts == 51

    monkeypatch.setattr(store_module, "PATIENCE", 2.0)
    with_store(test)
