"""Kubernetes' probes, over real connections: the same facts, with limits, and never in anybody's way."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pypm import agent
from pypm.agent.channel import Channel
from pypm.agent.facts import Facts
from pypm.agent.health import MOST_CONNECTIONS, HealthServer, Limits, Probe, verdict


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Channel:
    """A process that nobody supervises over a socket."""
    for name in ("PYPM_AGENT_ENDPOINT", "PYPM_AGENT_TOKEN", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    channel = Channel()
    monkeypatch.setattr(agent, "_channel", channel)
    return channel


@pytest.fixture
def server(alone: Channel) -> Iterator[HealthServer]:
    server = agent.serve_health(0, "127.0.0.1")
    assert server is not None
    yield server
    server.stop()


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_life_of_an_agent(server: HealthServer) -> None:
    assert ask(server, "/startupz") == (503, "not ready yet\n")
    assert ask(server, "/readyz") == (503, "not ready yet\n")
    assert ask(server, "/livez") == (200, "ok\n")
    agent.ready()
    assert ask(server, "/startupz") == ask(server, "/readyz") == ask(server, "/livez") == (200, "ok\n")
    agent.stopping()
    assert ask(server, "/readyz") == (503, "stopping\n")
    assert ask(server, "/livez?verbose") == (200, "ok\n")


def test_other_paths_and_methods(server: HealthServer) -> None:
    assert ask(server, "/")[0] == 404
    assert ask(server, "/livez", "HEAD") == (200, "")
    assert ask(server, "/livez", "POST")[0] == 501


def test_a_stall_is_seen_from_outside(server: HealthServer, alone: Channel) -> None:
    agent.ready()
    agent.heartbeat()
    assert ask(server, "/livez")[0] == 200
    assert alone.facts.last_beat is not None
    alone.facts.last_beat -= 45
    status, text = ask(server, "/livez")
    assert status == 503
    assert 45 <= float(text.removeprefix("no heartbeat for ").split()[0]) < 90
    assert text.endswith("the limit is 30 s\n")
    assert ask(server, "/readyz")[0] == 503
    with agent.waiting(60, "model call"):
        assert ask(server, "/livez") == (200, "ok\n")
    assert ask(server, "/livez")[0] == 503


@pytest.mark.parametrize(
    ("ready", "last_beat", "last_progress", "extended_until", "wrong"),
    [
        (False, None, None, 0.0, ""),
        (False, 95.0, None, 0.0, ""),
        (False, 89.0, None, 0.0, "no heartbeat for 11.0 s, the limit is 10 s"),
        (False, 89.0, None, 101.0, ""),
        (True, 95.0, None, 0.0, "no progress for 61.0 s, the limit is 60 s"),
        (True, 95.0, 30.0, 0.0, "no progress for 70.0 s, the limit is 60 s"),
        (True, 95.0, 30.0, 99.0, "no progress for 70.0 s, the limit is 60 s"),
        (True, 95.0, 41.0, 0.0, ""),
    ],
)
def test_the_limits(
    ready: bool, last_beat: float | None, last_progress: float | None, extended_until: float, wrong: str
) -> None:
    facts = Facts()
    facts.ready_at = 39.0 if ready else None
    facts.last_beat, facts.last_progress = last_beat, last_progress
    assert verdict("/livez", facts, extended_until, Limits(10.0, 60.0), 100.0) == wrong
    assert verdict("/livez", facts, extended_until, Limits(None, None), 100.0) == ""


def test_silent_clients_hold_nobody_up_for_long(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who says nothing is cut off; meanwhile others are answered, as long as there are not too many."""
    monkeypatch.setattr(Probe, "timeout", 2.0)
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MOST_CONNECTIONS - 1)]
    assert ask(server, "/livez") == (200, "ok\n")
    silent += [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    for one in silent:
        one.settimeout(20)
        assert one.recv(1) == b""
        one.close()
    assert ask(server, "/livez") == (200, "ok\n")


def test_rubbish_is_an_error_of_its_sender(server: HealthServer, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(20)
        with contextlib.suppress(OSError):  # it is cut off in the middle of it
            client.sendall(b"\xff\x00" * 40_000)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
    assert ask(server, "/livez")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_told_and_raises_nothing(
    server: HealthServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert agent.serve_health(server.port, "127.0.0.1") is None
    assert f"no health probes on 127.0.0.1:{server.port}" in caplog.text


@pytest.mark.parametrize(
    ("port", "host"), [(-1, "127.0.0.1"), (70_000, "127.0.0.1"), (0, "no.such.host.invalid")]
)
def test_nonsense_raises_nothing(alone: Channel, port: int, host: str) -> None:
    assert agent.serve_health(port, host) is None


def test_ipv6(alone: Channel) -> None:
    server = agent.serve_health(0, "::1")
    if server is None:
        pytest.skip("this machine has no IPv6")
    connection = http.client.HTTPConnection("::1", server.port, timeout=20)
    connection.request("GET", "/livez")
    assert connection.getresponse().status == 200
    connection.close()
    server.stop()


def test_a_forked_child_does_not_hold_the_port(server: HealthServer) -> None:
    """As seen by a child that was forked the way programs do; its descriptor is closed."""
    program = (
        "import os, socket\n"
        "from pypm import agent\n"
        "server = agent.serve_health(0, '127.0.0.1')\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if server.socket.fileno() == -1 else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "with socket.create_connection(('127.0.0.1', server.port)): print('open')\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=os.environ, check=False)
    assert (done.stdout, done.stderr) == ("0\nopen\n", "")
