"""The agent channel with real DEALERs: what becomes an event, and what is dropped and counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import zmq

from pypm.core.events import (
    Beat,
    Event,
    Extended,
    ExtensionReset,
    Occupied,
    Progressed,
    Ready,
    StatusReported,
    StoppingReported,
)
from pypm.master.actions import Actions
from pypm.master.channel import AgentChannel
from pypm.master.telemetry import Telemetry
from pypm.system.sockets import bind_private
from pypm.testing import wait_until

TOKEN = "0123456789abcdef"


class Agents:
    """A channel that knows one run, and the agents that speak on it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.events: list[tuple[int, Event]] = []
        self.runs = {TOKEN: (7, "run1")}
        self.context = zmq.Context()
        self.dealers: list[zmq.Socket[bytes]] = []
        self.now = 1000.0
        self.telemetry = Telemetry(self.runs, lambda: self.now)
        self.actions = Actions(asyncio.get_running_loop(), {}, self.telemetry, lambda: self.now)
        self.channel = AgentChannel(
            bind_private(path),
            asyncio.get_running_loop(),
            self.runs,
            self._handle,
            self.telemetry,
            self.actions,
        )

    def _handle(self, instance_id: int, event: Event) -> None:
        self.events.append((instance_id, event))

    def agent(self) -> zmq.Socket[bytes]:
        dealer = self.context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(f"ipc://{self.path}")
        self.dealers.append(dealer)
        return dealer

    def close(self) -> None:
        self.channel.close()
        for dealer in self.dealers:
            dealer.close()
        self.context.term()

    async def heard(self, count: int) -> list[Event]:
        await asyncio.to_thread(wait_until, lambda: len(self.events) >= count)
        assert len(self.events) == count
        return [event for _, event in self.events]

    async def dropped(self, cause: str, count: int) -> None:
        await asyncio.to_thread(wait_until, lambda: self.channel.dropped[cause] >= count)
        assert self.channel.dropped[cause] == count


def frame(kind: str, **fields: Any) -> bytes:
    return json.dumps({"v": 1, "token": TOKEN, "type": kind, **fields}).encode()


Test = Callable[[Agents, "zmq.Socket[bytes]"], Coroutine[Any, Any, None]]


@pytest.fixture
def speak(home: Path) -> Callable[[Test], None]:
    def run_test(test: Test) -> None:
        async def run() -> None:
            agents = Agents(str(home / "agents.sock"))
            try:
                await test(agents, agents.agent())
            finally:
                agents.close()

        asyncio.run(asyncio.wait_for(run(), 30.0))

    return run_test


