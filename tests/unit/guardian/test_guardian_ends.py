"""What the guardian knows of ends, until a master has acknowledged them."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypm.guardian.child import Child
from pypm.guardian.guardian import Guardian
from pypm.guardian.holdings import Holdings
from pypm.system.home import Home
from pypm.system.sockets import receive_message, send_message

Pair = tuple[Guardian, Child, socket.socket]


@pytest.fixture
def pair(home: Path) -> Iterator[Pair]:
    """A guardian, its master in charge, and the master's end of their connection."""
    guardian = Guardian(Home(str(home)), Holdings())
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.settimeout(20.0)
    child = guardian._master = Child(os.getpid(), ours)
    child.greeted = child.serving = True
    yield guardian, child, theirs
    child.disconnect()
    theirs.close()


def fill(connection: socket.socket) -> None:
    """Send until there is no more room."""
    with contextlib.suppress(BlockingIOError):
        while True:
            send_message(connection, ["noise"])


def ends_told(connection: socket.socket) -> list[int]:
    """The pids of all ends that wait to be read."""
    pids: list[int] = []
    connection.setblocking(False)
    while True:
        try:
            words, _ = receive_message(connection)
        except BlockingIOError:
            return pids
        if words[0] == "exits":
            pids += [int(each.split(" ")[0]) for each in words[1:]]


def test_what_a_busy_master_has_no_room_for_is_told_when_it_has_read(pair: Pair) -> None:
    guardian, child, theirs = pair
    assert child.connection is not None
    fill(child.connection)
    guardian._report({7: (0, 1.0)})
    guardian._tell_ends()
    assert ends_told(theirs) == []
    guardian._tell_ends()
    assert ends_told(theirs) == [7]
    guardian._tell_ends()
    assert ends_told(theirs) == [], "once is enough"


def test_the_ends_of_an_update_are_told_to_who_is_in_charge_afterwards(pair: Pair) -> None:
    guardian, master, theirs = pair
    guardian._candidate = candidate = Child(os.getpid(), socket.socket())
    master.standing_by = True
    guardian._report({7: (0, 1.0)})
    guardian._tell_ends()
    assert ends_told(theirs) == []
    guardian._give_up_update("it did not come")
    guardian._tell_ends()
    assert ends_told(theirs) == [7]
    candidate.disconnect()


def test_what_is_acknowledged_is_forgotten(pair: Pair) -> None:
    guardian, child, theirs = pair
    guardian._report({7: (0, 1.0), 8: (9, 2.0)})
    guardian._take(child, ["seen", "7"], [])
    guardian._tell_ends()
    assert ends_told(theirs) == [8]


def test_a_descriptor_that_did_not_arrive_ends_no_guardian(pair: Pair, home: Path) -> None:
    guardian, child, _ = pair
    read, write = os.pipe()
    guardian._take(child, ["hold", "out:1", "error:1"], [read])
    guardian._take(child, ["drop", "out:1", "error:1"], [])
    with pytest.raises(OSError, match="Bad file"):
        os.close(read)
    os.close(write)
    assert "error:1" in (home / "master.log").read_text()
