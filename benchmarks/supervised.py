"""A pypm that supervises many agents, for the scenarios that kill its master: no other manager comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.bench import Bench, Session
from benchmarks.peers.pypm import Pypm
from benchmarks.report import PYPM

__all__ = ["columns", "supervised"]


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
