"""10,000 simulated agent-days: who is disturbed, which stall is missed, which reason is wrong?"""

from __future__ import annotations

import time

from benchmarks.agent_days import simulate
from benchmarks.bench import Bench
from benchmarks.figures import Samples
from benchmarks.report import PYPM, Report, Row, Target

__all__ = ["run"]


def run(bench: Bench) -> Report:
    """The state machine alone, on the fake clock: no process, no baseline."""
    days = 500 if bench.quick else 10_000
    bench.say(f"{days} agent-days")
    report = Report("agent_days", f"{days} simulated agent-days", "")
    begun = time.monotonic()
    outcome = simulate(days)
    seconds = time.monotonic() - begun
    figures = [
        ("healthy agents disturbed", "", len(outcome.disturbed), Target(0)),
        ("stalls missed", "", len(outcome.missed), Target(0)),
        ("wrong reasons", "", len(outcome.wrong_reasons), Target(0)),
        ("stalls", "", outcome.stalls, None),
        ("latest after its limit", "s", outcome.slowest, Target(1)),
        ("each step of the state machine", "µs", seconds / outcome.steps * 1e6, None),
    ]
    for title, unit, value, target in figures:
        row = Row(title, unit, ratio=False, targets=() if target is None else (target,))
        row.cells[PYPM] = Samples((float(value),))
        report.rows.append(row)
    report.notes += [*outcome.disturbed[:5], *outcome.missed[:5], *outcome.wrong_reasons[:5]]
    return report
