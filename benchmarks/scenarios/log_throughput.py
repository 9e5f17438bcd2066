"""One agent writes numbered lines as fast as it can: how fast do they get into files, and are all there?"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, Collected
from benchmarks.peers.base import PeerError, Workload
from benchmarks.processes import cpu_seconds, kill_all, peak_resident
from benchmarks.report import BARE, Report, Row, Target
from benchmarks.stamps import StampFile

__all__ = ["Content", "check_lines", "measure_cat", "run", "wait_for_bytes"]

LINE = 200
NUMBER = 12
MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
STALL_SECONDS = 5.0
POLL_SECONDS = 0.002
RATES = (Target(0.8, BARE, at_least=True), Target(1.0, "supervisor", at_least=True))


@dataclass(frozen=True)
class Content:
    """What was found in the files: distinct whole lines, repetitions of them, and pieces of lines."""

    distinct: int
    repeated: int
    pieces: int


def check_lines(contents: Iterable[bytes]) -> Content:
    """Counts the agent's lines in the contents of log files, each of which is a separate text."""
    numbers: set[bytes] = set()
    whole = pieces = 0
    for content in contents:
        for line in content.split(b"\n"):
            if len(line) == LINE - 1 and line[:NUMBER].isdigit():
                numbers.add(line[:NUMBER])
                whole += 1
            elif line:
                pieces += 1
    return Content(len(numbers), whole - len(numbers), pieces)


def run(bench: Bench) -> Report:
    """One manager at a time, with one agent; logs are rotated at 50 MB and all kept."""
    size = (64 if bench.quick else 256) * MEBIBYTE // LINE * LINE
    title = f"{size / 1e6:,.0f} MB in 200-byte lines and 64 kB writes, rotated at 50 MB"
    report = Report("log_throughput", title, "`agent | cat > file`")
    collected = Collected()
    rounds = bench.rounds(normal=5, quick=2)
    bench.say(f"{rounds} rounds of {size / 1e6:,.0f} MB")

    def sample(column: str, _: int) -> None:
        measure = measure_cat if column == BARE else _measure_peer
        measure(bench, collected, column, size)

    bench.take_turns(report, bench.columns(), rounds, sample)
    report.rows = [
        collected.fill(Row("until all bytes are in files", "MB/s", targets=RATES), "rate"),
        collected.fill(Row("manager's CPU for each GiB", "s", targets=(Target(0.7),)), "cpu"),
        collected.fill(Row("manager's peak RSS", "MB", ratio=False), "peak"),
        _none(collected, "bytes lost", "lost"),
        _none(collected, "lines that are there twice", "repeated"),
        _none(collected, "pieces of cut lines", "pieces"),
    ]
    return report


def _none(collected: Collected, title: str, key: str) -> Row:
    """A row of what there should be nothing of."""
    return collected.fill(Row(title, "", statistic="worst", ratio=False, targets=(Target(0),)), key)


def _measure_peer(bench: Bench, collected: Collected, column: str, size: int) -> None:
    with bench.session(column, bench.workload(1, "lines", str(size))) as session:
        managers = session.peer.manager_pids()
        cpu = cpu_seconds(managers)
        _, stamps = session.start_all()
        ended = wait_for_bytes(session.peer.log_files, size)
        managers = sorted(set(managers) | set(session.peer.manager_pids()))
        collected.add("cpu", column, (cpu_seconds(managers) - cpu) / size * GIBIBYTE)
        collected.add("peak", column, peak_resident(managers) / 1e6)
        collected.add("rate", column, size / 1e6 / ((ended - stamps[0].nanoseconds) / 1e9))
        _check(collected, column, session.peer.log_files(), size)


def measure_cat(bench: Bench, collected: Collected, column: str, size: int) -> None:
    """One round of ``agent | cat > file``: what nothing that keeps bytes as they are can do better."""
    folder = bench.scratch / "cat"
    folder.mkdir(exist_ok=True)
    stamps, log = StampFile(folder / "stamps"), folder / "log"
    workload = Workload(bench.programs.agent, stamps.path, 1, ("lines", str(size)))
    stamps.read_new()
    with log.open("wb") as output:
        agent = subprocess.Popen(workload.argv(0), stdout=subprocess.PIPE, env=bench.environment)
        cat = subprocess.Popen(["cat"], stdin=agent.stdout, stdout=output, env=bench.environment)
    try:
        begun = stamps.wait_for_keys(1, STALL_SECONDS)[0].nanoseconds
        ended = wait_for_bytes(lambda: [log], size)
        collected.add("cpu", column, cpu_seconds([cat.pid]) / size * GIBIBYTE)
        collected.add("peak", column, peak_resident([cat.pid]) / 1e6)
        collected.add("rate", column, size / 1e6 / ((ended - begun) / 1e9))
        _check(collected, column, [log], size)
    finally:
        kill_all([agent.pid, cat.pid])
        agent.communicate()
        cat.wait()
        log.unlink()


def _size_of(files: Iterable[Path]) -> int:
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except FileNotFoundError:  # renamed by a rotation just now; the next look finds it
            continue
    return total


def wait_for_bytes(files: Callable[[], list[Path]], size: int, poll: float = POLL_SECONDS) -> int:
    """Nanoseconds at which the files held ``size`` bytes, or at which they had last grown."""
    grown, seen = time.monotonic_ns(), 0
    while True:
        total, now = _size_of(files()), time.monotonic_ns()
        if total > seen:
            grown, seen = now, total
        if seen >= size:
            return grown
        if now - grown > STALL_SECONDS * 1e9:
            if seen == 0:
                raise PeerError("nothing of the agent's output came into a file")
            return grown
        time.sleep(poll)


def _check(collected: Collected, column: str, files: list[Path], size: int) -> None:
    content = check_lines(file.read_bytes() for file in files)
    collected.add("lost", column, max(0, size - _size_of(files)))
    collected.add("repeated", column, content.repeated)
    collected.add("pieces", column, content.pieces)
