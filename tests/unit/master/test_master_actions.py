"""Actions in the master: who has which, what becomes of one that is asked for, and never a second time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fakes import SPEC
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.errors import RequestError
from pypm.core.instance import Instance
from pypm.master.actions import MEMORY_PRESSURE, RECONNECTS, ActionResult, Actions
from pypm.master.telemetry import MOST_NAMES, Offer, Telemetry
from pypm.testing import FakeClock, Program, Simulation

OFFER = Offer(4711, b"conn")


class Parts:
    """Actions of one instance that runs, and what is sent to it."""

    def __init__(self) -> None:
        life = Simulation(SPEC, [Program()])
        life.handle(ev.StartRequested())
        life.run(100.0)
        self.instance: Instance = life.instance
        assert self.instance.run is not None
        self.run_id = self.instance.run.run_id
        self.clock = FakeClock(self.instance.run.started - 1.0)
        self.instances = {self.instance.id: self.instance}
        self.telemetry = Telemetry({"token": (self.instance.id, self.run_id)}, self.clock)
        self.sent: list[dict[str, Any]] = []
        self.gone = False
        self.actions = self.master()

    def master(self) -> Actions:
        loop = asyncio.get_running_loop()
        actions = Actions(loop, self.instances, self.telemetry, self.clock)
        actions.send = self._send
        return actions

    def _send(self, connection: bytes, frame: bytes) -> bool:
        assert connection == OFFER.connection
        self.sent.append(json.loads(frame))
        return not self.gone

    def offer(self, *names: str) -> None:
        assert self.telemetry.of(self.run_id).offer(*OFFER, names)

    async def asked(self, param: str | None = None, timeout: float = 20.0) -> asyncio.Task[ActionResult]:
        asking = self.actions.ask(self.instance, OFFER, "go", param, timeout)
        task = asyncio.ensure_future(asking)
        while not self.sent and not task.done():
            await asyncio.sleep(0)
        return task


def run(test: Callable[[Parts], Awaitable[None]]) -> None:
    async def begin() -> None:
        await test(Parts())

    asyncio.run(asyncio.wait_for(begin(), 30.0))


def test_an_answer_reaches_who_asked() -> None:
    async def test(parts: Parts) -> None:
        task = await parts.asked("text")
        [request] = parts.sent
        assert request.keys() == {"v", "type", "id", "name", "param", "expires"}
        assert (request["v"], request["type"], request["name"], request["param"]) == (
            1, "action", "go", "text",
        )  # fmt: skip
        parts.actions.answered(parts.run_id, "another", True, 1, "")
        parts.actions.answered("another run", request["id"], True, 1, "")
        assert not task.done()
        parts.actions.answered(parts.run_id, request["id"], True, {"a": 1}, "")
        parts.actions.answered(parts.run_id, request["id"], False, None, "again")
        assert await task == ActionResult(parts.instance.id, "agent", True, {"a": 1})
        parts.actions.answered(parts.run_id, request["id"], False, None, "late")

    run(test)


def test_what_nobody_waits_for_is_sent_to_who_has_it() -> None:
    async def test(parts: Parts) -> None:
        assert not parts.actions.tell(parts.instance, "go"), "it has no such action"
        parts.offer("go")
        assert parts.actions.tell(parts.instance, "go")
        [request] = parts.sent
        assert request.keys() == {"v", "type", "id", "name"}
        parts.actions.answered(parts.run_id, request["id"], True, None, "")
        parts.gone = True
        assert not parts.actions.tell(parts.instance, "go")
        assert not parts.telemetry.of(parts.run_id).actions, "who is gone has it no more"
        assert not parts.actions.tell(replace(parts.instance, run=None), "go")

    run(test)


def test_who_can_give_memory_back_is_asked_at_once_when_there_is_little_left() -> None:
    async def test(parts: Parts) -> None:
        assert parts.instance.run is not None
        high = replace(parts.instance, run=replace(parts.instance.run, memory_level="high"))
        tell = (parts.instance.id, parts.run_id, ())
        parts.offer(MEMORY_PRESSURE)
        parts.actions.offered(*tell)
        assert parts.sent == [], "there is enough"
        parts.instances[high.id] = high
        parts.actions.offered(high.id, parts.run_id, {MEMORY_PRESSURE})
        parts.actions.offered(high.id, "another run", ())
        parts.actions.offered(4711, parts.run_id, ())
        assert parts.sent == [], "it was asked when there was little left"
        parts.actions.offered(*tell)
        assert [each["name"] for each in parts.sent] == [MEMORY_PRESSURE]
        parts.clock.now += 10.0
        parts.actions = parts.master()
        parts.actions.offered(*tell)
        assert len(parts.sent) == 1, "it tells a new master what it has told the one before"
        parts.clock.now += RECONNECTS
        parts.actions.offered(*tell)
        assert len(parts.sent) == 2

    run(test)


def test_a_failure_has_its_words() -> None:
    async def test(parts: Parts) -> None:
        task = await parts.asked()
        assert "param" not in parts.sent[0]
        parts.actions.answered(parts.run_id, parts.sent[0]["id"], False, "ignored", "ValueError: x")
        assert await task == ActionResult(parts.instance.id, "agent", False, None, "ValueError: x")

    run(test)


def test_the_end_of_the_run_and_of_patience_are_answers() -> None:
    async def test(parts: Parts) -> None:
        task = await parts.asked()
        parts.actions.changed(parts.instance.id)
        assert not task.done()
        parts.instances[parts.instance.id] = replace(parts.instance, run=None)
        parts.actions.changed(parts.instance.id)
        assert "ended before it answered" in (await task).error
        assert "does not run" in (await (await parts.asked())).error
        parts.instances[parts.instance.id] = parts.instance
        silent = await parts.actions.ask(parts.instance, OFFER, "go", None, 0.01)
        assert "no answer within 0.01 s" in silent.error

    run(test)


def test_a_connection_that_is_gone_offers_nothing_any_more() -> None:
    async def test(parts: Parts) -> None:
        parts.offer("go", "come")
        assert await parts.actions.find(parts.instance, "go") == OFFER
        parts.gone = True
        assert "gone" in (await (await parts.asked())).error
        with pytest.raises(RequestError, match="has registered no actions"):
            await parts.actions.find(parts.instance, "go")

    run(test)


def test_an_unknown_action_is_answered_with_those_there_are() -> None:
    async def test(parts: Parts) -> None:
        parts.offer("cache", "level")
        with pytest.raises(RequestError, match="agent has no action 'cash'") as raised:
            await parts.actions.find(parts.instance, "cash")
        assert raised.value.hint == "did you mean 'cache'? it has cache, level"
        parts.instances.clear()
        with pytest.raises(RequestError, match="does not run"):
            await parts.actions.find(replace(parts.instance, run=None), "cache")

    run(test)


def test_a_new_master_waits_for_what_runs_of_the_one_before_tell_it() -> None:
    async def test(parts: Parts) -> None:
        parts.clock.now += 10.0
        parts.actions = parts.master()
        finding = asyncio.ensure_future(parts.actions.find(parts.instance, "go"))
        await asyncio.sleep(0)
        assert not finding.done()
        parts.offer("go")
        assert await finding == OFFER
        missing = asyncio.ensure_future(parts.actions.find(parts.instance, "other"))
        await asyncio.sleep(0)
        assert not missing.done()
        parts.clock.now += RECONNECTS
        with pytest.raises(RequestError, match="no action 'other'"):
            await missing

    run(test)


def test_a_process_replaces_what_it_has_offered_and_nothing_of_others() -> None:
    said = Telemetry({}, FakeClock()).of("run1")
    assert said.offer(1, b"a", ["one", "both"])
    assert said.offer(2, b"b", ["two", "both"])
    assert said.offer(1, b"c", ["three"])
    assert said.actions == {"three": Offer(1, b"c"), "two": Offer(2, b"b"), "both": Offer(2, b"b")}
    assert not said.offer(3, b"d", [f"name{number}" for number in range(MOST_NAMES)])
    assert len(said.actions) == MOST_NAMES
    assert "two" in said.actions
