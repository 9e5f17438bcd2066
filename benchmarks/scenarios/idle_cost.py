"""What a manager costs while its agents do nothing: CPU time, wake-ups, memory, processes."""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Collected
from benchmarks.processes import context_switches, cpu_seconds, memory_of
from benchmarks.report import Report, Row, Target

__all__ = ["run"]

REPORTED_SECONDS = 30.0
"""CPU time is reported for this long; several managers have work that they do as seldom as this."""
MEGABYTE = 1e6


def run(bench: Bench) -> Report:
    """All managers are up at the same time and are watched in the same window."""
    report = Report("idle_cost", "all processes of the manager, agents idle", "posix_spawn/waitpid loop")
    window = REPORTED_SECONDS if bench.quick else 2 * REPORTED_SECONDS
    report.notes.append(f"window of {window:g} s, CPU scaled to {REPORTED_SECONDS:g} s")
    for count in [100] if bench.quick else [100, 300]:
        _measure(bench, report, count, window)
    return report


def _measure(bench: Bench, report: Report, count: int, window: float) -> None:
    rounds = bench.rounds(normal=2, quick=1)
    bench.say(f"{count} agents, {rounds} × {window:g} s")
    collected = Collected()
    with bench.sessions(report, bench.workload(count)) as running:
        time.sleep(2.0 if bench.quick else 10.0)
        managers = {column: session.peer.manager_pids() for column, session in running.items()}
        for _ in range(rounds):
            before = {
                column: (cpu_seconds(pids), context_switches(pids)) for column, pids in managers.items()
            }
            time.sleep(window)
            for column, pids in managers.items():
                cpu, switches = before[column]
                scale = REPORTED_SECONDS / window
                collected.add("cpu", column, (cpu_seconds(pids) - cpu) * scale * 1e3)
                collected.add("switches", column, (context_switches(pids) - switches) / window)
        for column, pids in managers.items():
            memory = memory_of(pids)
            collected.add("own", column, memory.own / MEGABYTE)
            collected.add("proportional", column, memory.proportional / MEGABYTE)
            collected.add("resident", column, memory.resident / MEGABYTE)
            collected.add("processes", column, len(pids))
    is_reference = count == 100
    rows = {
        "cpu": Row("CPU in 30 s", "ms", ratio=False, targets=(Target(25),) if is_reference else ()),
        "switches": Row("wake-ups", "/s", ratio=False),
        "own": Row("memory, own", "MB", ratio=False, targets=(Target(45),) if is_reference else ()),
        "proportional": Row("memory, PSS", "MB", ratio=False),
        "resident": Row("memory, RSS", "MB", ratio=False),
        "processes": Row("processes", "", ratio=False),
    }
    for key, row in rows.items():
        row.title = f"{count}: {row.title}"
        report.rows.append(collected.fill(row, key))
