"""What it costs to ask hundreds of agents over HTTP how they are, and whether that is felt elsewhere."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.bench import Bench, Collected
from benchmarks.commands import run_command, run_in_terminal
from benchmarks.peers.base import PeerError
from benchmarks.peers.pypm import Pypm
from benchmarks.processes import cpu_seconds
from benchmarks.report import Report, Row, Target
from benchmarks.supervised import columns, is_settled, managers_of

__all__ = ["run"]

COUNT = 500
PERIOD = 5.0
"""Seconds."""
PROBE = """\
[apps.health.liveness]
http = "http://127.0.0.1:{port}/healthz"
period = "{period:g}s"
timeout = "5s"
"""
SERVER = """
import asyncio, sys
asked = 0
async def answer(reader, writer):
    global asked
    asked += 1
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
    writer.close()
def tell():
    sys.stdin.readline()
    print(asked, flush=True)
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    asyncio.get_running_loop().add_reader(0, tell)
    await asyncio.Event().wait()
asyncio.run(main())
"""
SETTLE_SECONDS = 90.0


class Asked:
    """A server beside the manager that counts how often it is asked."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = self._number()

    def count(self) -> int:
        """How often, up to now."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return self._number()

    def _number(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def run(bench: Bench) -> Report:
    """pypm only."""
    title = f"{COUNT} agents, each asked over HTTP every {PERIOD:g} s"
    report = Report("probes", title, "")
    window = 20.0 if bench.quick else 60.0
    lists = 50 if bench.quick else 200
    bench.say(f"{window:g} s, then {lists} × pypm list")
    report.notes.append(f"window of {window:g} s; p99 of {lists} commands")
    collected = Collected()
    for column in columns(bench):
        with bench.tolerate(report, column), _server() as asked:
            options = PROBE.format(port=asked.port, period=PERIOD)
            with bench.session(column, bench.workload(COUNT, log_options=options)) as session:
                session.finish(session.start_all()[0])
                assert isinstance(session.peer, Pypm)
                _measure(collected, column, session.peer, asked, window, lists)
    report.rows = [
        collected.fill(Row("CPU of guardian and master", "% of a core", targets=(Target(15),)), "cpu"),
        collected.fill(Row("questions a second", ""), "rate"),
        collected.fill(Row("pypm list meanwhile, as a table, median", "ms"), "table"),
        collected.fill(
            Row("pypm list meanwhile, as a table, p99", "ms", targets=(Target(150),)), "table p99"
        ),
        collected.fill(Row("pypm list --json meanwhile, median", "ms"), "json"),
        collected.fill(Row("pypm list --json meanwhile, p99", "ms", targets=(Target(150),)), "json p99"),
        collected.fill(Row("the master's answer to list, to a raw client, median", "ms"), "raw"),
        collected.fill(Row("the master's answer to list, to a raw client, p99", "ms"), "raw p99"),
        collected.fill(Row("agents not healthy at the end", "", ratio=False, targets=(Target(0),)), "sick"),
    ]
    return report


def _measure(collected: Collected, column: str, peer: Pypm, asked: Asked, window: float, lists: int) -> None:
    if not is_settled(peer, lambda row: row["health"] == "healthy", SETTLE_SECONDS):
        raise PeerError(f"not all agents are healthy after {SETTLE_SECONDS:g} s")
    managers = managers_of(peer)
    cpu, count = cpu_seconds(managers), asked.count()
    time.sleep(window)
    collected.add("cpu", column, (cpu_seconds(managers) - cpu) / window * 100)
    collected.add("rate", column, (asked.count() - count) / window)
    table = [run_in_terminal(peer.table_command(), peer.environment).seconds * 1e3 for _ in range(lists)]
    machine = [run_command(peer.status_command(), peer.environment).seconds * 1e3 for _ in range(lists)]
    raw = [_answer_time(peer) * 1e3 for _ in range(lists)]
    for name, took in (("table", table), ("json", machine), ("raw", raw)):
        collected.add(name, column, sorted(took)[lists // 2])
        collected.add(f"{name} p99", column, sorted(took)[min(lists - 1, int(lists * 0.99))])
    rows = peer.call("list")
    collected.add("sick", column, sum(row["health"] != "healthy" for row in rows))


def _answer_time(peer: Pypm) -> float:
    """Seconds until the master has answered, without what a command needs to start and to draw a table."""
    time.sleep(0.05)
    begun = time.monotonic()
    peer.call("list")
    return time.monotonic() - begun


@contextmanager
def _server() -> Iterator[Asked]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Asked(process)
    finally:
        process.kill()
        process.communicate()
