"""Sockets that pypm opens and runs inherit: over crashes, reloads, masters, and gone with a stop."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from real_pypm import RealPypm, free_port, lives

from pypm.testing import wait_until

SERVER = """
import os, select, signal, socket, sys
assert os.environ["LISTEN_PID"] == str(os.getpid()), "the variable is another's"
assert os.environ["LISTEN_FDS"] == sys.argv[1]
listener = socket.socket(fileno=2 + int(sys.argv[1]))
ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
# Whether it blocks is one flag for all who have inherited it.
listener.setblocking(False)
if os.environ.get("NOTIFY_SOCKET"):
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while not ending:
    select.select([listener], [], [], 0.05)
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        continue
    with connection:
        connection.settimeout(10)
        said = connection.recv(100)
        connection.sendall(said + b" " + str(os.getpid()).encode())
"""


def server(pypm: RealPypm, *sockets: str, **keys: Any) -> dict[str, Any]:
    script = pypm.write("server.py", SERVER)
    command = [sys.executable, str(script), str(len(sockets))]
    return {"name": "web", "command": command, "sockets": list(sockets), "restart_delay": 0, **keys}


def asked(place: int | str) -> tuple[str, int]:
    """What the server at a port or path says: our word, and its pid."""
    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    with contextlib.closing(socket.socket(family)) as client:
        client.settimeout(30)
        client.connect(place if isinstance(place, str) else ("127.0.0.1", place))
        client.sendall(b"hello")
        word, pid = client.recv(100).split()
    return word.decode(), int(pid)


def killed(pid: int) -> None:
    """Kill a server, and wait until it can accept nobody whom it would not answer any more."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not lives(pid), what="its end")


def is_open(port: int) -> bool:
    with contextlib.closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_it_is_inherited_and_survives_crashes_and_masters_but_no_stop(pypm: RealPypm) -> None:
    port = free_port()
    pypm.start(server(pypm, f"tcp://127.0.0.1:{port}"))
    assert asked(port) == ("hello", pypm.pid("web"))
    first = pypm.pid("web")
    killed(first)
    assert asked(port)[1] != first, "who connects meanwhile waits"
    pypm.kill_master()
    second = pypm.wait_status("web", "online")["pid"]
    assert asked(port) == ("hello", second)
    killed(second)
    assert asked(port)[1] != second
    pypm.ok("stop", "web")
    wait_until(lambda: not is_open(port), 20.0)
    pypm.ok("start", "web")
    assert asked(port)[1] == pypm.pid("web")
    pypm.ok("delete", "web")
    wait_until(lambda: not is_open(port), 20.0)


def test_after_guardian_and_master_died_it_is_taken_from_the_run(pypm: RealPypm) -> None:
    port = free_port()
    pypm.start(server(pypm, f"tcp://127.0.0.1:{port}"))
    pid = pypm.pid("web")
    pypm.kill_both()
    pypm.ok("start", "web")
    assert asked(port) == ("hello", pid)
    killed(pid)
    assert asked(port)[1] != pid


def test_a_path_is_the_apps_and_goes_with_it(pypm: RealPypm) -> None:
    path = str(pypm.home / "web.sock")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left_behind:
        left_behind.bind(path)
    pypm.start(server(pypm, f"tcp://127.0.0.1:{free_port()}", f"unix://{path}"))
    assert asked(path) == ("hello", pypm.pid("web"))
    pypm.ok("stop", "web")
    wait_until(lambda: not os.path.lexists(path), 20.0)


def test_instances_share_it_and_a_reload_refuses_nobody(pypm: RealPypm) -> None:
    port = free_port()
    app = server(pypm, f"tcp://127.0.0.1:{port}", instances=3, wait_ready=True)
    pypm.start(app)
    before = {row["pid"] for row in pypm.rows()}
    faults: list[Exception] = []
    pids: set[int] = set()
    is_done = threading.Event()

    def ask() -> None:
        while not is_done.is_set():
            try:
                pids.add(asked(port)[1])
            except Exception as error:
                faults.append(error)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for each in clients:
        each.start()
    wait_until(lambda: pids >= before, 30.0)
    pypm.ok("reload", "web")
    after = {row["pid"] for row in pypm.rows()}
    wait_until(lambda: pids >= after, 30.0)
    is_done.set()
    for each in clients:
        each.join(30)
    assert faults == []
    assert not before & after


BINDS_BY_ITSELF = """
import os, signal, socket, sys
assert "LISTEN_FDS" not in os.environ
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of what it leaves behind, too
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(connection.recv(100) + b" " + str(os.getpid()).encode())
"""


def listen_at(listener: socket.socket, port: int) -> None:
    listener.bind(("127.0.0.1", port))
    listener.listen()


def test_who_listens_by_himself_has_his_place_kept(pypm: RealPypm) -> None:
    port = free_port()
    script = pypm.write("own.py", BINDS_BY_ITSELF)
    address = f"tcp://127.0.0.1:{port}?reuseport"
    app = {"name": "web", "command": [sys.executable, str(script), str(port)], "sockets": [address]}
    pypm.start(app | {"instances": 2, "wait_ready": True, "restart_delay": "10m"})
    pids, answered = {row["pid"] for row in pypm.rows()}, set[int]()
    wait_until(lambda: answered.add(asked(port)[1]) or answered == pids, 30.0)
    pypm.ok("reload", "web")
    after = {row["pid"] for row in pypm.rows()}
    assert not after & pids
    assert asked(port)[1] in after
    pypm.kill_master()
    for pid in after:
        killed(pid)
    assert not is_open(port)
    wait_until(lambda: {row["status"] for row in pypm.rows()} == {"backoff"}, 30.0)
    with contextlib.closing(socket.socket()) as other:
        # Without this, what the killed ones have left behind would be in its way as well.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            listen_at(other, port)
    pypm.ok("stop", "web")

    def is_free() -> bool:
        with contextlib.closing(socket.socket()) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listen_at(other, port)
            except OSError:
                return False
            return True

    wait_until(is_free, 20.0, "the port is anybody's")


def test_what_cannot_be_had_is_a_failed_start(pypm: RealPypm) -> None:
    with contextlib.closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        done = pypm.run("start", pypm.ecosystem(server(pypm, address, max_restarts=1)))
        assert done.returncode == 1
        pypm.wait_status("web", "errored")
        assert f"cannot listen at {address}: Address already in use" in done.stdout + done.stderr
    file = pypm.home / "file"
    file.write_text("precious")
    done = pypm.run("start", pypm.ecosystem(server(pypm, f"unix://{file}", max_restarts=1)))
    assert done.returncode == 1
    assert Path(file).read_text() == "precious"


@pytest.mark.parametrize("address", ["8080", "tcp://localhost", "udp://localhost:53"])
def test_a_wrong_address_is_told_with_its_place(pypm: RealPypm, address: str) -> None:
    assert "sockets" in pypm.fails(1, "start", pypm.ecosystem(server(pypm, address)))


def test_a_program_that_is_not_there_is_told_as_ever(pypm: RealPypm) -> None:
    app = server(pypm, f"tcp://127.0.0.1:{free_port()}", max_restarts=1) | {"command": ["/none/such"]}
    declared = pypm.ecosystem(app | {"command": ["./later"]})
    program = pypm.write("later", "#!/bin/sh\nexit 0\n", 0o755)
    pypm.run("start", declared)
    program.unlink()
    pypm.run("restart", "web")
    assert "no such file" in pypm.wait_status("web", "errored")["reason"]
