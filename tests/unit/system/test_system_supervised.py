"""What a service manager hears: datagrams on a real socket, and silence where nobody listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypm.system import supervised
from pypm.system.supervised import become_main_process, hand_over, notify, watchdog_interval


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A service manager's socket, in the file system or abstract, that does not block."""
    name = f"{home}/notify" if request.param == "path" else f"@pypm-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listener


def test_a_message_is_one_datagram(manager: socket.socket) -> None:
    notify("READY=1\nSTATUS=2 agents")
    notify("WATCHDOG=1")
    assert manager.recv(4096) == b"READY=1\nSTATUS=2 agents"
    assert manager.recv(4096) == b"WATCHDOG=1"


def test_a_name_that_is_no_utf8_is_said_as_it_is(manager: socket.socket) -> None:
    notify("STATUS=" + os.fsdecode(b"/home/\xff"))
    assert manager.recv(4096) == b"STATUS=/home/\xff"


@pytest.mark.parametrize(
    "address", [None, "", "relative", "vsock:2:1234", "/nowhere/notify", "/" + "x" * 200]
)
def test_where_nobody_listens_nothing_happens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


def test_a_manager_that_does_not_read_holds_nobody_up(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "PATIENCE", 0.01)
    for _ in range(2000):  # far more than any queue takes
        notify("x" * 4096)
        if not has_room(manager):
            break
    notify("WATCHDOG=1")


def has_room(manager: socket.socket) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            sender.sendto(b"probe", manager.getsockname())
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        (None, None, None),
        ("30000000", None, 15.0),
        ("30000000", "ours", 15.0),
        ("30000000", "1", None),
        ("1", None, 0.0000005),
        ("0", None, None),
        ("-5", None, None),
        ("soon", None, None),
    ],
)
def test_the_watchdog_is_answered_twice_as_often_as_it_asks(
    usec: str | None, pid: str | None, interval: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if usec is not None:
        monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)
    assert watchdog_interval() == interval


def test_who_takes_the_place_answers_the_watchdog(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    become_main_process()
    assert manager.recv(4096) == f"MAINPID={os.getpid()}".encode()
    assert watchdog_interval() == 15.0


def test_without_a_watchdog_none_is_made_up() -> None:
    become_main_process()
    assert "WATCHDOG_PID" not in os.environ


UNIT = "/user.slice/user@1000.service/app.slice/pypm.service"


@pytest.fixture
def processes(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc in which we are the process that a unit has just started."""
    monkeypatch.setattr(supervised, "PROC", str(home / "proc"))
    put_process(home / "proc", "self", f"0::{UNIT}\n")
    return home / "proc"


def put_process(folder: Path, process: str, control_groups: str) -> None:
    (folder / process).mkdir(parents=True, exist_ok=True)
    (folder / process / "cgroup").write_text(control_groups)


@pytest.mark.parametrize(
    ("control_groups", "is_ours"),
    [
        (f"0::{UNIT}\n", True),
        (f"0::{UNIT}/supervisor\n", True),
        (f"0::{UNIT}2\n", False),
        ("0::/user.slice/session-3.scope\n", False),
        ("0::/\n", False),
        (f"4:memory:/x\n1:name=systemd:{UNIT}\n0::/\n", True),
        ("", False),
    ],
)
def test_only_one_of_the_same_unit_is_handed_the_place(
    manager: socket.socket, processes: Path, control_groups: str, is_ours: bool
) -> None:
    put_process(processes, "77", control_groups)
    assert hand_over(77) is is_ours
    if is_ours:
        assert manager.recv(4096) == b"MAINPID=77\nREADY=1"
    else:
        with pytest.raises(BlockingIOError):
            manager.recv(4096)


def test_one_that_is_gone_is_handed_nothing(manager: socket.socket, processes: Path) -> None:
    assert not hand_over(77)


@pytest.mark.parametrize("address", [None, ""])
def test_without_a_service_manager_nothing_is_handed_over(
    processes: Path, address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    put_process(processes, "77", f"0::{UNIT}\n")
    assert not hand_over(77)
