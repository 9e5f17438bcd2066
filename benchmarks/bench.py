"""What every scenario gets: the managers, how often to repeat, and sessions that leave nothing behind."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.commands import Order
from benchmarks.figures import Samples
from benchmarks.peers import ALL_PEERS
from benchmarks.peers.base import Installation, Peer, PeerError, Workload
from benchmarks.processes import DeathWatch, kill_all, processes_in
from benchmarks.report import Report, Row
from benchmarks.stamps import Stamp, StampFile
from benchmarks.workspace import Programs

__all__ = ["Bench", "Collected", "Session"]

START_SECONDS = 60.0
ORDER_SECONDS = 120.0
GONE_SECONDS = 60.0


@dataclass
class Session:
    """One manager with one workload, in a home of its own."""

    peer: Peer
    stamps: StampFile
    latest: dict[int, Stamp] = field(default_factory=dict)
    """The newest known run of each app."""

    def start_all(self, timeout: float = START_SECONDS) -> tuple[Order, dict[int, Stamp]]:
        """Orders the start and waits for every main(); ``PeerError`` if some do not come."""
        return self.await_all(self.peer.start(), timeout)

    def await_all(self, order: Order, timeout: float = START_SECONDS) -> tuple[Order, dict[int, Stamp]]:
        """Waits until every app has begun a run since the last look; ``PeerError`` if some have not."""
        count = self.peer.workload.count
        stamps = self.stamps.wait_for_keys(count, timeout)
        if len(stamps) < count:
            said = getattr(order, "printed", str)()
            raise PeerError(f"{len(stamps)} of {count} apps ran within {timeout:g} s: {said}")
        self.latest |= stamps
        return order, stamps

    def finish(self, order: Order) -> int:
        """Waits for the end of an order; ``PeerError`` if it does not come."""
        try:
            return order.wait(ORDER_SECONDS)
        except TimeoutError as error:
            raise PeerError(str(error)) from error

    def watch_deaths(self) -> DeathWatch:
        """A watch on the newest known runs."""
        return DeathWatch(stamp.pid for stamp in self.latest.values())


class Collected:
    """Values by row and column, while a scenario collects them."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = {}

    def add(self, row: str, column: str, value: float) -> None:
        self._values.setdefault(row, {}).setdefault(column, []).append(value)

    def cells(self, row: str) -> dict[str, Samples]:
        """The samples of a row, by column; empty if there are none."""
        return {column: Samples.of(values) for column, values in self._values.get(row, {}).items()}

    def fill(self, row: Row, key: str) -> Row:
        """Puts what was collected under ``key`` into a row."""
        row.cells = self.cells(key)
        return row


@dataclass
class Bench:
    """The settings of a run, and how a scenario gets at its managers."""

    installations: dict[str, Installation]
    programs: Programs
    scratch: Path
    environment: dict[str, str]
    quick: bool = False
    repeat: int | None = None

    def rounds(self, normal: int, quick: int) -> int:
        """How many samples to take: ``--repeat``, or what the scenario thinks right."""
        return self.repeat or (quick if self.quick else normal)

    def columns(self) -> list[str]:
        """The managers that take part, bare first."""
        return list(self.installations)

    def say(self, text: str) -> None:
        """Progress, on stderr."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def workload(self, count: int, *mode: str, at_once: bool = False, log_options: str = "") -> Workload:
        """``count`` agents in ``mode`` (default: idle). Where the stamps go is up to the session."""
        return Workload(self.programs.agent, Path(), count, mode or ("idle",), at_once, log_options)

    @contextmanager
    def session(self, column: str, workload: Workload) -> Iterator[Session]:
        """A manager that is up with nothing running; it and all its agents are gone afterwards."""
        home = Path(tempfile.mkdtemp(prefix=f"{column[:3]}-", dir=self.scratch))
        stamps = StampFile(home / "stamps")
        placed = replace(workload, stamps=stamps.path)
        peer = ALL_PEERS[column](self.installations[column], home, placed)
        try:
            peer.boot()
            yield Session(peer, stamps)
        finally:
            try:
                peer.shutdown()
            finally:
                _sweep(home)

    @contextmanager
    def sessions(
        self,
        report: Report,
        workload: Workload,
        columns: Iterable[str] | None = None,
        timeout: float = START_SECONDS,
    ) -> Iterator[dict[str, Session]]:
        """All managers at once, or some, started; those that fail are noted in the report and left out."""
        with ExitStack() as stack:
            running: dict[str, Session] = {}
            for column in self.columns() if columns is None else columns:
                with self.tolerate(report, column):
                    session = stack.enter_context(self.session(column, workload))
                    order, _ = session.start_all(timeout)
                    session.finish(order)
                    running[column] = session
            yield running

    @contextmanager
    def tolerate(self, report: Report, column: str) -> Iterator[None]:
        """Turns a manager's failure into a note of the report; the others go on."""
        try:
            yield
        except PeerError as error:
            note = f"{column}: {error}"
            self.say(note)
            if note not in report.notes:
                report.notes.append(note)

    def take_turns(
        self, report: Report, columns: Iterable[str], rounds: int, sample: Callable[[str, int], None]
    ) -> None:
        """Calls ``sample(column, round)`` for every column in every round; who fails is left out."""
        left = list(columns)
        for number in range(rounds):
            for column in list(left):
                left.remove(column)
                with self.tolerate(report, column):
                    sample(column, number)
                    left.append(column)


def _sweep(home: Path) -> None:
    """Ends whatever still has to do with this home."""
    deadline = time.monotonic() + GONE_SECONDS
    while left := processes_in(str(home)):
        kill_all(left)
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes that cannot be ended: {left}")
        time.sleep(0.01)
