"""From ``restart all`` of 60 agents until the last of the new runs is in main()."""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Collected
from benchmarks.report import Report, Row, Target

__all__ = ["run"]

COUNT = 60
SETTLE_SECONDS = 1.5


def run(bench: Bench) -> Report:
    """All managers are up at the same time and restart all of their agents in turns."""
    report = Report("restart_all", f"restart {COUNT} agents that end at once", "stop loop, then spawn loop")
    collected = Collected()
    rounds = bench.rounds(normal=5, quick=2)
    bench.say(f"{rounds} rounds")
    with bench.sessions(report, bench.workload(COUNT)) as running:

        def sample(column: str, _: int) -> None:
            session = running[column]
            time.sleep(SETTLE_SECONDS)
            session.stamps.read_new()
            order, stamps = session.await_all(session.peer.restart())
            last = max(stamp.nanoseconds for stamp in stamps.values())
            collected.add("last", column, (last - order.begun) / 1e6)
            collected.add("returned", column, (session.finish(order) - order.begun) / 1e6)

        bench.take_turns(report, running, rounds, sample)
    report.rows.append(
        collected.fill(Row("until the last new main()", "ms", targets=(Target(1000),)), "last")
    )
    report.rows.append(collected.fill(Row("until the command returned", "ms", ratio=False), "returned"))
    return report
