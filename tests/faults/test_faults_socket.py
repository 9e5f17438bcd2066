"""What anyone may send to the master's socket: an answer or a closed door, and a master that goes on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from real_pypm import RealPypm, lives, sleeper

from pypm.testing import wait_until


@pytest.fixture
def up(pypm: RealPypm) -> Iterator[RealPypm]:
    """A master with one agent, which both have to be there, unharmed, at the end."""
    pypm.start(sleeper("a"))
    master, agent = pypm.master_pid(), pypm.pid("a")
    before = sockets_of(master)
    yield pypm
    assert (pypm.master_pid(), pypm.pid("a")) == (master, agent)
    assert "Traceback" not in pypm.master_log()
    wait_until(lambda: sockets_of(master) <= before, what="the end of all connections")


def sockets_of(pid: int) -> int:
    found = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
    return found


def dial(pypm: RealPypm) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(pypm.home / "pypm.sock"))
    client.settimeout(30)
    return client


def exchange(pypm: RealPypm, data: bytes) -> dict[str, Any]:
    """Send bytes; give the first answer."""
    with dial(pypm) as client, client.makefile("rb") as answers:
        client.sendall(data)
        answer: dict[str, Any] = json.loads(answers.readline())
        return answer


def exchange_to_the_end(pypm: RealPypm, data: bytes) -> list[dict[str, Any]]:
    """Send bytes and the end of the stream; give all that is answered until then."""
    with dial(pypm) as client, client.makefile("rb") as answers:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return [json.loads(each) for each in answers]


def line(**request: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, **request}).encode() + b"\n"


def test_ten_thousand_random_bytes(up: RealPypm) -> None:
    for seed in range(5):
        data = random.Random(seed).randbytes(10_000)
        with contextlib.suppress(ConnectionError):
            for answer in exchange_to_the_end(up, data):
                assert answer["error"]["code"] in (-32700, -32600)
        assert up.rows()[0]["status"] == "online"


def test_half_a_line_is_no_request(up: RealPypm) -> None:
    half = line(method="kill")[:-1]
    assert exchange_to_the_end(up, half) == []
    with dial(up) as client:
        client.sendall(half[:10])
        assert up.rows()[0]["status"] == "online"
        client.sendall(line(method="ping")[10:])


def test_a_line_of_a_hundred_megabytes_is_refused(up: RealPypm) -> None:
    with dial(up) as client, contextlib.suppress(ConnectionError):
        block = b"x" * (1 << 20)
        sent = 0
        while sent < 100:
            client.sendall(block)
            sent += 1
        raise AssertionError("all of it was taken")
    assert sent < 64, "it is refused at 16 MiB, not read to its end"
    with open(f"/proc/{up.master_pid()}/status") as file:
        resident = next(int(each.split()[1]) for each in file if each.startswith("VmRSS"))
    assert resident < 150_000


def test_who_sends_a_long_line_is_told_why(up: RealPypm) -> None:
    with dial(up) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(b"x" * (17 << 20))
        with contextlib.suppress(ConnectionError):
            answer = first_line(client)
            assert "longer than 16777216 bytes" in answer["error"]["message"]


WRONG: dict[bytes, int] = {
    b"hello\n": -32700,
    b"\xff\xfe\n": -32700,
    b"[]\n": -32600,
    b"7\n": -32600,
    b"null\n": -32600,
    b"{}\n": -32600,
    b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}\n': -32600,
    b'{"jsonrpc": "2.0", "id": 1, "method": 7}\n': -32600,
    b'{"jsonrpc": "2.0", "id": [], "method": "ping"}\n': -32600,
    b"[" * 100_000 + b"\n": -32600,
    b'{"params": ' + b"[" * 100_000 + b"\n": -32700,
    line(method="explode"): -32601,
    line(method="__class__"): -32601,
    line(method="stop"): -32602,
    line(method="stop", params={"targets": "a"}): -32602,
    line(method="stop", params={"targets": [7]}): -32602,
    line(method="stop", params=["a"]): -32602,
    line(method="stop", params={"targets": ["a"], "more": 1}): -32602,
    line(method="scale", params={"app": "a", "instances": 0}): -32602,
    line(method="scale", params={"app": "a", "instances": 10**9}): -32602,
    line(method="scale", params={"app": "a", "instances": "2"}): -32602,
    line(method="wait", params={"ids": [0], "for": "tea"}): -32602,
    line(method="apply", params={"apps": [{"name": "x"}]}): -32602,
    line(method="apply", params={"apps": [{"name": "x", "command": [], "cwd": "/"}]}): -32000,
    line(method="restart", params={"targets": ["a"], "parallel": 0}): -32602,
    line(method="signal", params={"targets": ["a"], "signal": "SIGNONSENSE"}): -32000,
    line(method="signal", params={"targets": ["a"], "signal": 99999}): -32000,
    line(method="stop", params={"targets": ["nobody"]}): -32000,
    line(method="stop", params={"targets": ["/(/"]}): -32000,
}


@pytest.mark.parametrize(("data", "code"), WRONG.items(), ids=[key[:70].decode("latin-1") for key in WRONG])
def test_what_is_wrong_is_answered_as_json_rpc_says(up: RealPypm, data: bytes, code: int) -> None:
    answer = exchange(up, data)
    assert answer["jsonrpc"] == "2.0"
    assert answer["error"]["code"] == code, answer
    assert answer["error"]["message"]
    assert isinstance(answer["error"]["data"]["exit_status"], int)
    assert answer["error"]["data"]["kind"] != "bug"
    assert lives(up.pid("a"))


HOSTILE = {
    "a name with a slash": {"name": "../../x"},
    "an empty name": {"name": ""},
    "a name with a newline": {"name": "a\nb"},
    "a relative command": {"command": ["sleep", "1"]},
    "a relative folder": {"cwd": "somewhere"},
    "a NUL": {"command": ["/bin/echo", "a\0b"]},
    "a NUL in the environment": {"env": {"A": "\0"}},
    "an equals sign in a variable": {"env": {"A=B": "c"}},
    "a wrong signal": {"kill_signal": "SIGNONSENSE"},
    "a negative time": {"kill_timeout": -1.0},
    "a million instances": {"instances": 1_000_000},
}


@pytest.mark.parametrize("wrong", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_app_that_the_cli_would_not_have_sent_is_refused(up: RealPypm, wrong: dict[str, Any]) -> None:
    """The master checks what it is given: whoever may speak to it may also be wrong."""
    spec = {"name": "x", "command": ["/bin/sleep", "1000"], "cwd": "/tmp", **wrong}
    good = {**spec, "name": "good", "command": ["/bin/sleep", "1000"]}
    answer = exchange(up, line(method="apply", params={"apps": [good, spec]}))
    assert answer["error"]["data"]["kind"] == "usage"
    assert [row["name"] for row in up.rows()] == ["a"], "all of them are declared or none"


def test_a_client_that_leaves_in_the_middle(up: RealPypm) -> None:
    wait = line(method="wait", params={"ids": [0], "for": "stopped"})
    for _ in range(20):
        with dial(up) as client:
            client.sendall(wait * 5 + line(method="list")[:5])
    with dial(up) as client:
        client.sendall(line(method="restart", params={"targets": ["a"]})[:-3])
    assert up.row("a")["restarts"] == 0


def test_a_client_that_is_reset_in_the_middle_of_an_answer(up: RealPypm) -> None:
    for _ in range(20):
        client = dial(up)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(line(method="list") * 50)
        client.close()
    assert up.rows()


def test_a_client_that_never_reads_is_cut_off(up: RealPypm) -> None:
    requests = line(method="describe", params={"targets": ["a"]}) * 1000
    with dial(up) as client, contextlib.suppress(ConnectionError):
        for _ in range(1000):
            client.sendall(requests)
        raise AssertionError("it may ask for ever")
    assert "a client that does not read its answers is cut off" in up.master_log()


def test_hundreds_of_connections_at_once(up: RealPypm) -> None:
    """Some 250 are served; what is too many is told so, and served when others have left."""
    with contextlib.ExitStack() as clients:
        served = [clients.enter_context(dial(up)) for _ in range(250)]
        assert {ping(client)["result"]["master_pid"] for client in served} == {up.master_pid()}
        more = [clients.enter_context(dial(up)) for _ in range(50)]
        assert "there are 256 clients already" in first_line(more[-1])["error"]["message"]
        assert up.run("ping").returncode == 1
    wait_until(lambda: up.run("ping").returncode == 0, 20.0)


def ping(client: socket.socket) -> dict[str, Any]:
    client.sendall(line(method="ping"))
    return first_line(client)


def first_line(client: socket.socket) -> dict[str, Any]:
    with client.makefile("rb") as answers:
        answer: dict[str, Any] = json.loads(answers.readline())
        return answer


def test_hundreds_of_requests_on_one_connection(up: RealPypm) -> None:
    requests = [{"jsonrpc": "2.0", "id": number, "method": "list"} for number in range(500)]
    answers = exchange_all(up, requests)
    assert sorted(answer["id"] for answer in answers) == list(range(500))


def exchange_all(pypm: RealPypm, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with dial(pypm) as client, client.makefile("rb") as answers:
        client.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in requests))
        return [json.loads(answers.readline()) for _ in requests]


def test_a_notification_is_done_and_not_answered(up: RealPypm) -> None:
    answers = exchange_to_the_end(up, b'{"jsonrpc": "2.0", "method": "ping"}\n' + line(method="ping"))
    assert [answer["id"] for answer in answers] == [1]


STRANGER = """
import os, socket, sys
client = socket.socket(socket.AF_UNIX)
os.setuid(65534)
client.connect(sys.argv[1])
client.settimeout(20)
try:
    client.sendall(sys.argv[2].encode())
except ConnectionError:
    pass  # it was closed before we said anything
print(client.recv(4096).decode(), end="")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_not_let_in(up: RealPypm) -> None:
    """The folder keeps others out already; the socket itself checks who connects."""
    os.chmod(up.home, 0o711)
    os.chmod(up.home / "pypm.sock", 0o666)
    command = [sys.executable, "-c", STRANGER, str(up.home / "pypm.sock"), line(method="ping").decode()]
    told = subprocess.run(command, timeout=60, check=True, capture_output=True).stdout
    answer = json.loads(told)  # one, and no other: that to its request would be a second line
    assert answer["error"]["message"] == "this master answers its own user only"
    assert answer["id"] is None
