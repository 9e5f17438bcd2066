"""Eight HTTP servers are reloaded while thousands of requests come: does one of them fail?"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import http_load, http_server
from benchmarks.bench import Bench, Collected
from benchmarks.peers.base import PeerError
from benchmarks.peers.pypm import Pypm
from benchmarks.report import BARE, Report, Row, Target
from benchmarks.supervised import columns

__all__ = ["run"]

INSTANCES = 8
CLIENTS = 64
LEAD_SECONDS = 0.3
"""Of load before the first reload and after the last one."""
LOAD_SECONDS = 300.0
APP = """\
[[apps]]
name = "web"
command = {command}
instances = {instances}
wait_ready = true
max_restarts = "unlimited"
{sockets}
"""
FORMS = {
    "inherited": "one shared socket",
    "own": "SO_REUSEPORT, who has connected is taken in",
    "at-once": "SO_REUSEPORT, closed at once",
}
MIGRATION = Path("/proc/sys/net/ipv4/tcp_migrate_req")


class Counted(NamedTuple):
    """What the load says."""

    requests: int
    failures: dict[str, int]
    per_second: float
    times: list[float]
    """Seconds, sorted."""


def run(bench: Bench) -> Report:
    """pypm only. Reloads follow one another until there were enough requests."""
    least = 5_000 if bench.quick else 20_000
    title = f"pypm reload of {INSTANCES} HTTP servers under {least:,} requests of {CLIENTS} clients"
    report = Report("reload", title, "the same servers and the same load, and no reload")
    collected = Collected()
    rounds = bench.rounds(normal=3, quick=1)
    for form, words in FORMS.items():
        bench.say(f"{words}, {rounds} rounds of {least:,} requests")

        def sample(column: str, _: int, form: str = form) -> None:
            _measure(bench, report, collected, column, form, least)

        bench.take_turns(report, columns(bench), rounds, sample)
        report.rows += _rows(collected, form)
    migration = MIGRATION.read_text().strip() if MIGRATION.exists() else "not there"
    report.notes.append(
        f"half of the clients keep their connections; net.ipv4.tcp_migrate_req is {migration}"
    )
    return report


def _rows(collected: Collected, form: str) -> list[Row]:
    none_fails = (Target(0),) if form == "inherited" else ()
    rows = {
        "requests": Row("requests", ""),
        "failed": Row("requests that failed, most of a round", "", statistic="worst", targets=none_fails),
        "reload": Row(f"a reload of {INSTANCES}", "s"),
        "rate": Row("requests a second", ""),
        "p99": Row("answered within, 99 of 100", "ms"),
        "slowest": Row("answered within, all", "ms", statistic="worst"),
    }
    for key, row in rows.items():
        row.title = f"{FORMS[form]}: {row.title}"
        collected.fill(row, f"{form} {key}")
    return list(rows.values())


def _measure(bench: Bench, report: Report, collected: Collected, column: str, form: str, least: int) -> None:
    port = _free_port()
    with bench.session(column, bench.workload(0)) as session:
        peer = session.peer
        assert isinstance(peer, Pypm)
        file = session.peer.home / "web.toml"
        file.write_text(_app(form, port))
        peer.command(*peer.words("start", str(file)))
        _note(collected, BARE, form, _under_load(port, least, None))

        def reload() -> None:
            collected.add(f"{form} reload", column, _reload(peer))

        counted = _under_load(port, least, reload)
        _note(collected, column, form, counted)
    for failure, count in sorted(counted.failures.items()):
        report.notes.append(f"{FORMS[form]}: {count} × {failure}")


def _app(form: str, port: int) -> str:
    words, sockets = {"own": [str(port)], "at-once": [str(port), form]}.get(form, [form]), ""
    if form == "inherited":
        sockets = f'sockets = ["tcp://127.0.0.1:{port}"]'
    command = json.dumps([sys.executable, "-S", str(http_server.__file__), *words])
    return APP.format(command=command, instances=INSTANCES, sockets=sockets)


def _reload(peer: Pypm) -> float:
    """Seconds that it takes; ``PeerError`` unless all of them are others afterwards."""
    before = _pids(peer)
    begun = time.monotonic()
    peer.command(*peer.words("reload", "web"))
    took = time.monotonic() - begun
    after = _pids(peer)
    if len(after) != INSTANCES or before & after:
        raise PeerError(f"{len(before & after)} were not renewed, {len(after)} are there")
    return took


def _pids(peer: Pypm) -> set[int]:
    return {row["pid"] for row in peer.call("list") if row["status"] == "online"}


class _Load:
    """The process that makes the load; ended with the ``with`` block."""

    def __init__(self, port: int, least: int) -> None:
        command = [sys.executable, str(http_load.__file__), str(port), str(CLIENTS), str(least)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._said: list[str] = []
        self.is_enough = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.append(line)
            self.is_enough.set()
        self.is_enough.set()

    def end(self) -> Counted:
        """Ends it, and tells what it has counted."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._thread.join(LOAD_SECONDS)
        try:
            found: dict[str, Any] = json.loads(self._said[-1])
        except (ValueError, IndexError) as error:
            raise PeerError(f"the load has said {self._said}") from error
        count = len(found["times"])
        return Counted(count, found["failures"], count / found["seconds"], found["times"])

    def __enter__(self) -> _Load:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()


def _under_load(port: int, least: int, meanwhile: Callable[[], None] | None) -> Counted:
    """Does something again and again, once at least, until there were enough requests."""
    with _Load(port, least) as load:
        time.sleep(LEAD_SECONDS)
        while meanwhile is not None:
            meanwhile()
            if load.is_enough.is_set():
                break
        load.is_enough.wait(LOAD_SECONDS)
        time.sleep(LEAD_SECONDS)
        return load.end()


def _note(collected: Collected, column: str, form: str, counted: Counted) -> None:
    collected.add(f"{form} requests", column, counted.requests)
    collected.add(f"{form} failed", column, sum(counted.failures.values()))
    collected.add(f"{form} rate", column, counted.per_second)
    collected.add(f"{form} p99", column, counted.times[int(len(counted.times) * 0.99)] * 1e3)
    collected.add(f"{form} slowest", column, counted.times[-1] * 1e3)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
