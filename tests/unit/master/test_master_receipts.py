"""Receipts: found again, saved with what they are of, forgotten when there are many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from fakes import new_instance

from pypm.core.receipt import Receipt
from pypm.core.state import State, after_reboot, decode
from pypm.master import receipts as receipts_module
from pypm.master.receipts import Receipts
from pypm.master.store import Store


def saved_after(act: Callable[[Store, Receipts], object]) -> State:
    """The state as it is on the disk when a store has saved what this has done."""
    written: list[bytes] = []

    async def run() -> None:
        store = Store("/state.json", asyncio.get_running_loop(), lambda _path, data: written.append(data))
        act(store, Receipts(store, lambda: 7.0))
        store.write_anew()
        await store.close()

    asyncio.run(asyncio.wait_for(run(), 20.0))
    return decode(written[-1])


def receipt(*ids: int) -> Receipt:
    return Receipt([{"id": each, "name": f"w:{each}", "action": "restarted"} for each in ids], ["careful"])


def test_a_receipt_is_saved_and_found_by_the_next_master() -> None:
    def act(_: Store, receipts: Receipts) -> None:
        kept = receipts.keep("k1", receipt(0, 1))
        receipts.carried_out(kept, 1)

    def next_master(_: Store, receipts: Receipts) -> None:
        receipts.restore(saved.receipts)
        found = receipts.find("k1")
        assert found is not None
        assert (found.changes, found.warnings) == (receipt(0, 1).changes, ["careful"])
        assert (found.carried_out, found.at) == ([1], 7.0)
        receipts.carried_out(found, 0)

    saved = saved_after(act)
    assert saved_after(next_master).receipts[0].carried_out == [1, 0]


def test_it_is_in_the_commit_that_has_the_effect_and_makes_none_of_its_own() -> None:
    writes: list[State] = []

    async def run() -> None:
        def write(_: str, data: bytes) -> None:
            writes.append(decode(data))

        store = Store("/state.json", asyncio.get_running_loop(), write)
        receipts = Receipts(store, lambda: 7.0)
        receipts.keep("nothing was changed", receipt())
        await store.committed()
        assert writes == []
        store.put_next_id(4)
        receipts.keep("k1", receipt(3))
        await store.committed()
        await receipts.saved()
        await store.close()

    asyncio.run(asyncio.wait_for(run(), 20.0))
    assert [(state.next_id, state.receipts[-1].key) for state in writes] == [(4, "k1"), (4, "k1")]


def test_a_client_that_gives_no_key_is_asked_no_questions() -> None:
    def act(_: Store, receipts: Receipts) -> None:
        assert receipts.keep("", receipt(0)).changes == receipt(0).changes
        assert receipts.find("") is None

    assert saved_after(act).receipts == []


@pytest.mark.parametrize(("ids", "kept"), [((), 3), (range(2), 2), (range(50), 1)])
def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch, ids: range, kept: int) -> None:
    monkeypatch.setattr(receipts_module, "KEPT", 3)
    monkeypatch.setattr(receipts_module, "KEPT_CHANGES", 5)

    def act(_: Store, receipts: Receipts) -> None:
        for number in range(9):
            receipts.keep(str(number), receipt(*ids))

    assert [each.key for each in saved_after(act).receipts] == ["6", "7", "8"][3 - kept :]


def test_none_outlives_the_machine() -> None:
    state = saved_after(lambda _, receipts: receipts.keep("k1", receipt(new_instance(0).id)))
    assert after_reboot(state, 1.0, state.wall_time).receipts == []
