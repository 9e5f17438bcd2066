"""From the stop command until the last of 100 agents, which end at once on a signal, is gone."""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Collected
from benchmarks.peers.base import PeerError
from benchmarks.report import Report, Row, Target

__all__ = ["run"]

COUNT = 100
SETTLE_SECONDS = 1.5
"""More than any manager needs to call a start a success."""
GONE_SECONDS = 60.0


def run(bench: Bench) -> Report:
    """Each sample has a new manager with new agents."""
    title = f"stop {COUNT} agents that end at once on SIGTERM or SIGINT"
    report = Report("stop_n", title, "kill loop, then waitpid loop")
    collected = Collected()
    rounds = bench.rounds(normal=7, quick=3)
    bench.say(f"{rounds} rounds")

    def sample(column: str, _: int) -> None:
        with bench.session(column, bench.workload(COUNT)) as session:
            started, _stamps = session.start_all()
            session.finish(started)
            time.sleep(SETTLE_SECONDS)
            with session.watch_deaths() as deaths:
                order = session.peer.stop()
                gone = deaths.wait(GONE_SECONDS)
            if gone is None:
                raise PeerError(f"agents were left {GONE_SECONDS:g} s after the stop command")
            collected.add("gone", column, (gone - order.begun) / 1e6)
            collected.add("returned", column, (session.finish(order) - order.begun) / 1e6)

    bench.take_turns(report, bench.columns(), rounds, sample)
    report.rows.append(collected.fill(Row("until the last is gone", "ms", targets=(Target(120),)), "gone"))
    report.rows.append(collected.fill(Row("until the command returned", "ms", ratio=False), "returned"))
    return report
