"""What the benchmark of agents that get stuck reads from the events."""

from __future__ import annotations

import json

from benchmarks.scenarios.stuck_agents import moments


def line(event: str, name: str, second: int) -> str:
    return json.dumps({"time": f"2026-11-23T01:00:{second:02}.500Z", "event": event, "name": name}) + "\n"


def test_the_first_of_each_step_of_that_agent_counts() -> None:
    begun = 1795395600.5
    text = (
        line("health.heartbeat", "other", 1)
        + line("instance.online", "a", 2)
        + line("health.heartbeat", "a", 3)
        + line("instance.stopping", "a", 4)
        + line("run.ended", "a", 5)
        + line("health.heartbeat", "a", 9)
        + '{"time": "2026-11-'  # which is being written
    )
    assert moments(text, "a") == {"told": begun + 3, "signalled": begun + 4, "gone": begun + 5}
