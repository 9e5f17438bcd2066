"""The guardian as a unit of systemd has it: ready, alive, ending, and never lost sight of."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_pypm import RealPypm, lives, sleeper

from pypm.boot.systemd import unit_text
from pypm.cli.startup_job import make_job
from pypm.testing import wait_until


class ServiceManager:
    """Starts the command of the unit as systemd does, and hears what is said to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listener.bind(os.fspath(self.path))
        self.listener.setblocking(False)
        self.heard: list[str] = []
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, **variables: str) -> subprocess.Popen[bytes]:
        job = make_job("startup", "systemd", dry_run=True, mode="user", run_as=None, name=None)
        assert f"ExecStart={' '.join(job.command)}\n" in unit_text(job)
        environment = {"PYPM_HOME": job.home, "NOTIFY_SOCKET": os.fspath(self.path), **variables}
        self.has_heard("")
        self.heard.clear()
        # As systemd does, which names the process that it starts: $$ is that of the guardian after the exec.
        named = ["/bin/sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh", *job.command]
        process = subprocess.Popen(named, env=environment, cwd="/", stdin=subprocess.DEVNULL)
        self.started.append(process)
        return process

    def has_heard(self, text: str) -> bool:
        while True:
            try:
                self.heard += self.listener.recv(4096).decode().splitlines()
            except BlockingIOError:
                return text in self.heard

    def wait_for(self, text: str) -> None:
        wait_until(lambda: self.has_heard(text), 20.0, f"{text} (heard: {self.heard})")


@pytest.fixture
def systemd(home: Path) -> Iterator[ServiceManager]:
    manager = ServiceManager(home)
    yield manager
    manager.listener.close()
    for process in manager.started:
        process.kill()
        process.wait()


def test_it_says_when_it_is_ready_and_a_command_works_then(systemd: ServiceManager, pypm: RealPypm) -> None:
    process = systemd.start()
    systemd.wait_for("READY=1")
    assert pypm.json("ping")["guardian_pid"] == process.pid


def test_told_to_end_it_stops_the_agents_which_are_up_again_next_time(
    systemd: ServiceManager, pypm: RealPypm
) -> None:
    process = systemd.start()
    systemd.wait_for("READY=1")
    pypm.start(sleeper("a"), sleeper("off"))
    pypm.ok("stop", "off")
    agent = pypm.pid("a")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    systemd.wait_for("STOPPING=1")
    assert not lives(agent)
    systemd.start()
    systemd.wait_for("READY=1")
    pypm.wait_status("a", "online")
    assert pypm.row("off")["status"] == "stopped"


def test_it_shows_signs_of_life_as_often_as_the_watchdog_asks(
    systemd: ServiceManager, pypm: RealPypm
) -> None:
    systemd.start(WATCHDOG_USEC="200000")
    for _ in range(3):
        systemd.heard.clear()
        systemd.wait_for("WATCHDOG=1")


def test_a_master_that_becomes_the_guardian_says_so_and_goes_on_with_the_watchdog(
    systemd: ServiceManager, pypm: RealPypm
) -> None:
    process = systemd.start(WATCHDOG_USEC="200000")
    systemd.wait_for("READY=1")
    pypm.start(sleeper("a"))
    agent, master = pypm.pid("a"), pypm.master_pid()
    process.kill()
    process.wait()
    systemd.wait_for(f"MAINPID={master}")
    systemd.heard.clear()
    systemd.wait_for("WATCHDOG=1")
    wait_until(lambda: pypm.json("ping")["guardian_pid"] == master, 20.0)
    assert pypm.pid("a") == agent


def test_started_again_it_leaves_the_place_to_the_one_that_guards(
    systemd: ServiceManager, pypm: RealPypm
) -> None:
    """What systemd does when its main process was killed."""
    process = systemd.start()
    systemd.wait_for("READY=1")
    pypm.start(sleeper("a"))
    agent, master = pypm.pid("a"), pypm.master_pid()
    process.kill()
    process.wait()
    systemd.wait_for(f"MAINPID={master}")
    assert systemd.start().wait(30) == 0
    systemd.wait_for("READY=1")
    assert f"MAINPID={master}" in systemd.heard
    assert pypm.pid("a") == agent


def test_a_home_that_somebody_else_guards_is_nothing_to_try_again(
    systemd: ServiceManager, pypm: RealPypm
) -> None:
    pypm.start(sleeper("a"))
    assert systemd.start(NOTIFY_SOCKET="").wait(30) == 78
    assert pypm.row("a")["status"] == "online"


def test_after_both_were_killed_the_next_start_adopts(systemd: ServiceManager, pypm: RealPypm) -> None:
    process = systemd.start()
    systemd.wait_for("READY=1")
    pypm.start(sleeper("a"))
    agent, master = pypm.pid("a"), pypm.master_pid()
    process.send_signal(signal.SIGSTOP)  # so that it starts no other master meanwhile
    os.kill(master, signal.SIGKILL)
    process.kill()
    process.wait()
    systemd.start()
    systemd.wait_for("READY=1")
    pypm.wait_status("a", "online")
    assert pypm.pid("a") == agent
