"""A pypm that supervises many agents, for the scenarios that kill its master: no other manager comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.bench import Bench, Session
from benchmarks.peers.pypm import Pypm
from benchmarks.report import PYPM

__all__ = ["columns", "is_settled", "managers_of", "supervised"]


def columns(bench: Bench) -> list[str]:
    """The column of pypm, if it takes part."""
    return [column for column in bench.columns() if column == PYPM]


@contextmanager
def supervised(bench: Bench, column: str, count: int) -> Iterator[tuple[Session, Pypm]]:
    """Its session with ``count`` agents that have been started, and pypm itself."""
    with bench.session(column, bench.workload(count)) as session:
        order, _ = session.start_all()
        session.finish(order)
        assert isinstance(session.peer, Pypm)
        yield session, session.peer


def is_settled(peer: Pypm, condition: Callable[[dict[str, Any]], bool], seconds: float) -> bool:
    """Whether a condition comes true of the rows of all agents within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        rows = peer.call("list")
        if len(rows) == peer.workload.count and all(map(condition, rows)):
            return True
        time.sleep(0.5)
    return False


def managers_of(peer: Pypm) -> list[int]:
    """Guardian and master."""
    pids = peer.call("ping")
    return [pids["guardian_pid"], pids["master_pid"]]
