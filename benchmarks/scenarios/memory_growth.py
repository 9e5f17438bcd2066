"""A tree grows past its limit on memory: when is it told to end, when is it gone, when does it run anew?"""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path

from benchmarks.bench import Bench, Collected, Session
from benchmarks.peers.base import PeerError
from benchmarks.processes import DeathWatch, descendants
from benchmarks.report import Report, Row, Target
from benchmarks.supervised import columns

__all__ = ["read_growth", "run"]

LIMIT = 300 * 2**20
RATE = 200 * 2**20
"""Bytes a second."""
MEBIBYTE = 2**20
GROWTH = struct.Struct("<qqq")
WHO = {"main": "the main process grows", "child": "a child grows"}
PATIENCE_SECONDS = 30.0


def run(bench: Bench) -> Report:
    """pypm only, with its default settings; each sample has a manager and an agent of its own."""
    title = f"a tree grows by {RATE // MEBIBYTE} MiB a second past its {LIMIT // MEBIBYTE} MiB"
    report = Report("memory_growth", title, "")
    collected = Collected()
    rounds = bench.rounds(normal=25, quick=5)
    bench.say(f"{rounds} agents each")
    for who in WHO:

        def sample(column: str, _: int, who: str = who) -> None:
            workload = bench.workload(
                1, "grow", str(RATE), str(LIMIT), who, log_options=f"[apps.limits]\nmemory = {LIMIT}\n"
            )
            with bench.session(column, workload) as session:
                _measure(collected, column, who, session)

        bench.take_turns(report, columns(bench), rounds, sample)
        report.rows += _rows(collected, who)
    return report


def _rows(collected: Collected, who: str) -> list[Row]:
    rows = [
        (Row("until it is told to end, median", "ms"), "told"),
        (Row("until it is told to end, worst", "ms", statistic="worst"), "told"),
        (Row("until the whole tree is gone, median", "ms"), "gone"),
        (Row("until the next run's main(), median", "ms", targets=(Target(500),)), "anew"),
        (Row("until the next run's main(), worst", "ms", statistic="worst"), "anew"),
        (Row("most memory that it had, worst", "MiB", statistic="worst", targets=(Target(450),)), "most"),
    ]
    for row, key in rows:
        row.title = f"{WHO[who]}: {row.title}"
        collected.fill(row, f"{who} {key}")
    return [row for row, _ in rows]


def read_growth(path: Path) -> tuple[int, int, int]:
    """When the limit was passed and when the tree was told to end (ns; 0: not yet), and its most bytes."""
    passed, told, most = GROWTH.unpack(path.read_bytes())
    return passed, told, most


def _measure(collected: Collected, column: str, who: str, session: Session) -> None:
    # Else the growth would always begin at the same moment of the master's second.
    time.sleep(random.random())
    session.finish(session.start_all()[0])
    first = session.latest[0].pid
    path = session.stamps.path.with_name(session.stamps.path.name + ".grown")
    session.peer.wait_until(lambda: read_growth(path)[2] > LIMIT // 2, "half of the growth")
    with DeathWatch(descendants([first])) as deaths:
        gone = deaths.wait(PATIENCE_SECONDS)
    seen = session.stamps.wait_for(lambda stamps: bool(stamps), PATIENCE_SECONDS)
    passed, told, most = read_growth(path)
    if gone is None or not seen or not passed:
        raise PeerError(f"a tree that has grown to {most / MEBIBYTE:.0f} MiB was not restarted")
    if told:
        collected.add(f"{who} told", column, (told - passed) / 1e6)
    collected.add(f"{who} gone", column, (gone - passed) / 1e6)
    collected.add(f"{who} anew", column, (seen[0].nanoseconds - passed) / 1e6)
    collected.add(f"{who} most", column, most / MEBIBYTE)
