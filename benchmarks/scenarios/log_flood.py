"""One agent floods while many others print a little: does anybody notice?"""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

from benchmarks.bench import Bench, Collected, Session
from benchmarks.commands import run_command
from benchmarks.peers.base import PeerError
from benchmarks.report import BARE, Report, Row, Target
from benchmarks.scenarios.log_throughput import GIBIBYTE, LINE, wait_for_bytes

__all__ = ["newest", "run"]

QUIET = 50
LEAD_SECONDS = 1.0
"""After the last agent is in main(), before the flood."""
PAUSE_SECONDS = 0.05
"""Between two status commands."""
LOOK_SECONDS = 0.02
"""Between two looks at the newest line of a quiet agent."""
POLL_SECONDS = 0.1
"""Between two looks at the size of the flood's files: what looks all the time is a load of its own."""
FRESH = re.compile(rb"^at (\d{20}) (\d{12})\n", re.MULTILINE)


def run(bench: Bench) -> Report:
    """One manager at a time; the flood is as fast as the manager takes it."""
    size = GIBIBYTE // LINE * LINE * (1 if bench.quick else 2)
    title = f"one agent prints {size / 1e6:,.0f} MB, {QUIET} others 100 lines a second each"
    report = Report("log_flood", title, "")
    collected = Collected()
    rounds = bench.rounds(normal=3, quick=1)
    bench.say(f"{rounds} rounds of {size / 1e6:,.0f} MB")
    columns = [column for column in bench.columns() if column != BARE]

    def sample(column: str, _: int) -> None:
        with bench.session(column, bench.workload(1 + QUIET, "flood", str(size))) as session:
            _measure(collected, column, session, size)

    bench.take_turns(report, columns, rounds, sample)
    report.rows = [
        collected.fill(Row("the flood, until it is in files", "MB/s", ratio=False), "rate"),
        collected.fill(Row("status command, median", "ms", targets=(Target(40),)), "status"),
        collected.fill(
            Row("status command, worst", "ms", statistic="worst", targets=(Target(100),)), "status"
        ),
        collected.fill(Row("age of a quiet agent's newest line, median", "ms"), "age"),
        collected.fill(
            Row("age of a quiet agent's newest line, worst", "ms", statistic="worst", targets=(Target(50),)),
            "age",
        ),
        collected.fill(Row("bytes lost", "", statistic="worst", targets=(Target(0),)), "lost"),
    ]
    return report


def newest(text: bytes) -> tuple[int, int] | None:
    """The time in nanoseconds and the number of the last whole line of a quiet agent's log."""
    lines = FRESH.findall(text)
    return (int(lines[-1][0]), int(lines[-1][1])) if lines else None


class Ages(threading.Thread):
    """Looks again and again how old the newest line in one quiet agent's log is, each agent in turn."""

    def __init__(self, logs: list[Path]) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self._logs = logs
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until the end."""
        number = 0
        while not self._ended.wait(LOOK_SECONDS):
            number += 1
            with self._logs[number % len(self._logs)].open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 200))
                found = newest(file.read())
                if found:
                    self.seconds.append((time.monotonic_ns() - found[0]) / 1e9)

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()


def _measure(collected: Collected, column: str, session: Session, size: int) -> None:
    session.finish(session.start_all()[0])
    time.sleep(LEAD_SECONDS)
    peer = session.peer
    names = [peer.workload.name(key) for key in range(1, 1 + QUIET)]
    logs = [_log_of(peer.log_files(), name) for name in names]
    status = peer.status_command()
    assert status is not None
    ages = Ages(logs)
    flooding = threading.Event()

    def ask() -> None:
        while flooding.is_set():
            collected.add("status", column, run_command(status, peer.environment).seconds * 1e3)
            time.sleep(PAUSE_SECONDS)

    asking = threading.Thread(target=ask, daemon=True)
    flooding.set()
    ages.start()
    asking.start()
    begun = time.monotonic_ns()
    session.stamps.path.with_name(session.stamps.path.name + ".go").touch()
    try:
        name = peer.workload.name(0)
        ended = wait_for_bytes(lambda: _flood_files(peer.log_files(), name), size, POLL_SECONDS)
    finally:
        flooding.clear()
        asking.join()
        ages.end()
    collected.add("rate", column, size / 1e6 / ((ended - begun) / 1e9))
    for age in ages.seconds:
        collected.add("age", column, age * 1e3)
    found = sum(path.stat().st_size for path in _flood_files(peer.log_files(), peer.workload.name(0)))
    collected.add("lost", column, size - found + _missing(logs))


def _flood_files(files: list[Path], name: str) -> list[Path]:
    return [path for path in files if name in str(path)]


def _log_of(files: list[Path], name: str) -> Path:
    """The file in which an agent's newest line is."""
    for path in files:
        if name in str(path) and newest(path.read_bytes()):
            return path
    raise PeerError(f"no log of {name} has a line")


def _missing(logs: list[Path]) -> int:
    """Bytes of lines that are missing before the newest one in each log."""
    missing = 0
    for path in logs:
        lines = FRESH.findall(path.read_bytes())
        missing += (int(lines[-1][1]) + 1 - len(lines)) * len(b"at  \n" + lines[-1][0] + lines[-1][1])
    return missing
