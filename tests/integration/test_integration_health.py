"""Alive is not working: real agents that hang, stall, wait honestly and recover."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from real_pypm import RealPypm

from pypm.testing import wait_until

SAY = """
import json, os, signal, sys, time
import zmq
socket = zmq.Context.instance().socket(zmq.DEALER)
socket.connect(os.environ["PYPM_AGENT_ENDPOINT"])
def say(kind, **fields):
    message = {"v": 1, "token": os.environ["PYPM_AGENT_TOKEN"], "type": kind, "pid": os.getpid(), "time": 0.0}
    socket.send(json.dumps(message | fields).encode())
"""


def agent(pypm: RealPypm, body: str, **health: Any) -> None:
    """Start one agent of this program, which knows ``say``."""
    file = Path(pypm.home) / "agent.py"
    file.write_text(SAY + body)
    app = {"name": "a", "script": str(file), "interpreter": sys.executable, "health": health}
    pypm.start(app)


def row(pypm: RealPypm) -> dict[str, Any]:
    return pypm.rows()[0]


def events(pypm: RealPypm) -> list[dict[str, Any]]:
    file = Path(pypm.home) / "events.jsonl"
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines() if line.startswith("{")]


def test_a_hung_agent_is_restarted_with_a_report(pypm: RealPypm) -> None:
    hangs_once = (
        "say('heartbeat')\n"
        "while os.environ['PYPM_RESTARTS'] != '0':\n    say('heartbeat')\n    time.sleep(0.1)\n"
        "print('the last words', flush=True)\ntime.sleep(1000)"
    )
    agent(pypm, hangs_once, heartbeat_timeout="2s")
    wait_until(lambda: row(pypm)["restarts"] == 1, 20.0)
    end = row(pypm)["last_exit"]
    assert (end["reason"], end["cause"]) == ("no heartbeat for 2s", "watchdog")
    reports = list((Path(pypm.home) / "reports" / "a").iterdir())
    assert str(reports[0]) == end["report"]
    assert (reports[0] / "why.txt").read_text().splitlines()[2] == "no heartbeat for 2s"
    assert "the last words" in (reports[0] / "stdout.txt").read_text()
    assert "agent.py" in (reports[0] / "processes.txt").read_text()
    assert (reports[0].stat().st_mode & 0o777, (reports[0] / "why.txt").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )
    assert any(each["event"] == "health.heartbeat" and each["name"] == "a" for each in events(pypm))


def test_a_stopped_process_is_found_too(pypm: RealPypm) -> None:
    agent(pypm, "while True:\n    say('heartbeat')\n    time.sleep(0.2)", heartbeat_timeout="4s")
    wait_until(lambda: row(pypm)["health"] == "healthy", 30.0)
    pid = row(pypm)["pid"]
    os.kill(pid, 19)
    wait_until(lambda: row(pypm)["restarts"] == 1 and row(pypm)["health"] == "healthy", 30.0)
    assert "no heartbeat for 4s" in row(pypm)["last_exit"]["reason"]


def test_a_flat_queue_is_a_stall_and_only_alerted_where_that_is_asked_for(pypm: RealPypm) -> None:
    """It lives and its loop turns; nothing is done."""
    body = "while True:\n    say('heartbeat')\n    time.sleep(0.5)"
    agent(pypm, body, heartbeat_timeout="10s", progress_timeout="2s", on_stall="alert")
    pid = row(pypm)["pid"]
    wait_until(lambda: row(pypm)["health"] == "stalled", 20.0)
    assert (row(pypm)["pid"], row(pypm)["status"]) == (pid, "online")


def test_work_without_progress_is_no_stall(pypm: RealPypm) -> None:
    """A silent agent whose child computes is let alone, and what spoke for it is told."""
    body = "import subprocess\nsubprocess.run([sys.executable, '-c', 'while True: pass'])"
    agent(pypm, body, progress_timeout="3s")
    wait_until(lambda: "of CPU" in (row(pypm).get("evidence") or ""), 30.0)
    assert row(pypm)["restarts"] == 0


def test_a_wait_is_shown_and_disturbs_nobody(pypm: RealPypm) -> None:
    body = "say('heartbeat')\nsay('extend', seconds=600, text='model call')\ntime.sleep(1000)"
    agent(pypm, body, heartbeat_timeout="2s", progress_timeout="2s", evidence=[])
    wait_until(lambda: row(pypm).get("waiting_for") == "model call", 30.0)
    pid = row(pypm)["pid"]
    # This agent does not repeat what it says, so the next master knows of it only what was saved.
    wait_until(lambda: "model call" in json.dumps(pypm.state()), 30.0)
    pypm.kill_master()
    wait_until(lambda: row(pypm).get("waiting_for") == "model call", 30.0)
    assert (row(pypm)["pid"], row(pypm)["restarts"]) == (pid, 0)


def test_an_answer_that_comes_token_by_token_is_no_stall(pypm: RealPypm) -> None:
    """Ten chunks a second need next to no CPU, and are received by calls that /proc does not count."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        body = "import socket as tcp\nconnection = tcp.create_connection(('127.0.0.1', PORT))\n"
        body += "while connection.recv(4096):\n    pass\ntime.sleep(1000)"
        agent(pypm, body.replace("PORT", str(listener.getsockname()[1])), progress_timeout="2s")
        listener.settimeout(20.0)
        connection = stack.enter_context(listener.accept()[0])

        def streamed() -> bool:
            connection.sendall(b"data: " + b"x" * 200 + b"\n\n")
            return "over TCP" in (row(pypm).get("evidence") or "")

        wait_until(streamed, 20.0)
        assert row(pypm)["restarts"] == 0
    wait_until(lambda: row(pypm)["restarts"] >= 1, 30.0)
