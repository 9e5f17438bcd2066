"""From the start command until the last of N agents runs main(); the manager is up with nothing else."""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Collected
from benchmarks.report import BARE, Report, Row, Target

__all__ = ["run"]

TARGETS = {100: Target(4, of=BARE), 300: Target(3, of=BARE)}
SETTLE_SECONDS = 1.5
"""After boot; supervisord starts nothing before its first poll of 1 s is over."""


def run(bench: Bench) -> Report:
    """Each sample has a new manager, which is ended the hard way afterwards."""
    title = "start N agents, one app each; manager up, nothing else running"
    report = Report("start_n", title, "posix_spawn loop, already running, told by one byte")
    for count in [100] if bench.quick else [100, 300]:
        _measure(bench, report, count, bench.rounds(normal=7, quick=3))
    return report


def _measure(bench: Bench, report: Report, count: int, rounds: int) -> None:
    bench.say(f"{count} agents, {rounds} rounds")
    collected = Collected()

    def sample(column: str, _: int) -> None:
        with bench.session(column, bench.workload(count)) as session:
            time.sleep(SETTLE_SECONDS)
            order, stamps = session.start_all()
            last = max(stamp.nanoseconds for stamp in stamps.values())
            collected.add("last", column, (last - order.begun) / 1e6)
            collected.add("returned", column, (session.finish(order) - order.begun) / 1e6)

    bench.take_turns(report, bench.columns(), rounds, sample)
    last = Row(f"{count}: until the last main()", "ms", targets=(TARGETS[count],))
    returned = Row(f"{count}: until the command returned", "ms", ratio=False)
    report.rows += [collected.fill(last, "last"), collected.fill(returned, "returned")]
