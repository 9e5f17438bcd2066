"""From ``kill -9`` of an agent to the main() of the next run, when the policy says "now"."""

from __future__ import annotations

import os
import signal
import time

from benchmarks.bench import Bench, Collected, Session
from benchmarks.peers.base import PeerError
from benchmarks.report import BARE, Report, Row, Target

__all__ = ["run"]

AGENTS = 5
ANSWER_SECONDS = 15.0
PAUSE_SECONDS = 0.1
"""Between two deaths, so that each is a lone one."""


def run(bench: Bench) -> Report:
    """All managers are up at the same time with a few agents each, and lose one of them in turns."""
    report = Report(
        "restart_latency", "death to new main(), smallest delay permitted", "posix_spawn/waitpid loop"
    )
    collected = Collected()
    rounds = bench.rounds(normal=60, quick=20)
    bench.say(f"{rounds} deaths each")
    with bench.sessions(report, bench.workload(AGENTS, at_once=True)) as running:

        def sample(column: str, number: int) -> None:
            collected.add("latency", column, _latency(running[column], number % AGENTS))

        bench.take_turns(report, running, rounds, sample)
    cells = collected.cells("latency")
    target = Target(3, of=BARE)
    report.rows.append(Row("kill -9 to new main(), median", "ms", cells, targets=(target,)))
    report.rows.append(Row("kill -9 to new main(), worst", "ms", cells, statistic="worst"))
    return report


def _latency(session: Session, key: int) -> float:
    """Kills the newest run of one app; milliseconds until the next one says that it runs."""
    time.sleep(PAUSE_SECONDS)
    victim = session.latest[key]
    age = (time.monotonic_ns() - victim.nanoseconds) / 1e9
    time.sleep(max(0.0, session.peer.settle_seconds - age))
    session.stamps.read_new()
    begun = time.monotonic_ns()
    os.kill(victim.pid, signal.SIGKILL)
    seen = session.stamps.wait_for(lambda stamps: any(stamp.key == key for stamp in stamps), ANSWER_SECONDS)
    found = [stamp for stamp in seen if stamp.key == key]
    if not found:
        raise PeerError(f"a killed agent was not restarted within {ANSWER_SECONDS:g} s")
    session.latest[key] = found[-1]
    return (found[0].nanoseconds - begun) / 1e6
