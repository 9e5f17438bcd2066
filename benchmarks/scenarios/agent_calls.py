"""What the calls of ``pypm.agent`` cost an agent, with a master that reads and with none, and its import."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Collected
from benchmarks.report import BARE, PYPM, Report, Row, Target

__all__ = ["run"]

MICROSECONDS = 20.0
IMPORT_MILLISECONDS = 30.0
BURST = 400
"""Calls in a row: fewer than ZeroMQ's queue takes, so that each of them is sent."""
PROGRAM = f"""
import json, os, socket, sys, time
from pypm import agent

BURST, ROUNDS, SINGLE = {BURST}, int(sys.argv[1]), int(sys.argv[2])
clock = time.perf_counter

def wait():
    with agent.waiting(60, "model call"): pass

def work():
    with agent.task("summary"): pass

CASES = {{
    "heartbeat": (agent.heartbeat, 1),
    "ready": (agent.ready, 1),
    "progress": (lambda: agent.progress(iteration=7), 1),
    "status": (lambda: agent.status("question 3 of 12"), 1),
    "metric": (lambda: agent.metric("tokens", 1234), 1),
    "waiting": (wait, 2),
    "task": (work, 2),
}}
agent.ready()
time.sleep(0.2)
paced = agent._channel._road.interval
found = {{name: [] for name in [*CASES, "heartbeats too many", "a second", "datagram a second", "cpu"]}}
agent._channel._road.interval = 0.0  # each one is sent
for _ in range(ROUNDS):
    for name, (call, messages) in CASES.items():
        begin = clock()
        for _ in range(BURST // messages): call()
        found[name].append((clock() - begin) / BURST)
        time.sleep(0.05)
    begin = time.process_time()
    for _ in range(BURST): agent.heartbeat()
    time.sleep(0.05)
    found["cpu"].append((time.process_time() - begin) / BURST)
agent._channel._road.interval = paced
for _ in range(ROUNDS):
    begin = clock()
    for _ in range(BURST): agent.heartbeat()
    found["heartbeats too many"].append((clock() - begin) / BURST)
near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
frame = b"x" * 150
for _ in range(SINGLE):
    time.sleep(0.11)
    begin = clock(); agent.heartbeat(); found["a second"].append(clock() - begin)
    time.sleep(0.11)
    begin = clock(); near.send(frame); found["datagram a second"].append(clock() - begin)
    far.recv(200)
print(json.dumps(found))
"""
IMPORT = "import time; begin = time.perf_counter(); import pypm.agent; print(time.perf_counter() - begin)"
ROWS = {
    "heartbeat": "heartbeat, each sent",
    "heartbeats too many": "heartbeat, more than ten a second",
    "ready": "ready",
    "progress": "progress, each sent",
    "status": "status",
    "metric": "metric, each sent",
    "waiting": "waiting: enter or leave",
    "task": "task: begin or end",
}


class Reader:
    """A ROUTER that reads all that comes, in a thread."""

    def __init__(self, endpoint: str) -> None:
        import zmq

        self._context: zmq.Context[Any] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.bind(endpoint)
        self._thread = threading.Thread(target=self._read, args=(zmq.ContextTerminated,))
        self._thread.start()

    def _read(self, ended: type[Exception]) -> None:
        try:
            while True:
                self._router.recv_multipart()
        except ended:
            self._router.close(linger=0)

    def close(self) -> None:
        self._context.term()
        self._thread.join()


def run(bench: Bench) -> Report:
    """Calls one after the other, and as an agent makes them that was asleep: a few a second."""
    rounds, single = (10, 20) if bench.quick else (50, 100)
    report = Report("agent_calls", "what a call of pypm.agent costs the agent", "a datagram of the same size")
    report.notes.append(f"a sample is {BURST} calls; a call waits for nobody")
    collected = Collected()
    for number in range(bench.rounds(normal=3, quick=1)):
        bench.say(f"round {number + 1}")
        for name, values in _measure(bench, rounds, single, reading=True).items():
            column, key = (BARE, "a second") if name == "datagram a second" else (PYPM, name)
            for value in values:
                collected.add(key, column, value * 1e6)
        for value in _measure(bench, rounds, 1, reading=False)["status"]:
            collected.add("no master", PYPM, value * 1e6)
        for _ in range(rounds):
            collected.add("import", PYPM, float(_output(bench, IMPORT)) * 1e3)
    target = (Target(MICROSECONDS),)
    for key, title in ROWS.items():
        report.rows.append(collected.fill(Row(title, "µs", targets=target), key))
    report.rows.append(collected.fill(Row("status, no master", "µs", targets=target), "no master"))
    report.rows.append(collected.fill(Row("heartbeat after 0.1 s of sleep, caches cold", "µs"), "a second"))
    report.rows.append(collected.fill(Row("heartbeat: CPU time, with ZeroMQ's thread", "µs"), "cpu"))
    row = Row("import pypm.agent", "ms", targets=(Target(IMPORT_MILLISECONDS),))
    report.rows.append(collected.fill(row, "import"))
    return report


def _measure(bench: Bench, rounds: int, single: int, *, reading: bool) -> dict[str, list[float]]:
    endpoint = f"ipc://{bench.scratch / 'agents.sock'}"
    Path(bench.scratch / "agents.sock").unlink(missing_ok=True)
    reader = Reader(endpoint) if reading else None
    try:
        environment = {"PYPM_AGENT_ENDPOINT": endpoint, "PYPM_AGENT_TOKEN": "benchmark"}
        found: dict[str, list[float]] = json.loads(
            _output(bench, PROGRAM, str(rounds), str(single), **environment)
        )
    finally:
        if reader is not None:
            reader.close()
    return found


def _output(bench: Bench, program: str, *arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**bench.environment, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=bench.scratch,
    ).stdout
