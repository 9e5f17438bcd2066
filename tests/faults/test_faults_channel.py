"""What anyone may send to the agent channel: agents are heard all the same, and the master does not swell."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
from collections.abc import Iterator

import pytest
import zmq
from real_pypm import RealPypm, python

from pypm.testing import wait_until

MEGABYTE = 1_000_000
SWELLING = 40 * MEGABYTE
"""Bytes by which the master may grow under all that is sent here, which is far more."""
AGENT = """
import sys, pypm.agent
for line in open(sys.argv[1]): pypm.agent.status(line.strip())
"""
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


@pytest.fixture
def up(pypm: RealPypm) -> Iterator[RealPypm]:
    """A master with an agent that speaks; both have to be there at the end, and the agent to be heard."""
    fifo = pypm.folder / "fifo"
    os.mkfifo(fifo)
    app = python("a", AGENT)
    pypm.start({**app, "command": [*app["command"], str(fifo)]})
    master, agent = pypm.master_pid(), pypm.pid("a")
    with fifo.open("w", buffering=1) as words:
        words.write("before\n")
        pypm.wait_row("a", lambda row: row["status_text"] == "before")
        yield pypm
        words.write("after\n")
        pypm.wait_row("a", lambda row: row["status_text"] == "after")
        # While the words can go on: at their end the agent's program is over.
        assert (pypm.master_pid(), pypm.pid("a")) == (master, agent)
    assert "Traceback" not in pypm.master_log()


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@contextlib.contextmanager
def bounded(pypm: RealPypm) -> Iterator[None]:
    """The master, asked again and again, is at the end not much larger than it was."""
    pid = pypm.master_pid()
    before = resident(pid)
    yield
    grown = resident(pid) - before
    assert grown < SWELLING, f"the master has grown by {grown / MEGABYTE:.0f} MB"


def dial(pypm: RealPypm) -> socket.socket:
    """A connection to the channel without ZeroMQ."""
    client = socket.socket(socket.AF_UNIX)  # one that blocks waits for its turn to be accepted
    client.connect(str(pypm.home / "agents.sock"))
    client.settimeout(30)
    return client


@contextlib.contextmanager
def dealers(pypm: RealPypm, count: int) -> Iterator[list[zmq.Socket[bytes]]]:
    """Connections of strangers that speak ZeroMQ."""
    with zmq.Context() as context:
        made = [context.socket(zmq.DEALER) for _ in range(count)]
        for dealer in made:
            dealer.setsockopt(zmq.LINGER, 0)
            dealer.setsockopt(zmq.SNDTIMEO, 30_000)
            dealer.connect(f"ipc://{pypm.home}/agents.sock")
        try:
            yield made
        finally:
            for dealer in made:
                dealer.close()


def dropped(pypm: RealPypm) -> int:
    """How many frames the master's log says were dropped, all causes together."""
    lines = [line for line in pypm.master_log().splitlines() if "frames dropped so far" in line]
    latest = {line.rpartition(": ")[2]: int(line.split("agent channel: ")[1].split()[0]) for line in lines}
    return sum(latest.values())


def test_random_bytes(up: RealPypm) -> None:
    with bounded(up):
        for seed in range(200):
            noise = random.Random(seed)
            with dial(up) as client, contextlib.suppress(ConnectionError):
                beginning = (b"", GREETING[:10], GREETING)[seed % 3]
                client.sendall(beginning + noise.randbytes(noise.randrange(5000)))


def test_random_frames(up: RealPypm) -> None:
    noise = random.Random(1)
    values: list[object] = [None, True, -1, 1.5, "", "ready", [], {}, "x" * 1000, {"a": [1]}]
    with bounded(up), dealers(up, 3) as strangers:
        for number in range(3000):
            keys = noise.sample(["v", "token", "type", "text", "ready", "status"], 4)
            frame = json.dumps({key: noise.choice(values) for key in keys}).encode()
            strangers[number % 3].send(frame if number % 2 else noise.randbytes(noise.randrange(300)))
        wait_until(lambda: dropped(up) >= 1024, 30.0)


def test_frames_of_ten_megabytes(up: RealPypm) -> None:
    frame = b"x" * 10 * MEGABYTE
    with bounded(up), dealers(up, 5) as strangers:
        for stranger in strangers:
            stranger.send(frame)
            stranger.send(b"{}")


def test_a_flood_of_the_largest_frames(up: RealPypm) -> None:
    frame = json.dumps({"v": 1, "token": "x" * 60_000, "type": "heartbeat"}).encode()
    with bounded(up), dealers(up, 4) as strangers:
        for _ in range(1000):
            for stranger in strangers:
                stranger.send(frame)
        wait_until(lambda: dropped(up) >= 2048, 30.0)


def test_thousands_of_connections(up: RealPypm) -> None:
    with bounded(up), contextlib.ExitStack() as stack:
        for _ in range(2000):
            stack.enter_context(dial(up)).sendall(GREETING)
        assert up.rows()[0]["status"] == "online"
    wait_until(lambda: len(os.listdir(f"/proc/{up.master_pid()}/fd")) < 100, 30.0)


def token_of(pid: int) -> str:
    with open(f"/proc/{pid}/environ", "rb") as file:
        entries = file.read().split(b"\0")
    [token] = [entry.partition(b"=")[2] for entry in entries if entry.startswith(b"PYPM_AGENT_TOKEN=")]
    return token.decode()


def test_a_flood_of_metrics_tasks_and_waits_of_one_run(up: RealPypm) -> None:
    """Names, tasks and processes without end, under a token that is true."""
    noise = random.Random(2)
    head = {"v": 1, "token": token_of(up.pid("a"))}
    with bounded(up), dealers(up, 2) as agents:
        for number in range(20_000):
            seconds = noise.choice([0, 1e-9, 5, 1e6, 1e9, -1, None, "x"])
            frame = noise.choice(
                [
                    {"type": "metric", "name": f"m{number}" * noise.randrange(50), "value": number},
                    {"type": "task", "name": f"t{number % 300}", "state": "begun", "id": str(number)},
                    {
                        "type": "extend",
                        "pid": number,
                        "seconds": seconds,
                        "text": "x" * noise.randrange(1000),
                    },
                    {"type": "reset_deadline", "pid": noise.randrange(number + 1), "seconds": seconds},
                    {"type": "heartbeat", "pid": number, "extend": seconds, "waiting": "y" * 1000},
                    {"type": "progress", "iteration": 10 ** noise.randrange(30), "message": "z" * 1000},
                ]
            )
            agents[number % 2].send(json.dumps(head | frame).encode())
        agents[0].send(json.dumps(head | {"type": "status", "text": "the flood is over"}).encode())
        up.wait_row("a", lambda row: row["status_text"] == "the flood is over", 60.0)
        [detail] = up.json("describe", "a")
    assert len(detail["metrics"]) == len(detail["tasks"]) == 100
    assert all(len(name) <= 100 for name in detail["metrics"])
    assert len(json.dumps(detail)) < 100_000
