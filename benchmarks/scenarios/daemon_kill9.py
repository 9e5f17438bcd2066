"""The manager is killed while its agents log: what do its successor and the log files know of them?"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.bench import Bench, Collected, Session
from benchmarks.processes import executable_of, kill_all
from benchmarks.report import BARE, Report, Row, Target
from benchmarks.stamps import Stamp

__all__ = ["count_ticks", "run"]

COUNT = 20
BEFORE_SECONDS = 2.0
WITHOUT_SECONDS = 2.0
AFTER_SECONDS = 4.0
QUIET_SECONDS = 1.0
STOP_SECONDS = 12.0
TRIES = 5
"""A start command may come before the manager that was brought up again is ready for it."""
TICK = re.compile(rb"^tick (\d+) (\d{12})$", re.MULTILINE)


def run(bench: Bench) -> Report:
    """One manager at a time: its main process is killed, and in a life of its own all its processes."""
    report = Report("daemon_kill9", f"kill -9 of the manager while {COUNT} agents log 100 lines a second", "")
    collected = Collected()
    rounds = bench.rounds(normal=2, quick=1)
    bench.say(f"{rounds} rounds")
    columns = [column for column in bench.columns() if column != BARE]
    for way in ("main", "all"):

        def sample(column: str, _: int, way: str = way) -> None:
            with bench.session(column, bench.workload(COUNT, "ticks")) as session:
                try:
                    _measure(collected, column, way, session)
                finally:
                    kill_all(_living(session, session.stamps.read_all()))

        bench.take_turns(report, columns, rounds, sample)
        report.rows += _rows(collected, way)
    return report


def _rows(collected: Collected, way: str) -> list[Row]:
    """Lost lines have a target where the guardian lives on: without it the pipes break."""
    title = {"main": "main process killed", "all": "all its processes killed"}[way]
    kinds = {
        "same": ("supervised afterwards with the same pid", "agents"),
        "twice": ("run twice afterwards", "agents"),
        "wild": ("still there after a stop", "agents"),
        "lost": ("lines lost", "%"),
        "doubled": ("lines there twice", ""),
    }
    rows = []
    for kind, (words, unit) in kinds.items():
        row = collected.fill(Row(f"{title}: {words}", unit, ratio=False), f"{way} {kind}")
        if kind in ("twice", "wild", "doubled") or (kind, way) == ("lost", "main"):
            row.targets = (Target(0),)
        rows.append(row)
    return rows


def _measure(collected: Collected, column: str, way: str, session: Session) -> None:
    order, first = session.start_all()
    session.finish(order)
    time.sleep(BEFORE_SECONDS)
    peer = session.peer
    kill_all([peer.main_pid()] if way == "main" else peer.manager_pids())
    time.sleep(WITHOUT_SECONDS)
    peer.recover()
    _start_again(session)
    time.sleep(AFTER_SECONDS)
    stamps = session.stamps.read_all()
    living = _living(session, stamps)
    keys = Counter(stamp.key for stamp in stamps if stamp.pid in living)
    collected.add(f"{way} twice", column, sum(number > 1 for number in keys.values()))
    _make_quiet(living)
    lost, doubled = count_ticks(_tried(session.stamps.path), _contents(peer.log_files()))
    collected.add(f"{way} lost", column, lost)
    collected.add(f"{way} doubled", column, doubled)
    left = _stop(session, stamps)
    same = [stamp.pid for stamp in first.values() if stamp.pid in living and stamp.pid not in left]
    collected.add(f"{way} same", column, len(same))
    collected.add(f"{way} wild", column, len(left))


def _start_again(session: Session) -> None:
    """What a person does who finds the manager up and wants the agents up."""
    for _ in range(TRIES):
        order = session.peer.start()
        session.finish(order)
        if getattr(order, "status", 0) == 0:
            return
        time.sleep(1.0)


def _living(session: Session, stamps: Iterable[Stamp]) -> set[int]:
    agent = str(session.peer.workload.agent)
    return {stamp.pid for stamp in stamps if executable_of(stamp.pid) == agent}


def _make_quiet(pids: Iterable[int]) -> None:
    """Lets the agents end their last line; what they have written is in the files a moment later."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)
    time.sleep(QUIET_SECONDS)


def _stop(session: Session, stamps: Iterable[Stamp]) -> set[int]:
    """Stops all; gives those that are left, because the manager does not know them."""
    session.finish(session.peer.stop())
    deadline = time.monotonic() + STOP_SECONDS
    while (left := _living(session, stamps)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _tried(stamps: Path) -> dict[int, int]:
    """How many lines each run has tried to write, by pid."""
    return {
        int(path.suffix[1:]): int.from_bytes(path.read_bytes(), "little")
        for path in stamps.parent.glob(f"{stamps.name}.*")
    }


def _contents(files: Iterable[Path]) -> list[bytes]:
    return [file.read_bytes() for file in files]


def count_ticks(tried: dict[int, int], contents: Iterable[bytes]) -> tuple[float, int]:
    """The share of lines (in %) that runs have tried to write and no file has, and how often one is repeated.

    ``tried`` is how many lines each run has numbered, from 1, by pid.
    """
    found = Counter(match.groups() for content in contents for match in TICK.finditer(content))
    total = sum(tried.values())
    return (total - len(found)) / max(1, total) * 100, sum(found.values()) - len(found)
