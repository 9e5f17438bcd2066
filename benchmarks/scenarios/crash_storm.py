"""50 apps that exit at once and are restarted without a limit: is the manager still there for people?"""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Collected, Session
from benchmarks.commands import run_command
from benchmarks.processes import cpu_seconds, reaped_cpu_seconds
from benchmarks.report import BARE, Report, Row, Target

__all__ = ["run"]

COUNT = 50
LEAD_SECONDS = 2.0
"""After the start command has returned, before the window begins."""
PAUSE_SECONDS = 0.25
"""Between two status commands, so that they are a small part of the load."""


def run(bench: Bench) -> Report:
    """One manager at a time, because a storm takes the machine for itself."""
    title = f"{COUNT} apps that exit at once, restart limits off, smallest delay permitted"
    report = Report("crash_storm", title, "posix_spawn/waitpid loop")
    window = 4.0 if bench.quick else 10.0
    rounds = bench.rounds(normal=2, quick=1)
    bench.say(f"{rounds} × {window:g} s")
    report.notes.append(f"{rounds} window(s) of {window:g} s")
    collected = Collected()

    def sample(column: str, _: int) -> None:
        with bench.session(column, bench.workload(COUNT, "exit", at_once=True)) as session:
            _storm(collected, column, session, window)

    bench.take_turns(report, bench.columns(), rounds, sample)
    report.rows = [
        collected.fill(Row("starts of all apps together", "/s"), "starts"),
        collected.fill(Row("manager's CPU, of one core", "%", ratio=False), "cpu"),
        collected.fill(Row("manager's CPU for each start", "ms", targets=(Target(1.0),)), "cpu per start"),
        collected.fill(Row("the same with its reaped children", "ms"), "reaped per start"),
        collected.fill(Row("status command in the storm, median", "ms", targets=(Target(60),)), "status"),
        collected.fill(Row("status command in the storm, worst", "ms", statistic="worst"), "status"),
    ]
    return report


def _storm(collected: Collected, column: str, session: Session, window: float) -> None:
    session.finish(session.peer.start())
    time.sleep(LEAD_SECONDS)
    managers = _lasting_pids(session)
    session.stamps.read_new()
    begun, cpu, reaped = time.monotonic(), cpu_seconds(managers), reaped_cpu_seconds(managers)
    while time.monotonic() < begun + window:
        status = session.peer.status_command() if column != BARE else None
        if status:
            collected.add("status", column, run_command(status, session.peer.environment).seconds * 1e3)
        time.sleep(PAUSE_SECONDS)
    passed = time.monotonic() - begun
    cpu, reaped = cpu_seconds(managers) - cpu, reaped_cpu_seconds(managers) - reaped
    starts = max(1, len(session.stamps.read_new()))
    collected.add("starts", column, starts / passed)
    collected.add("cpu", column, cpu / passed * 100)
    collected.add("cpu per start", column, cpu / starts * 1e3)
    collected.add("reaped per start", column, (cpu + reaped) / starts * 1e3)


def _lasting_pids(session: Session) -> list[int]:
    """The manager's processes without those that are about to become an agent."""
    seen = set(session.peer.manager_pids())
    time.sleep(0.1)
    return sorted(seen & set(session.peer.manager_pids()))
