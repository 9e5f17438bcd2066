"""60 shell programs with children of every kind are restarted, then deleted: what of them is still there?"""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.bench import Bench, Collected, Session
from benchmarks.peers.base import Workload
from benchmarks.processes import kill_all, processes_with_argument
from benchmarks.report import Report, Row, Target

__all__ = ["run"]

COUNT = 60
SETTLE_SECONDS = 1.0
"""After a command has returned; what is to end has ended by then, also where the command does not wait."""
DELETE_SECONDS = 15.0
"""How long a manager gets after its last command has returned: some kill only after ten seconds."""

SCRIPT = """\
#!/bin/bash
"{agent}" "$1" "$2" exit
stray() {{ "$@" sleep {mark}; }}
case $(($2 % 5)) in
    0) stray & ;;
    1) stray setsid & ;;
    2) stray nohup > /dev/null 2>&1 & ;;
    3) (stray setsid &) ;;
    4) (trap '' TERM INT; stray setsid) & ;;
esac
while true; do sleep 0.1; done
"""


def run(bench: Bench) -> Report:
    """One manager at a time, in a home of its own: what another one leaves must not be counted."""
    title = f"{COUNT} shell loops, each with a child that it does not wait for, are restarted, then deleted"
    report = Report("orphans", title, "stop loop, spawn loop; it ends main processes only")
    collected = Collected()
    rounds = bench.rounds(normal=3, quick=1)
    bench.say(f"{rounds} rounds")

    def sample(column: str, number: int) -> None:
        mark = f"86400.{os.getpid()}{number}"
        script = _write_script(bench, mark)
        try:
            with bench.session(column, Workload(script, Path(), COUNT)) as session:
                _measure(collected, column, session, mark)
        finally:
            kill_all(processes_with_argument(mark))

    bench.take_turns(report, bench.columns(), rounds, sample)
    report.rows = [
        collected.fill(
            Row("left by the first runs after the restart", "processes", ratio=False, targets=(Target(0),)),
            "restart",
        ),
        collected.fill(
            Row("left after the delete", "processes", ratio=False, targets=(Target(0),)), "delete"
        ),
    ]
    return report


def _write_script(bench: Bench, mark: str) -> Path:
    script = bench.scratch / "tree.sh"
    script.write_text(SCRIPT.format(agent=bench.programs.agent, mark=mark))
    script.chmod(0o755)
    return script


def _measure(collected: Collected, column: str, session: Session, mark: str) -> None:
    order, _ = session.start_all()
    session.finish(order)
    session.peer.wait_until(lambda: len(processes_with_argument(mark)) >= COUNT, "the start of the children")
    first = set(processes_with_argument(mark))
    time.sleep(SETTLE_SECONDS)
    order, _ = session.await_all(session.peer.restart())
    session.finish(order)
    time.sleep(SETTLE_SECONDS)
    collected.add("restart", column, len(first.intersection(processes_with_argument(mark))))
    session.finish(session.peer.delete())
    deadline = time.monotonic() + DELETE_SECONDS
    while processes_with_argument(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    collected.add("delete", column, len(processes_with_argument(mark)))
