"""The master is killed: when does its socket answer again?"""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Collected
from benchmarks.processes import cpu_seconds
from benchmarks.report import Report, Row, Target
from benchmarks.supervised import columns, supervised

__all__ = ["run"]

COUNT = 100
SERVED_SECONDS = 1.5
"""How long a master has served when it is killed: one that is killed sooner is replaced after a pause."""


def run(bench: Bench) -> Report:
    """pypm only: no other manager comes back by itself and knows its agents."""
    report = Report("master_killed", f"kill -9 of the master of {COUNT} agents", "")
    rounds = bench.rounds(normal=15, quick=5)
    bench.say(f"{rounds} kills")
    collected = Collected()
    for column in columns(bench):
        with supervised(bench, column, COUNT) as (session, peer):
            for _ in range(rounds):
                time.sleep(SERVED_SECONDS)
                collected.add("answer", column, peer.kill_master() * 1e3)
                collected.add("cpu", column, cpu_seconds([peer.main_pid()]) * 1e3)
            same = sum(stamp.pid in peer.workload_pids() for stamp in session.latest.values())
            collected.add("lost", column, COUNT - same)
    report.rows = [
        collected.fill(Row("until the socket answers, median", "ms", targets=(Target(300),)), "answer"),
        collected.fill(Row("until the socket answers, worst", "ms", statistic="worst"), "answer"),
        collected.fill(Row("CPU time of the new master until then", "ms"), "cpu"),
        collected.fill(Row("agents that are not the same process after all kills", "", ratio=False), "lost"),
    ]
    report.rows[-1].targets = (Target(0),)
    return report
