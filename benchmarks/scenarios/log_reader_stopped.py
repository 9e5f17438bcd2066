"""Somebody follows the logs and stops reading: does the manager remember what it cannot give him?"""

from __future__ import annotations

import os
import signal
import subprocess
import time

from benchmarks.bench import Bench, Collected, Session
from benchmarks.peers.base import PeerError
from benchmarks.processes import peak_resident
from benchmarks.report import BARE, Report, Row, Target
from benchmarks.scenarios.log_throughput import GIBIBYTE, LINE, wait_for_bytes

__all__ = ["run"]

SETTLE_SECONDS = 3.0
"""For the reader to come up, before it is stopped."""
POLL_SECONDS = 0.1


def run(bench: Bench) -> Report:
    """One manager at a time, of those that have a command which follows logs."""
    size = GIBIBYTE // (4 if bench.quick else 1) // LINE * LINE
    title = f"the command that follows the logs is stopped, and an agent prints {size / 1e6:,.0f} MB"
    report = Report("log_reader_stopped", title, "")
    collected = Collected()
    rounds = bench.rounds(normal=3, quick=1)
    bench.say(f"{rounds} rounds of {size / 1e6:,.0f} MB")

    def sample(column: str, _: int) -> None:
        with bench.session(column, bench.workload(1, "flood", str(size))) as session:
            _measure(collected, column, session, size)

    bench.take_turns(report, [column for column in bench.columns() if column != BARE], rounds, sample)
    report.rows = [
        collected.fill(Row("manager's peak RSS grows by", "MB", targets=(Target(5),)), "growth"),
        collected.fill(Row("until all bytes are in files", "MB/s"), "rate"),
        collected.fill(Row("bytes lost", "", statistic="worst", targets=(Target(0),)), "lost"),
    ]
    return report


def _measure(collected: Collected, column: str, session: Session, size: int) -> None:
    peer = session.peer
    session.finish(session.start_all()[0])
    command = peer.logs_command()
    if command is None:
        raise PeerError("has no command that follows logs")
    reader = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=peer.environment,
    )
    try:
        time.sleep(SETTLE_SECONDS)
        if reader.poll() is not None:
            raise PeerError("the command that follows logs has ended")
        os.kill(reader.pid, signal.SIGSTOP)
        managers = peer.manager_pids()
        before = peak_resident(managers)
        begun = time.monotonic_ns()
        session.stamps.path.with_name(session.stamps.path.name + ".go").touch()
        ended = wait_for_bytes(peer.log_files, size, POLL_SECONDS)
        collected.add("growth", column, (peak_resident(managers) - before) / 1e6)
        collected.add("rate", column, size / 1e6 / ((ended - begun) / 1e9))
        found = sum(file.stat().st_size for file in peer.log_files())
        collected.add("lost", column, max(0, size - found))
    finally:
        reader.kill()
        reader.communicate()
