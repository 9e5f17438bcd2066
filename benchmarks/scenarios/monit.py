"""The live screen with hundreds of instances, on a pseudo-terminal: first frame, answer to a key, CPU."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

from benchmarks.bench import Bench, Collected
from benchmarks.commands import COLUMNS, ROWS
from benchmarks.peers.base import PeerError
from benchmarks.peers.pypm import Pypm
from benchmarks.processes import cpu_seconds
from benchmarks.report import Report, Row, Target
from benchmarks.supervised import columns, is_settled

__all__ = ["run"]

COUNT = 300
SETTLE_SECONDS = 60.0
FRAME_SECONDS = 30.0
KEYS = 20
QUIET_SECONDS = 0.15
"""So long nothing is drawn before a key is pressed, so that what comes next is the answer to it."""
DOWN = b"\x1b[B"


def run(bench: Bench) -> Report:
    """pypm only; the agents do nothing."""
    report = Report("monit", f"`pypm monit` with {COUNT} instances, {COLUMNS}×{ROWS}", "")
    window = 10.0 if bench.quick else 60.0
    rounds = bench.rounds(normal=5, quick=2)
    bench.say(f"{rounds} × {window:g} s")
    collected = Collected()
    for column in columns(bench):
        with (
            bench.tolerate(report, column),
            bench.session(column, bench.workload(COUNT)) as session,
        ):
            session.finish(session.start_all()[0])
            assert isinstance(session.peer, Pypm)
            if not is_settled(session.peer, lambda row: row["status"] == "online", SETTLE_SECONDS):
                raise PeerError(f"not all agents are online after {SETTLE_SECONDS:g} s")
            for _ in range(rounds):
                _measure(collected, column, session.peer, window)
    frame = Row("first frame with all instances", "ms", targets=(Target(1000),))
    key = Row("a key is answered (worst)", "ms", statistic="worst", targets=(Target(50),))
    cpu = Row("CPU while nobody does anything", "% of a core", targets=(Target(10),))
    for row, name in ((frame, "frame"), (key, "key"), (cpu, "cpu")):
        report.rows.append(collected.fill(row, name))
    return report


def _measure(collected: Collected, column: str, peer: Pypm, window: float) -> None:
    with Screen(peer.words("monit"), peer.environment) as screen:
        collected.add("frame", column, screen.first_frame(f"{COUNT} instances".encode()) * 1e3)
        for _ in range(KEYS):
            collected.add("key", column, screen.key(DOWN) * 1e3)
        before = cpu_seconds([screen.pid])
        screen.watch(window)
        collected.add("cpu", column, (cpu_seconds([screen.pid]) - before) / window * 100)


class Screen:
    """A program on a terminal of its own."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._begun = time.monotonic()
        self._process = subprocess.Popen(
            argv,
            env={**environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.pid = self._process.pid

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._ours)

    def first_frame(self, wanted: bytes) -> float:
        """Seconds from the start until this is on the screen; ``PeerError`` where it does not come."""
        seen = b""
        while wanted not in seen:
            if time.monotonic() - self._begun > FRAME_SECONDS:
                raise PeerError(f"no frame within {FRAME_SECONDS:g} s: {seen[-200:]!r}")
            seen += self._read(1.0)
        return time.monotonic() - self._begun

    def key(self, key: bytes) -> float:
        """Seconds from a key to the first byte that is drawn for it."""
        while self._read(QUIET_SECONDS):
            pass
        begun = time.monotonic()
        os.write(self._ours, key)
        if not self._read(FRAME_SECONDS):
            raise PeerError("a key is not answered")
        return time.monotonic() - begun

    def watch(self, seconds: float) -> None:
        """Look at it for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def _read(self, seconds: float) -> bytes:
        """What is drawn next; empty where nothing is within ``seconds``."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return b""
        with contextlib.suppress(OSError):  # EIO: it has ended
            return os.read(self._ours, 1 << 20)
        raise PeerError("the screen has ended")
