"""systemd's road: what is said becomes sd_notify's messages, on sockets with names and abstract ones."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest
from agent_router import DEADLINE, TOKEN, Master

from pypm import agent
from pypm.agent.channel import Channel
from pypm.agent.notify import Notify, open_notify


class ServiceManager:
    """Who reads NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.settimeout(DEADLINE)

    def receive(self) -> str:
        return self.socket.recv(4096).decode()

    def run(self, program: str, **env: str) -> subprocess.CompletedProcess[str]:
        names = ("PYPM_AGENT_ENDPOINT", "PYPM_AGENT_TOKEN")
        inherited = {name: value for name, value in os.environ.items() if name not in names}
        return subprocess.run(
            [sys.executable, "-X", "dev", "-c", program],
            env={**inherited, "NOTIFY_SOCKET": self.address, **env},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[ServiceManager]:
    with tempfile.TemporaryDirectory(prefix="pn", dir="/tmp") as folder:
        manager = ServiceManager(f"{'@' if request.param == 'abstract' else ''}{folder}/notify")
        yield manager
        manager.socket.close()


@pytest.fixture
def notified(manager: ServiceManager, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    monkeypatch.delenv("PYPM_AGENT_ENDPOINT", raising=False)
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    channel = Channel()
    monkeypatch.setattr(agent, "_channel", channel)
    monkeypatch.setattr(channel, "_is_too_soon", lambda *_: False)
    yield channel
    channel.close()


def test_each_word_has_its_assignments(manager: ServiceManager, notified: Channel) -> None:
    agent.ready()
    agent.status("question 3\nREADY=0 \t of 12")
    agent.heartbeat()
    agent.progress(iteration=4)
    agent.progress(message="tool call")
    with agent.waiting(120, "model call"):
        pass
    with agent.task("summary"):
        pass
    agent.metric("tokens", 3)
    agent.stopping()
    assert [manager.receive() for _ in range(9)] == [
        "READY=1",
        "STATUS=question 3 READY=0 of 12",
        "WATCHDOG=1",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=tool call",
        "EXTEND_TIMEOUT_USEC=120000000",
        "WATCHDOG=1",  # the wait is over
        "WATCHDOG=1",  # the task is done
        "STOPPING=1",
    ]
    assert agent.enabled()


def test_a_wait_that_is_left_is_followed_by_the_longest_of_the_others(
    manager: ServiceManager, notified: Channel
) -> None:
    with agent.waiting(60), agent.waiting(600):
        pass
    seconds = [int(manager.receive().removeprefix("EXTEND_TIMEOUT_USEC=")) / 1e6 for _ in range(3)]
    assert [round(each) for each in seconds] == [60, 600, 60]
    assert manager.receive() == "WATCHDOG=1"


def test_a_full_queue_loses_heartbeats_but_not_readiness(manager: ServiceManager, notified: Channel) -> None:
    for _ in range(5000):
        agent.heartbeat()
    agent.ready()
    agent.status("unheard")
    manager.socket.setblocking(False)
    count = 0
    while True:
        try:
            assert manager.receive() == "WATCHDOG=1"
        except BlockingIOError:
            break
        count += 1
    assert count < 5000
    agent.heartbeat()
    assert manager.receive() == "READY=1\nWATCHDOG=1"
    agent.heartbeat()
    assert manager.receive() == "WATCHDOG=1"


def test_a_program_of_its_own(manager: ServiceManager) -> None:
    done = manager.run("from pypm import agent; agent.ready(); agent.stopping(); print(agent.enabled())")
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    assert [manager.receive() for _ in range(2)] == ["READY=1", "STOPPING=1"]


def test_a_forked_child_speaks_for_itself(manager: ServiceManager) -> None:
    done = manager.run(
        "import os\nfrom pypm import agent\nagent.ready()\nchild = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
        "agent.status('parent' if child else 'child')"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [manager.receive() for _ in range(3)] == ["READY=1", "STATUS=child", "STATUS=parent"]


def test_where_both_are_set_zeromq_is_used(manager: ServiceManager, master: Master) -> None:
    env = {"PYPM_AGENT_ENDPOINT": master.endpoint, "PYPM_AGENT_TOKEN": TOKEN}
    done = manager.run("from pypm import agent; agent.ready()", **env)
    assert (done.returncode, done.stderr) == (0, "")
    assert master.receive()["type"] == "ready"
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.receive()


@pytest.mark.parametrize(
    "hindrance", ["sys.modules['zmq'] = None", "os.environ['PYPM_AGENT_ENDPOINT'] = 'x:'"]
)
def test_where_zeromq_cannot_be_used_it_is_the_socket(
    manager: ServiceManager, master: Master, hindrance: str
) -> None:
    env = {"PYPM_AGENT_ENDPOINT": master.endpoint, "PYPM_AGENT_TOKEN": TOKEN}
    done = manager.run(f"import os, sys; {hindrance}\nfrom pypm import agent; agent.ready()", **env)
    assert (done.returncode, done.stderr) == (0, "")
    assert manager.receive() == "READY=1"


@pytest.mark.parametrize("address", ["", "@", "/", "relative", "vsock:2:1", "/" + "x" * 300, "/nobody/there"])
def test_an_address_of_no_use_disturbs_nobody(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.delenv("PYPM_AGENT_ENDPOINT", raising=False)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    channel = Channel()
    monkeypatch.setattr(agent, "_channel", channel)
    agent.ready()
    agent.status("x")
    agent.stopping()
    channel.close()


@pytest.mark.parametrize(
    ("watchdog", "interval"), [(None, 1.0), ("800000", 0.1), ("60000000", 1.0), ("x", 1.0), ("-5", 1.0)]
)
def test_heartbeats_are_frequent_enough_for_the_watchdog(
    monkeypatch: pytest.MonkeyPatch, watchdog: str | None, interval: float
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "@pypm-nobody")
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if watchdog is not None:
        monkeypatch.setenv("WATCHDOG_USEC", watchdog)
    road = open_notify(os.environ)
    assert isinstance(road, Notify)
    assert road.interval == interval
    road.close()


def test_to_pypm_progress_is_no_heartbeat_and_a_wait_is_taken_back(
    manager: ServiceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pyzmq is missing: who only says its progress would else promise heartbeats by that."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("PYPM_RUN_ID", "r")
    road = open_notify(os.environ)
    assert road is not None
    for message, said in (
        (
            {"type": "progress", "iteration": 7, "message": "a\nWATCHDOG=1"},
            ["X_PYPM_PROGRESS=7", "X_PYPM_MESSAGE=a WATCHDOG=1"],
        ),
        ({"type": "progress"}, ["X_PYPM_PROGRESS="]),
        ({"type": "task", "name": "t", "state": "done"}, ["X_PYPM_PROGRESS=", "X_PYPM_MESSAGE=t"]),
        ({"type": "reset_deadline"}, ["X_PYPM_RESET_DEADLINE=1"]),
        (
            {"type": "reset_deadline", "seconds": 2.0},
            ["X_PYPM_RESET_DEADLINE=1", "EXTEND_TIMEOUT_USEC=2000000"],
        ),
        ({"type": "heartbeat"}, ["WATCHDOG=1"]),
    ):
        road.send(message)
        assert manager.receive().splitlines() == said
    road.send({"type": "task", "name": "t", "state": "begun"})
    road.send({"type": "ready"})
    assert manager.receive() == "READY=1"
    road.close()
