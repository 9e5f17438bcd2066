"""How long a status command takes, for programs and for people."""

from __future__ import annotations

import sys

from benchmarks.bench import Bench, Collected, Session
from benchmarks.commands import Finished, run_command, run_in_terminal
from benchmarks.peers.base import PeerError
from benchmarks.report import BARE, PYPM, Report, Row, Target

__all__ = ["run"]

PM2 = "pm2"


def run(bench: Bench) -> Report:
    """All managers are up at the same time with the same number of apps; their commands take turns."""
    title = "status command of a manager with idle agents"
    report = Report("cli_latency", title, "`python -c pass` in pypm's virtual environment")
    rounds = bench.rounds(normal=25, quick=8)
    for count in [1, 100] if bench.quick else [1, 100, 300]:
        bench.say(f"{count} apps, {rounds} rounds")
        _measure(bench, report, count, rounds)
    return report


def _measure(bench: Bench, report: Report, count: int, rounds: int) -> None:
    collected = Collected()
    with bench.sessions(report, bench.workload(count)) as running:

        def sample(column: str, _: int) -> None:
            if column == BARE:
                done = run_command([sys.executable, "-c", "pass"], bench.environment)
                collected.add("program", column, done.seconds * 1e3)
                return
            for row, done in _ask(running[column]).items():
                collected.add(row, column, done.seconds * 1e3)

        bench.take_turns(report, running, rounds, sample)
    rows = {
        "program": Row(f"{count}: for programs (JSON, or the only one)", "ms"),
        "terminal": Row(f"{count}: table on a terminal", "ms"),
        "pipe": Row(f"{count}: table into a pipe", "ms"),
    }
    if count == 100:
        rows["program"].targets = (Target(3, of=BARE), Target(1 / 3, of=PM2))
        rows["terminal"].targets = (Target(125), Target(1, of=PM2))
    for key, row in rows.items():
        collected.fill(row, key)
        # The floor is the same for every way to ask.
        row.cells = {BARE: collected.cells("program")[BARE], **row.cells}
    report.rows += [row for row in rows.values() if set(row.cells) - {BARE} or PYPM not in bench.columns()]


def _ask(session: Session) -> dict[str, Finished]:
    """Runs every status command once; ``PeerError`` if one fails or does not show every app."""
    peer = session.peer
    answers: dict[str, Finished] = {}
    if status := peer.status_command():
        answers["program"] = run_command(status, peer.environment)
    if table := peer.table_command():
        answers["terminal"] = run_in_terminal(table, peer.environment)
        answers["pipe"] = run_command(table, peer.environment)
    for way, done in answers.items():
        missing = peer.missing_from(done.output)
        if missing or done.status != 0:
            raise PeerError(f"status ({way}) exited with {done.status} and did not show {missing[:3]}")
    return answers
