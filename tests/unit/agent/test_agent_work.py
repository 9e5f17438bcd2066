"""Progress, tasks and metrics: what is sent, how often, and that nothing of it can disturb a program."""

from __future__ import annotations

import asyncio
import time

import pytest
from agent_router import Master

from pypm import agent
from pypm.agent.channel import Channel
from pypm.agent.zeromq import ZeroMQ

ENVELOPE = {"v", "token", "pid", "time"}


def fields(message: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in message.items() if name not in ENVELOPE}


@pytest.fixture
def unhurried(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> Channel:
    """A channel that sends everything, however quickly it is said."""
    monkeypatch.setattr(channel, "_is_too_soon", lambda *_: False)
    return channel


class TestProgress:
    def test_it_carries_what_is_known(self, master: Master, unhurried: Channel) -> None:
        agent.progress()
        agent.progress(7)
        agent.progress(message="tool call")
        agent.progress(iteration=8, message="x" * 1000)
        assert [fields(master.receive()) for _ in range(4)] == [
            {"type": "progress"},
            {"type": "progress", "iteration": 7},
            {"type": "progress", "message": "tool call"},
            {"type": "progress", "iteration": 8, "message": "x" * 200},
        ]

    def test_a_busy_loop_sends_few_and_the_last_one_goes_with_the_next_word(
        self, master: Master, channel: Channel
    ) -> None:
        begin = time.monotonic()
        for number in range(3000):
            agent.progress(number)
        allowed = (time.monotonic() - begin) / ZeroMQ.interval + 2
        agent.stopping()
        iterations = []
        while (message := master.receive())["type"] == "progress":
            iterations.append(message["iteration"])
        assert iterations[0] == 0
        assert iterations[-1] == 2999
        assert len(iterations) <= allowed

    def test_what_was_held_back_is_sent_at_the_exit(self, master: Master) -> None:
        done = master.run("from pypm import agent\nfor number in range(50): agent.progress(number)")
        assert (done.returncode, done.stderr) == (0, "")
        assert master.receive_until(lambda message: message["iteration"] == 49)

    @pytest.mark.parametrize("iteration", ["x", object(), float("nan")])
    def test_nonsense_is_swallowed(self, master: Master, channel: Channel, iteration: object) -> None:
        agent.progress(iteration)  # type: ignore[arg-type]
        agent.ready()
        assert master.receive()["type"] == "ready"


class TestTasks:
    def test_done_and_failed(self, master: Master, channel: Channel) -> None:
        with agent.task("summary"):
            pass
        with pytest.raises(KeyError), agent.task("summary"):
            raise KeyError("x")
        first, second, third, fourth = (fields(master.receive()) for _ in range(4))
        assert (first["name"], first["state"], second["state"]) == ("summary", "begun", "done")
        assert (third["state"], fourth["state"]) == ("begun", "failed")
        assert first["id"] == second["id"] != third["id"] == fourth["id"]

    def test_a_task_that_is_cancelled_has_failed(self, master: Master, channel: Channel) -> None:
        async def work() -> None:
            async with agent.task("endless"):
                await asyncio.Event().wait()

        async def run() -> None:
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(run())
        assert [master.receive()["state"] for _ in range(2)] == ["begun", "failed"]

    def test_done_is_progress_and_failed_is_not(self, master: Master, channel: Channel) -> None:
        with pytest.raises(ValueError, match="x"), agent.task("a"):
            raise ValueError("x")
        assert channel.facts.last_progress is None
        with agent.task("a"):
            pass
        assert channel.facts.last_progress is not None

    def test_a_name_that_cannot_be_printed(self, master: Master, channel: Channel) -> None:
        class Unprintable:
            def __str__(self) -> str:
                raise RuntimeError("no")

        with agent.task(Unprintable()):  # type: ignore[arg-type]
            pass
        with agent.task("n" * 1000):
            pass
        names = [master.receive()["name"] for _ in range(4)]
        assert names == ["?", "?", "n" * 100, "n" * 100]


class TestMetrics:
    def test_numbers(self, master: Master, unhurried: Channel) -> None:
        agent.metric("tokens", 12)
        agent.metric("cost", 0.25)
        agent.metric("busy", True)
        agent.metric("atoms", 10**80)
        values = [master.receive()["value"] for _ in range(4)]
        assert [repr(value) for value in values] == ["12", "0.25", "1", "1e+80"]

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, "many", None, object()])
    def test_what_is_no_finite_number_is_not_sent(
        self, master: Master, channel: Channel, value: object
    ) -> None:
        agent.metric("tokens", value)  # type: ignore[arg-type]
        agent.ready()
        assert master.receive()["type"] == "ready"

    def test_each_name_has_a_pace_of_its_own_and_the_last_values_arrive(
        self, master: Master, channel: Channel
    ) -> None:
        for number in range(1000):
            agent.metric("a", number)
            agent.metric("b", -number)
        agent.stopping()
        latest: dict[object, object] = {}
        count = 0
        while (message := master.receive())["type"] == "metric":
            latest[message["name"]] = message["value"]
            count += 1
        assert latest == {"a": 999, "b": -999}
        assert count < 500

    def test_more_names_than_are_kept_are_dropped(self, master: Master, channel: Channel) -> None:
        for number in range(300):
            agent.metric(f"name {number}", number)
        agent.progress(1)
        agent.heartbeat()
        agent.stopping()
        types = []
        while types[-1:] != ["stopping"]:
            types.append(master.receive()["type"])
        assert types.count("metric") == 100
        assert types[-3:] == ["progress", "heartbeat", "stopping"], "they are not crowded out"
