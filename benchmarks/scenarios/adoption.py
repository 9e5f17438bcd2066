"""A thousand agents whose master is killed: when does another one know all of them?"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.bench import Bench, Collected
from benchmarks.peers.base import PeerError
from benchmarks.peers.pypm import Pypm
from benchmarks.processes import cpu_seconds
from benchmarks.report import Report, Row, Target
from benchmarks.supervised import columns, supervised

__all__ = ["run"]

COUNT = 1000
SERVED_SECONDS = 2.0
"""How long a master has served when it is killed: one that is killed sooner is replaced after a pause."""
ONLINE_SECONDS = 60.0


def run(bench: Bench) -> Report:
    """pypm only: no other manager adopts."""
    report = Report("adoption", f"kill -9 of the master of {COUNT:,} agents, one app each", "")
    rounds = bench.rounds(normal=5, quick=2)
    bench.say(f"{rounds} kills")
    collected = Collected()
    for column in columns(bench):
        with supervised(bench, column, COUNT) as (_, peer):
            for _ in range(rounds):
                _measure(collected, column, peer)
    report.rows = [
        collected.fill(Row("until the socket answers", "ms"), "answer"),
        collected.fill(Row("CPU time of the new master until then", "ms"), "cpu"),
        collected.fill(Row("until all are listed as online", "ms", targets=(Target(2000),)), "list"),
        collected.fill(Row("agents with another pid", "", statistic="worst", targets=(Target(0),)), "other"),
    ]
    return report


def _measure(collected: Collected, column: str, peer: Pypm) -> None:
    peer.wait_until(lambda: len(_online(peer)) == COUNT, "every agent online", ONLINE_SECONDS)
    before = _online(peer)
    time.sleep(SERVED_SECONDS)
    begun = time.monotonic()
    answer = peer.kill_master()
    cpu = cpu_seconds([peer.main_pid()])
    after = _online(peer)
    collected.add("cpu", column, cpu * 1e3)
    collected.add("answer", column, answer * 1e3)
    collected.add("list", column, (time.monotonic() - begun) * 1e3)
    if len(after) != COUNT:
        raise PeerError(f"only {len(after)} of {COUNT} agents are online at the first answer")
    collected.add("other", column, sum(before[name] != pid for name, pid in after.items()))


def _online(peer: Pypm) -> dict[str, Any]:
    """The pids of the agents that are listed as online, by name."""
    return {row["name"]: row["pid"] for row in peer.call("list") if row["status"] == "online"}