def test_each_message_is_its_event(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        agent.send(frame("ready"))
        agent.send(frame("heartbeat"))
        agent.send(frame("heartbeat", ready=True, status="reading"))
        agent.send(frame("status", text="größe"))
        agent.send(frame("stopping", of_a_later_version={"a": 1}))
        assert await agents.heard(7) == [
            Ready("run1"),
            Beat("run1"),
            Beat("run1"),
            Ready("run1"),
            StatusReported("run1", "reading"),
            StatusReported("run1", "größe"),
            StoppingReported("run1"),
        ]
        assert {instance_id for instance_id, _ in agents.events} == {7}
        assert agents.channel.dropped == dict.fromkeys(
            ("malformed", "token", "unknown type", "too many names"), 0
        )

    speak(test)


def test_a_wrong_token_is_counted_and_not_believed(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        for token in ("", "0" * 16, TOKEN + "x"):
            agent.send(frame("ready", token=token))
        await agents.dropped("token", 3)
        agents.runs.clear()  # its run is over
        agent.send(frame("ready"))
        await agents.dropped("token", 4)
        assert agents.events == []

    speak(test)


def test_what_is_no_message_is_counted(
    speak: Callable[[Test], None], caplog: pytest.LogCaptureFixture
) -> None:
    rubbish = [
        b"",
        b"hello",
        b"[]",
        b'"\xff"',
        b"\xff" * 1000,
        b"[" * 60_000,
        b'{"v":1,"token":5,"type":"ready"}',
        b'{"token":"t","type":"ready"}',
        frame("ready", v=2),
        frame("ready", v="1"),
        frame("status", text=5),
    ]

    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        for data in rubbish:
            agent.send(data)
        agent.send_multipart([b"", frame("ready")])
        await agents.dropped("malformed", len(rubbish) + 1)
        agent.send(frame("dance"))
        await agents.dropped("unknown type", 1)
        agent.send(frame("heartbeat"))
        assert await agents.heard(1) == [Beat("run1")]

    speak(test)
    assert caplog.text.count("frames dropped so far") == 5, "1, 2, 4 and 8 of 12, and one of 1"


def test_a_frame_that_is_too_big_cuts_off_only_who_sent_it(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        other = agents.agent()
        other.send(frame("heartbeat"))
        await agents.heard(1)
        agent.send(frame("status", text="x" * 1_000_000))
        other.send(frame("ready"))
        agent.send(frame("stopping"))  # it connects anew by itself
        heard = await agents.heard(3)
        assert Ready("run1") in heard
        assert StoppingReported("run1") in heard

    speak(test)


def test_a_text_is_cut_to_a_bounded_length(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        agent.send(frame("status", text="x" * 5000))
        assert await agents.heard(1) == [StatusReported("run1", "x" * 200)]

    speak(test)


def test_a_flood_is_read_whole_and_others_get_their_turn(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        for number in range(900):
            agent.send(frame("status", text=str(number)))
        turns = 0
        while len(agents.events) < 900:
            await asyncio.sleep(0)
            turns += 1
        assert [event.text for _, event in agents.events if isinstance(event, StatusReported)] == [
            str(number) for number in range(900)
        ]
        assert turns > 1

    speak(test)


def test_many_agents_come_and_go(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        for number in range(20):
            one = agents.agent()
            one.send(frame("heartbeat"))
            await agents.heard(number + 1)
            one.close()

    speak(test)


def test_an_action_goes_to_who_offers_it_and_its_result_comes_back(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        said = agents.telemetry.of("run1")
        answers: list[tuple[object, ...]] = []
        agents.actions.answered = lambda *words: answers.append(words)  # type: ignore[method-assign]
        other = agents.agent()
        other.send(frame("actions", pid=2, names=["other"]))
        agent.send(frame("actions", pid=1, names=["go"]))
        await asyncio.to_thread(wait_until, lambda: set(said.actions) == {"go", "other"}, 20.0)
        assert agents.channel._send(said.actions["go"].connection, b"do it")
        assert await asyncio.to_thread(agent.poll, 20_000)
        assert agent.recv() == b"do it"
        agent.send(frame("action_result", id="x", ok=True, result={"a": [1, None]}))
        agent.send(frame("action_result", id="y", ok=False, error="ValueError"))
        await asyncio.to_thread(wait_until, lambda: len(answers) == 2, 20.0)
        assert answers == [
            ("run1", "x", True, {"a": [1, None]}, ""),
            ("run1", "y", False, None, "ValueError"),
        ]
        connection = said.actions["other"].connection
        other.close()
        loop = asyncio.get_running_loop()

        async def is_gone() -> bool:  # asked in the loop: a socket of ZeroMQ is for one thread at a time
            return not agents.channel._send(connection, b"x")

        asked = lambda: asyncio.run_coroutine_threadsafe(is_gone(), loop).result(20.0)  # noqa: E731
        await asyncio.to_thread(wait_until, asked, 20.0)
        for malformed in ({"names": [""]}, {"names": ["x" * 101]}, {"names": "x"}):
            agent.send(frame("actions", **malformed))
        agent.send(frame("action_result", id="x"))
        agent.send(frame("action_result", ok=True))
        await agents.dropped("malformed", 5)
        agent.send(frame("actions", names=[f"name{number}" for number in range(101)]))
        await agents.dropped("too many names", 1)

    speak(test)


def test_without_agents_zmq_is_not_touched(home: Path) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        telemetry = Telemetry({}, lambda: 0.0)
        channel = AgentChannel(
            bind_private(str(home / "agents.sock")),
            loop,
            {},
            lambda *_: None,
            telemetry,
            Actions(loop, {}, telemetry, lambda: 0.0),
        )
        assert channel._context is None
        channel.close()

    asyncio.run(run())


def test_an_agent_that_was_there_before_the_master_is_heard(home: Path) -> None:
    """It goes on trying: a new master on the same path hears it."""
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.setsockopt(zmq.RECONNECT_IVL, 10)
    dealer.connect(f"ipc://{home / 'agents.sock'}")

    async def run() -> None:
        for _ in range(2):
            agents = Agents(str(home / "agents.sock"))
            dealer.send(frame("heartbeat"))
            await agents.heard(1)
            agents.close()

    try:
        asyncio.run(asyncio.wait_for(run(), 20.0))
    finally:
        dealer.close()
        context.term()


def test_progress_and_deadlines_are_events(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        agent.send(frame("progress"))
        agent.send(frame("progress", iteration=3, message="x" * 300))
        agent.send(frame("extend", pid=5, seconds=120, text="model call"))
        agent.send(frame("reset_deadline", pid=5))
        assert await agents.heard(4) == [
            Progressed("run1"),
            Progressed("run1", "x" * 200, 3),
            Extended("run1", 120.0, "model call"),
            ExtensionReset("run1"),
        ]

    speak(test)


def test_what_is_incomplete_or_means_nothing_is_malformed(speak: Callable[[Test], None]) -> None:
    wrong = [
        frame("extend"),
        frame("extend", seconds=-1),
        frame("extend", seconds=1e300),
        frame("extend", seconds="60"),
        frame("reset_deadline", seconds=-1),
        frame("heartbeat", extend=-1),
        frame("progress", iteration=2**60),
        frame("progress", iteration=1.5),
        frame("metric", name="tokens"),
        frame("metric", name="", value=1),
        frame("metric", name="tokens", value="many"),
        frame("task", name="summary"),
        frame("task", name="summary", state="dancing"),
        frame("task", name="", state="done"),
    ]

    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        for data in wrong:
            agent.send(data)
        await agents.dropped("malformed", len(wrong))
        assert agents.events == []
        assert agents.telemetry.find("run1") is None

    speak(test)


def test_a_heartbeat_repeats_a_wait_and_only_news_is_an_event(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        agent.send(frame("extend", pid=5, seconds=100, text="model"))
        agent.send(frame("heartbeat", pid=5, extend=100.2, waiting="model"))  # it was a while on the way
        agent.send(frame("heartbeat", pid=6, extend=0, waiting=""))  # another process waits for nothing
        agent.send(frame("heartbeat", pid=5, extend=0, waiting=""))  # the end of the wait was lost
        agent.send(frame("heartbeat", pid=5, extend=0, waiting=""))
        assert await agents.heard(6) == [
            Extended("run1", 100.0, "model"),
            *[Beat("run1")] * 3,
            ExtensionReset("run1"),
            Beat("run1"),
        ]

    speak(test)


def test_what_heartbeats_repeat_is_passed_on_once(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        for status in ("a", "a", "b", "b" * 300, "b"):
            agent.send(frame("heartbeat", ready=True, status=status))
        agent.send(frame("ready"))
        assert await agents.heard(11) == [
            Beat("run1"),
            Ready("run1"),
            StatusReported("run1", "a"),
            Beat("run1"),
            Beat("run1"),
            StatusReported("run1", "b"),
            Beat("run1"),
            StatusReported("run1", "b" * 200),
            Beat("run1"),
            StatusReported("run1", "b"),
            Ready("run1"),
        ]

    speak(test)


def test_a_new_master_hears_of_a_wait_from_a_heartbeat(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        agent.send(frame("heartbeat", pid=5, extend=42.5, waiting="a tool"))
        assert await agents.heard(2) == [Beat("run1"), Extended("run1", 42.5, "a tool")]

    speak(test)


def test_a_beat_of_the_process_does_not_hide_that_the_loop_stands_still(
    speak: Callable[[Test], None],
) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        agent.send(frame("heartbeat", proves="process"))
        agent.send(frame("heartbeat", proves="loop"))
        agent.send(frame("heartbeat", proves="process", ready=True))
        assert await agents.heard(3) == [Beat("run1"), Beat("run1"), Ready("run1")]

    speak(test)


def test_metrics_and_tasks_are_kept_with_a_bound(speak: Callable[[Test], None]) -> None:
    async def test(agents: Agents, agent: zmq.Socket[bytes]) -> None:
        for value in (1, 2.5):
            agent.send(frame("metric", name="tokens", value=value))
        for number in range(150):
            agent.send(frame("metric", name=f"metric {number}", value=number))
        agent.send(frame("metric", name="n" * 5000, value=1))
        for state, identity in (
            ("begun", "1"),
            ("begun", "2"),
            ("failed", "1"),
            ("begun", "3"),
            ("done", "2"),
        ):
            agent.send(frame("task", name="summary", state=state, id=identity))
        begun = Occupied("run1", tasks=True)
        assert await agents.heard(2) == [begun, Progressed("run1", "summary")], "what is done is progress"
        run = agents.telemetry.of("run1")
        assert run.metrics["tokens"].value == 2.5
        assert len(run.metrics) == 100
        assert agents.channel.dropped["too many names"] == 52
        [task] = run.tasks.values()
        assert (task.name, task.state, task.running, task.done, task.failed) == ("summary", "done", 1, 1, 1)

    speak(test)
