"""What it costs to hear the heartbeats of a thousand agents."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.bench import Bench, Collected, Session
from benchmarks.peers.base import PeerError
from benchmarks.peers.pypm import Pypm
from benchmarks.processes import cpu_seconds
from benchmarks.report import Report, Row, Target
from benchmarks.supervised import columns, is_settled, managers_of, supervised

__all__ = ["run"]

COUNT = 1000
SENDER = """
import json, random, resource, sys, time
import zmq
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
context = zmq.Context.instance()
context.set(zmq.MAX_SOCKETS, 4096)
due = []
for line in sys.stdin:
    pid, endpoint, token = line.split()
    socket = context.socket(zmq.DEALER)
    socket.connect(endpoint)
    beat = {"v": 1, "token": token, "type": "heartbeat", "pid": int(pid), "time": 0.0}
    due.append((random.random(), socket, json.dumps(beat).encode()))
due.sort(key=lambda each: each[0])
begun = time.monotonic()
second = 0
while True:
    for phase, socket, beat in due:
        wait = begun + second + phase - time.monotonic()
        if wait > 0.005:
            time.sleep(wait)
        socket.send(beat, zmq.DONTWAIT)
    second += 1
"""
SETTLE_SECONDS = 60.0


def run(bench: Bench) -> Report:
    """pypm only. One process speaks for all agents: a socket, a connection and a token for each of them."""
    report = Report("heartbeats", f"{COUNT} agents, each with a heartbeat every second", "")
    window = 20.0 if bench.quick else 60.0
    bench.say(f"{window:g} s")
    report.notes.append(f"window of {window:g} s; one process has a connection and a token for each agent")
    collected = Collected()
    for column in columns(bench):
        with bench.tolerate(report, column), supervised(bench, column, COUNT) as (session, peer):
            _measure(collected, column, session, peer, window)
    report.rows = [
        collected.fill(Row("CPU of guardian and master", "% of a core", targets=(Target(15),)), "cpu"),
        collected.fill(Row("oldest heartbeat at the end", "s"), "oldest"),
    ]
    return report


def _measure(collected: Collected, column: str, session: Session, peer: Pypm, window: float) -> None:
    sender = subprocess.Popen([sys.executable, "-c", SENDER], stdin=subprocess.PIPE, text=True)
    try:
        assert sender.stdin is not None
        for stamp in session.latest.values():
            variables = _variables(stamp.pid)
            words = (stamp.pid, variables["PYPM_AGENT_ENDPOINT"], variables["PYPM_AGENT_TOKEN"])
            print(*words, file=sender.stdin)
        sender.stdin.close()
        if not is_settled(peer, lambda row: row["heartbeat_age_seconds"] is not None, SETTLE_SECONDS):
            raise PeerError(f"not all agents were heard within {SETTLE_SECONDS:g} s")
        managers = managers_of(peer)
        before = cpu_seconds(managers)
        time.sleep(window)
        collected.add("cpu", column, (cpu_seconds(managers) - before) / window * 100)
        collected.add("oldest", column, max(row["heartbeat_age_seconds"] for row in peer.call("list")))
    finally:
        sender.kill()
        sender.wait()


def _variables(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    pairs = (entry.decode(errors="replace").partition("=") for entry in entries)
    return {name: value for name, _, value in pairs}
