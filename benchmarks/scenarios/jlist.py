"""How long it takes to ask for the state of up to a thousand apps, beside ``pm2 jlist`` and ``pm2 list``."""

from __future__ import annotations

import json

from benchmarks.bench import Bench, Collected, Session
from benchmarks.commands import Finished, run_command, run_in_terminal
from benchmarks.peers.base import PeerError
from benchmarks.peers.pypm import Pypm
from benchmarks.report import PYPM, Report, Row, Target

__all__ = ["run"]

PM2 = "pm2"
START_SECONDS = 300.0
TABLE_MS = {100: 125.0, 300: 184.0}
"""What ``pm2 list`` took where the targets were set."""


def run(bench: Bench) -> Report:
    """pypm, and PM2 where it takes part (``--peers pm2``): both are up, and their commands take turns."""
    report = Report("jlist", "the state of all apps, for programs and as a table", "")
    rounds = bench.rounds(normal=25, quick=8)
    if PM2 not in bench.columns():
        report.notes.append("pm2 takes no part, so that there is nothing to compare with: --peers pm2")
    for count in [1, 100] if bench.quick else [1, 100, 300, 1000]:
        bench.say(f"{count} apps, {rounds} rounds")
        _measure(bench, report, count, rounds)
    return report


def _measure(bench: Bench, report: Report, count: int, rounds: int) -> None:
    collected = Collected()
    taking_part = [column for column in bench.columns() if column in (PYPM, PM2)]
    with bench.sessions(report, bench.workload(count), taking_part, START_SECONDS) as running:

        def sample(column: str, _: int) -> None:
            for row, done in _ask(running[column]).items():
                collected.add(row, column, done.seconds * 1e3)

        bench.take_turns(report, running, rounds, sample)
    third, table = Target(1 / 3, of=PM2), [Target(1, of=PM2)]
    if count in TABLE_MS:
        table.append(Target(TABLE_MS[count]))
    rows = {
        "jlist": Row(f"{count}: jlist", "ms", targets=(third,)),
        "json": Row(f"{count}: list --json, beside jlist", "ms", targets=(third,)),
        "table": Row(f"{count}: list on a terminal", "ms", targets=tuple(table)),
    }
    report.rows += [collected.fill(row, key) for key, row in rows.items()]


def _ask(session: Session) -> dict[str, Finished]:
    """Runs every command once; ``PeerError`` if one fails or does not show every app."""
    peer = session.peer
    environment = peer.environment
    status, table = peer.status_command(), peer.table_command()
    assert status is not None
    assert table is not None
    answers = {"json": run_command(status, environment), "table": run_in_terminal(table, environment)}
    answers["jlist"] = (
        run_command(peer.words("jlist"), environment) if isinstance(peer, Pypm) else answers["json"]
    )
    names = set(peer.workload.names())
    for way in ("json", "jlist"):
        try:
            shown = {each["name"] for each in json.loads(answers[way].output)}
        except ValueError as error:
            raise PeerError(f"{way} has printed {answers[way].output[-200:]}") from error
        if shown != names:
            raise PeerError(f"{way} did not show {sorted(names - shown)[:3]}")
    if answers["table"].status != 0 or peer.missing_from(answers["table"].output):
        raise PeerError(f"the table did not show all: {answers['table'].output[-200:]}")
    return answers
