"""What goes over TCP connections, as the kernel tells it."""

from __future__ import annotations

import os
import socket

import pytest

from pypm.system import traffic
from pypm.system.traffic import read_traffic, sockets_of
from pypm.testing import wait_until


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_what_was_received_is_seen(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"there is no {host} here")
        listener.listen()
        with socket.socket(family) as client:
            client.connect(listener.getsockname())
            server, _ = listener.accept()
            with server:
                inode = os.fstat(client.fileno()).st_ino
                before = read_traffic()
                if inode not in before:
                    pytest.skip("this kernel does not tell")
                server.sendall(b"x" * 1000)
                received = 0
                while received < 1000:
                    received += len(client.recv(1000))
                after = wait_until(
                    lambda: now if (now := read_traffic())[inode] != before[inode] else {}, 10.0
                )
                assert after[inode] - before[inode] == 1000
                mine = sockets_of([os.getpid()], after)
                assert mine[inode] == after[inode]
                assert sockets_of([2**22 + 1], after) == {}


def test_where_the_kernel_does_not_tell_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> socket.socket:
        raise OSError

    monkeypatch.setattr(traffic.socket, "socket", refused)
    assert read_traffic() == {}
    assert sockets_of([os.getpid()], {}) == {}
