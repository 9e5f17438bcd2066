"""What it costs to look at what hundreds of agents use, with limits and without."""

from __future__ import annotations

import time

from benchmarks.bench import Bench, Collected
from benchmarks.peers.base import PeerError
from benchmarks.peers.pypm import Pypm
from benchmarks.processes import cpu_seconds
from benchmarks.report import Report, Row, Target
from benchmarks.supervised import columns, is_settled, managers_of

__all__ = ["run"]

COUNT = 300
LIMITS = '[apps.limits]\nmemory = "300M"\n'
SETTLE_SECONDS = 60.0
BEFORE_SECONDS = 12.0
"""Those without limits are looked at every ten seconds; the first look costs more than the next ones."""
FORMS = {
    "plain": ("no limits", "", ("idle",), 0.3),
    "limited": ("each with a limit on memory", LIMITS, ("idle",), 3.0),
    "trees": ("the same, each with two children", LIMITS, ("tree", "2"), None),
}


def run(bench: Bench) -> Report:
    """pypm only; the agents do nothing."""
    report = Report("sampling", f"{COUNT} agents are looked at: CPU of guardian and master", "")
    window = 20.0 if bench.quick else 60.0
    rounds = bench.rounds(normal=3, quick=1)
    bench.say(f"{rounds} × {window:g} s each")
    report.notes.append(f"window of {window:g} s")
    collected = Collected()
    for form, (title, options, mode, limit) in FORMS.items():
        for column in columns(bench):
            with (
                bench.tolerate(report, column),
                bench.session(column, bench.workload(COUNT, *mode, log_options=options)) as session,
            ):
                session.finish(session.start_all()[0])
                assert isinstance(session.peer, Pypm)
                _measure(collected, column, form, session.peer, window, rounds)
        targets = () if limit is None else (Target(limit),)
        report.rows.append(collected.fill(Row(title, "% of a core", targets=targets), form))
    return report


def _measure(collected: Collected, column: str, form: str, peer: Pypm, window: float, rounds: int) -> None:
    if not is_settled(peer, lambda row: row["status"] == "online", SETTLE_SECONDS):
        raise PeerError(f"not all agents are online after {SETTLE_SECONDS:g} s")
    managers = managers_of(peer)
    time.sleep(BEFORE_SECONDS)
    for _ in range(rounds):
        before = cpu_seconds(managers)
        time.sleep(window)
        collected.add(form, column, (cpu_seconds(managers) - before) / window * 100)
