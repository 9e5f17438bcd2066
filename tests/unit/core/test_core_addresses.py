"""Addresses of sockets."""

from __future__ import annotations

import pytest

from pypm.core.addresses import Address, common_address, fault_of_sockets, inherited_sockets, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("tcp://localhost:1", Address("localhost", 1)),
        ("tcp://[::1]:65535", Address("::1", 65535)),
        ("tcp://[::1]:80?reuseport", Address("::1", 80, reuse_port=True)),
        ("unix:///run/a.sock", Address(path="/run/a.sock")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("127.0.0.1:8080", "no address"),
        ("udp://127.0.0.1:53", "no address"),
        ("tcp://8080", "no host"),
        ("tcp://:8080", "no host"),
        ("tcp://", "no host"),
        ("tcp://localhost", "no port"),
        ("tcp://localhost:", "a port is a number"),
        ("tcp://localhost:0", "a port is a number"),
        ("tcp://localhost:65536", "a port is a number"),
        ("tcp://localhost:http", "a port is a number"),
        ("tcp://::1:80", "brackets"),
        ("tcp://db.example.com:80", "names are not looked up"),
        ("tcp://localhost:80?reuse", "a port is a number"),
        ("tcp://*:80", "names are not looked up"),
        ("unix://a.sock", "absolute"),
        ("unix:///run/", "absolute"),
        ("unix:///" + "x" * 107, "at most 107 bytes"),
    ],
)
def test_what_is_none(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_address(text)


def test_faults_of_several() -> None:
    eight = tuple(f"tcp://localhost:{port}" for port in range(8000, 8008))
    assert fault_of_sockets(eight[:7], None) == ""
    assert "at most 7" in fault_of_sockets(eight, None)
    assert "twice" in fault_of_sockets((*eight[:2], eight[0]), None)
    assert fault_of_sockets(eight[:2], 5) == ""
    assert "descriptors 3 to 4" in fault_of_sockets(eight[:2], 4)
    assert fault_of_sockets((eight[0], f"{eight[1]}?reuseport"), 4) == "", "that is not inherited"
    assert "twice" in fault_of_sockets((eight[0], f"{eight[0]}?reuseport"), None)


def test_what_listens_by_itself_takes_no_number() -> None:
    sockets = ("tcp://localhost:1?reuseport", "tcp://localhost:2", "unix:///a")
    assert inherited_sockets(sockets) == {3: "tcp://localhost:2", 4: "unix:///a"}


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("tcp://127.0.0.1:80", "tcp://localhost:80", True),
        ("tcp://0.0.0.0:80", "tcp://10.0.0.1:80", True),
        ("tcp://10.0.0.1:80", "tcp://10.0.0.2:80", False),
        ("tcp://0.0.0.0:80", "tcp://0.0.0.0:81", False),
        ("tcp://0.0.0.0:80", "tcp://[::1]:80", False),
        ("tcp://10.0.0.1:80?reuseport", "tcp://10.0.0.1:80", True),
        ("unix:///run/a", "unix:///run/a", True),
        ("unix:///run/a", "unix:///run/b", False),
    ],
)
def test_two_apps_cannot_listen_at_one_address(one: str, other: str, meet: bool) -> None:
    assert common_address(["unix:///run/x", one], [other]) == (one if meet else "")
    assert common_address([other], [one, "unix:///run/x"]) == (other if meet else "")
