"""Heartbeats that come by themselves: from a loop that turns, and from a thread that proves little."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from agent_router import Master

from pypm import agent
from pypm.agent.beats import chosen_interval
from pypm.agent.channel import Channel
from pypm.testing import wait_until

QUICK = 0.05


def beats(master: Master, proves: str, count: int) -> None:
    for _ in range(count):
        message = master.receive_until(lambda message: message["type"] == "heartbeat")
        assert message["proves"] == proves


class TestLoop:
    def test_they_come_as_long_as_the_block_lasts(self, master: Master, channel: Channel) -> None:
        async def run() -> None:
            async with agent.heartbeats(QUICK) as beating:
                await asyncio.to_thread(beats, master, "loop", 3)
            assert beating._timer is not None
            assert beating._timer.cancelled()

        asyncio.run(run())

    def test_a_loop_that_stands_still_is_silent(self, master: Master, channel: Channel) -> None:
        silence = threading.Event()

        async def run() -> None:
            beating = agent.start_heartbeats(interval=QUICK)
            await asyncio.to_thread(beats, master, "loop", 1)
            last = channel.facts.last_beat
            silence.wait(4 * QUICK)  # the loop is blocked
            assert channel.facts.last_beat == last
            await asyncio.to_thread(wait_until, lambda: channel.facts.last_beat != last)
            beating.stop()

        asyncio.run(run())

    def test_started_before_the_loop_runs(self, master: Master, channel: Channel) -> None:
        loop = asyncio.new_event_loop()
        beating = agent.start_heartbeats(loop, QUICK)
        loop.run_until_complete(loop.run_in_executor(None, beats, master, "loop", 2))
        beating.stop()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    def test_who_cancels_all_tasks_does_not_silence_it(self, master: Master, channel: Channel) -> None:
        async def run() -> None:
            async with agent.heartbeats(QUICK):
                assert asyncio.all_tasks() == {asyncio.current_task()}
                await asyncio.to_thread(beats, master, "loop", 2)

        asyncio.run(run())

    def test_without_a_loop_nothing_happens(self, channel: Channel) -> None:
        beating = agent.start_heartbeats()
        beating.stop()
        loop = asyncio.new_event_loop()
        loop.close()
        agent.start_heartbeats(loop).stop()

    def test_a_loop_that_ends_with_it_is_no_trouble(self, master: Master) -> None:
        done = master.run(
            "import asyncio\n"
            "from pypm import agent\n"
            "async def main():\n"
            "    asyncio.get_running_loop().slow_callback_duration = 100\n"  # or a busy machine is told of
            "    agent.start_heartbeats(interval=0.05)\n"
            "    await asyncio.sleep(0.01)\n"
            "asyncio.run(main())\n"
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert master.receive()["type"] == "heartbeat"


class TestThread:
    def test_they_say_that_they_prove_nothing_but_the_process(self, master: Master, channel: Channel) -> None:
        beating = agent.heartbeat_thread(QUICK)
        try:
            beats(master, "process", 2)
        finally:
            beating.stop()
            beating._thread.join()

    def test_they_are_silent_once_something_better_was_said(self, master: Master, channel: Channel) -> None:
        beating = agent.heartbeat_thread(QUICK)
        try:
            beats(master, "process", 1)
            agent.heartbeat()
            better = channel.facts.last_beat
            beat, turns = beating._beat, []

            def counted() -> None:
                beat()
                turns.append(1)

            beating._beat = counted
            wait_until(lambda: len(turns) >= 3)
            assert channel.facts.last_beat == better
        finally:
            beating.stop()
            beating._thread.join()

    def test_the_thread_keeps_no_program_alive(self, master: Master) -> None:
        done = master.run("from pypm import agent; agent.heartbeat_thread(0.05)")
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_forked_child_has_no_thread(self, master: Master) -> None:
        done = master.run(
            "import os, threading\n"
            "from pypm import agent\n"
            "agent.heartbeat_thread(0.05)\n"
            "child = os.fork()\n"
            "if child == 0: os._exit(threading.active_count())\n"
            "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


@pytest.mark.parametrize(
    ("asked", "watchdog", "expected"),
    [
        (None, None, 1.0),
        (None, "30000000", 1.0),
        (None, "2000000", 0.5),
        (None, "nonsense", 1.0),
        (3.0, "2000000", 3.0),
        (0.0, None, 0.05),
    ],
)
def test_the_interval_fits_the_watchdog(
    monkeypatch: pytest.MonkeyPatch, asked: float | None, watchdog: str | None, expected: float
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if watchdog is not None:
        monkeypatch.setenv("WATCHDOG_USEC", watchdog)
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert chosen_interval(asked) == expected
