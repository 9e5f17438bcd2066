"""Honest waits: the longest one holds, however they are nested, and in whatever thread or task they are."""

from __future__ import annotations

import asyncio
import math
import threading

import pytest
from agent_router import Master
from hypothesis import given
from hypothesis import strategies as st

from pypm import agent
from pypm.agent.channel import Channel
from pypm.agent.waits import BURST, BY_HAND, PACE, TOLERANCE, Announcement, Waits, bounded_seconds


def said(message: dict[str, object]) -> tuple[object, ...]:
    """A message's type, its seconds rounded up to whole ones, and its text."""
    seconds = message.get("seconds")
    rounded = math.ceil(seconds) if isinstance(seconds, float) else seconds
    return tuple(each for each in (message["type"], rounded, message.get("text")) if each is not None)


class TestMessages:
    def test_a_wait_is_announced_and_taken_back(self, master: Master, channel: Channel) -> None:
        with agent.waiting(120, "model call"):
            assert said(master.receive()) == ("extend", 120, "model call")
        assert said(master.receive()) == ("reset_deadline",)

    def test_async_with(self, master: Master, channel: Channel) -> None:
        async def wait() -> None:
            async with agent.waiting(5, "a tool"):
                pass

        asyncio.run(wait())
        assert [said(master.receive()) for _ in range(2)] == [("extend", 5, "a tool"), ("reset_deadline",)]

    def test_an_exception_ends_the_wait_and_goes_on(self, master: Master, channel: Channel) -> None:
        with pytest.raises(ValueError, match="x"), agent.waiting(5):
            raise ValueError("x")
        assert [master.receive()["type"] for _ in range(2)] == ["extend", "reset_deadline"]

    def test_a_shorter_wait_within_a_longer_one_says_nothing(self, master: Master, channel: Channel) -> None:
        with agent.waiting(600, "research"), agent.waiting(60, "model call"):
            pass
        assert [said(master.receive()) for _ in range(2)] == [
            ("extend", 600, "research"),
            ("reset_deadline",),
        ]

    def test_leaving_the_longest_announces_the_longest_that_is_left(
        self, master: Master, channel: Channel
    ) -> None:
        with agent.waiting(60, "outer"):
            with agent.waiting(600, "inner"):
                pass
            agent.status("between")
        assert [said(master.receive()) for _ in range(5)] == [
            ("extend", 60, "outer"),
            ("extend", 600, "inner"),
            ("reset_deadline", 60, "outer"),
            ("status", "between"),
            ("reset_deadline",),
        ]

    def test_by_hand(self, master: Master, channel: Channel) -> None:
        agent.reset_deadline()  # nothing was announced: nothing is said
        agent.extend_deadline(120, "backup")
        agent.extend_deadline(10, "never shorter")
        agent.extend_deadline(300)
        with agent.waiting(30):
            agent.reset_deadline()
        assert [said(master.receive()) for _ in range(4)] == [
            ("extend", 120, "backup"),
            ("extend", 300, ""),
            ("reset_deadline", 30, ""),
            ("reset_deadline",),
        ]

    def test_one_object_in_several_tasks(self, master: Master, channel: Channel) -> None:
        wait = agent.waiting(100, "shared")

        async def use(entered: asyncio.Barrier) -> None:
            async with wait:
                await entered.wait()

        async def run() -> None:
            entered = asyncio.Barrier(3)
            await asyncio.gather(*(use(entered) for _ in range(3)))

        asyncio.run(run())
        agent.stopping()
        types = []
        while types[-1:] != ["stopping"]:
            types.append(master.receive()["type"])
        assert types[0] == "extend"
        assert types[-2:] == ["reset_deadline", "stopping"]
        assert channel.waits.longest() == (0.0, "")

    def test_many_threads_leave_nothing_behind(self, master: Master, channel: Channel) -> None:
        def work(seed: int) -> None:
            for number in range(30):
                with agent.waiting(seed * 7 % 50 + number, "a"), agent.waiting(number):
                    agent.heartbeat()

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert channel.waits.longest() == (0.0, "")
        assert channel.waits.overdue == (channel.waits.announced > 0.0)

    def test_heartbeats_repeat_what_is_waited_for(
        self, master: Master, channel: Channel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(channel, "_is_too_soon", lambda *_: False)
        agent.heartbeat()
        assert "extend" not in master.receive()
        with agent.waiting(50, "model call"):
            agent.heartbeat()
            assert said(master.receive())[0] == "extend"
            beat = master.receive()
            assert beat["waiting"] == "model call"
            assert 49 < float(str(beat["extend"])) <= 50
        agent.heartbeat()
        assert said(master.receive()) == ("reset_deadline",)
        beat = master.receive()
        assert (beat["extend"], beat["waiting"]) == (0, "")

    def test_a_child_that_was_forked_in_a_wait_does_not_end_the_parents(self, master: Master) -> None:
        done = master.run(
            "import os, sys\n"
            "from pypm import agent\n"
            "with agent.waiting(60, 'parent'):\n"
            "    child = os.fork()\n"
            "    if child: os.waitpid(child, 0)\n"
            "agent.status('child' if child == 0 else 'parent')\n"
        )
        assert (done.returncode, done.stderr) == (0, "")
        messages = [master.receive() for _ in range(4)]
        # Each has a connection of its own: whose message comes first is not known.
        parent = next(each["pid"] for each in messages if each["type"] == "extend")
        assert sorted(said(each) for each in messages if each["pid"] != parent) == [("status", "child")]
        assert [said(each) for each in messages if each["pid"] == parent] == [
            ("extend", 60, "parent"),
            ("reset_deadline",),
            ("status", "parent"),
        ]

    @pytest.mark.parametrize("seconds", [None, "x", float("nan"), float("inf"), -5, 10**400, object()])
    def test_any_time_and_text_is_swallowed(self, master: Master, channel: Channel, seconds: object) -> None:
        with agent.waiting(seconds, object()):  # type: ignore[arg-type]
            agent.extend_deadline(seconds, "\ud800")  # type: ignore[arg-type]
        agent.stopping()
        assert master.receive_until(lambda message: message["type"] == "stopping")


class TestSet:
    @pytest.mark.parametrize(
        ("given_seconds", "expected"),
        [(5, 5.0), ("7.5", 7.5), (-1, 0.0), (1e12, 30 * 86400.0), (float("nan"), 0.0), (None, 0.0)],
    )
    def test_seconds_are_bounded(self, given_seconds: object, expected: float) -> None:
        assert bounded_seconds(given_seconds) == expected

    def test_a_busy_loop_announces_little_and_never_too_little(self) -> None:
        waits, told, now, count = Waits(), 0.0, 0.0, 0
        for _ in range(10_000):
            entered = waits.enter(1, 5, "", now)
            if entered is not None:
                count, told = count + 1, now + entered.seconds
            assert told - now >= 5 - TOLERANCE
            now += 0.001
            left = waits.leave(1, now)
            if left is not None:
                count, told = count + 1, 0.0
        assert count < 2 * BURST + 10 * 2 * PACE, "ten seconds have passed"
        assert waits.overdue
        announcement = waits.settle(now + 1)
        assert announcement is not None
        assert (announcement.seconds, announcement.anew) == (0.0, True)
        assert waits.settle(now + 2) is None

    def test_leaving_what_was_never_entered_is_nothing(self) -> None:
        waits = Waits()
        assert waits.leave(5, 0.0) is None
        waits.enter(1, 10, "a", 0.0)
        assert waits.leave(5, 1.0) is None

    def test_a_forgotten_exit_does_not_grow_for_ever(self) -> None:
        waits = Waits()
        for key in range(1, 30_000):
            waits.enter(key, 10, "leak", 0.0)
        assert len(waits._waits) == 10_000

    @given(
        st.lists(
            st.tuples(st.integers(BY_HAND, 5), st.booleans(), st.integers(1, 50), st.integers(0, 20)),
            max_size=50,
        )
    )
    def test_what_is_announced_is_the_longest_wait_at_any_time(
        self, steps: list[tuple[int, bool, int, int]]
    ) -> None:
        """Replayed by a listener that never shortens but by a reset, the deadline is that of the waits."""
        waits, told, now = Waits(), 0.0, 0.0
        own: dict[int, float] = {}

        def hear(announcement: Announcement | None) -> None:
            nonlocal told
            if announcement is not None:
                told = 0.0 if announcement.anew else told
                told = max(told, now + announcement.seconds)

        for key, enters, seconds, pause in steps:
            now += pause
            if enters:
                hear(waits.enter(key, seconds, "", now))
                own[key] = max(own.get(key, 0.0), now + seconds)
            else:
                hear(waits.leave(key, now))
                own.pop(key, None)
            left = max((until - now for until in own.values()), default=0.0)
            assert max(told - now, 0.0) >= left - TOLERANCE
            if not waits.overdue:
                assert max(told - now, 0.0) == max(left, 0.0)
        now += 1.0
        hear(waits.settle(now))
        left = max((until - now for until in own.values()), default=0.0)
        assert max(told - now, 0.0) == max(left, 0.0)
