"""From datagrams to events: who is heard, in which order, and what becomes of what comes along."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import SPEC, new_instance
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Instance, Run, Status
from pypm.core.spec import AppSpec
from pypm.master.notify import EARLIER, NotifySocket
from pypm.master.owners import Owner, Owners
from pypm.system.kinship import read_kinship
from pypm.system.sockets import bind_private_datagrams

ME = os.getpid()


class FakeKeeper:
    """What is held by name, for a next master."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}

    def take(self, name: str) -> int | None:
        return self.held.get(name)

    def hold(self, descriptors: dict[str, int]) -> None:
        self.held.update(descriptors)


class Channel:
    """A notify socket for one run, whose main process this one is taken to be."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "n.sock")
        self.loop = asyncio.new_event_loop()
        self.keeper = FakeKeeper()
        self.events: list[ev.Event] = []
        self.instance: Instance = replace(
            new_instance(1), status=Status.ONLINE, run=Run("r", "t", ME, 1, 0.0, ready=True)
        )
        self.owners = Owners("/home")
        self.owners.begun(Owner(1, "r"), ME)
        self.notify = self.another()

    def another(self) -> NotifySocket:
        notify = NotifySocket(self.keeper, self.loop, self.owners, self.find, self.take)
        notify.open(self.path)
        return notify

    def find(self, instance_id: int) -> Instance | None:
        return self.instance if instance_id == 1 else None

    def take(self, instance_id: int, event: ev.Event) -> None:
        assert instance_id == 1
        self.events.append(event)

    def use(self, **fields: object) -> None:
        spec: AppSpec = replace(SPEC, **fields)
        self.instance = replace(self.instance, spec=spec)

    def connected(self) -> socket.socket:
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.connect(self.path)
        return sender

    def say(self, data: bytes, *descriptors: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        with self.connected() as sender:
            sender.sendmsg([data], rights if descriptors else [])

    def heard(self, data: bytes) -> list[ev.Event]:
        self.events.clear()
        self.say(data)
        self.notify.drain()
        return self.events

    def turn(self) -> None:
        """Let the loop see what is there."""
        self.loop.run_until_complete(asyncio.sleep(0))

    def close(self) -> None:
        self.notify.close()
        self.loop.close()
        for descriptor in self.keeper.held.values():
            os.close(descriptor)


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    made = Channel(tmp_path)
    yield made
    made.close()


def test_everything_at_once_in_systemds_order(channel: Channel) -> None:
    data = (
        b"WATCHDOG_USEC=2000000\nWATCHDOG=1\nEXTEND_TIMEOUT_USEC=3000000\nERRNO=2\nSTATUS=no file\n"
        b"READY=1\nRELOADING=1\nNEW=1"
    )
    assert channel.heard(data) == [
        ev.Ready("r"),
        ev.StatusReported("r", "no file (No such file or directory)"),
        ev.Extended("r", 3.0, "no file"),
        ev.Beat("r"),
        ev.WatchdogSet("r", 2.0),
    ]


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (b"STOPPING=1", ev.StoppingReported("r")),
        (b"RELOADING=1\nMONOTONIC_USEC=5", ev.Reloading("r")),
        (b"WATCHDOG=trigger", ev.WatchdogTriggered("r")),
        (b"WATCHDOG_USEC=0", ev.WatchdogSet("r", 0.0)),
        (b"STATUS=" + b"x" * 300, ev.StatusReported("r", "x" * 200)),
    ],
)
def test_one_by_one(channel: Channel, data: bytes, event: ev.Event) -> None:
    assert channel.heard(data) == [event]


def test_words_of_pypms_own(channel: Channel) -> None:
    """For agents without ZeroMQ: what sd_notify has no words for."""
    data = b"X_PYPM_PROGRESS=7\nX_PYPM_MESSAGE=step\nEXTEND_TIMEOUT_USEC=3000000\nX_PYPM_RESET_DEADLINE=1"
    progressed = ev.Progressed("r", "step", 7)
    assert channel.heard(data) == [progressed, ev.ExtensionReset("r"), ev.Extended("r", 3.0, "")]
    assert channel.heard(b"X_PYPM_PROGRESS=") == [ev.Progressed("r")]


def test_a_named_process_is_told_with_its_start_time(channel: Channel) -> None:
    kinship = read_kinship(ME)
    assert kinship is not None
    assert channel.heard(b"MAINPID=%d" % ME) == [ev.MainPidReported("r", ME, kinship.start_ticks)]
    assert channel.heard(b"MAINPID=1\nREADY=1") == [ev.Ready("r")], "it is none of its tree"
    assert channel.heard(b"MAINPID=4194304") == [], "there is no such process"
    assert channel.notify.dropped["main pid"] == 2


@pytest.mark.parametrize("data", [b"", b"READY=1\0X", b"READY=1\n" * 1000])
def test_what_is_no_message_is_dropped_and_counted(channel: Channel, data: bytes) -> None:
    assert channel.heard(data) == []
    assert channel.notify.dropped == {"malformed": 1, "sender": 0, "access": 0, "main pid": 0}


def test_who_is_not_asked_is_not_heard(channel: Channel) -> None:
    channel.use(notify_access="none")
    assert channel.heard(b"READY=1") == []
    channel.use(notify_access="main")
    assert channel.heard(b"READY=1") == [ev.Ready("r")]
    assert channel.instance.run is not None
    channel.instance = replace(channel.instance, run=replace(channel.instance.run, named_pid=ME + 1))
    assert channel.heard(b"READY=1") == [], "another one is the main process now"
    assert channel.notify.dropped["access"] == 2


def test_without_a_descriptor_to_look_with_nobody_is_known(channel: Channel) -> None:
    def of(pid: int) -> Owner | None:
        raise OSError(24, "Too many open files")

    channel.owners.of = of  # type: ignore[method-assign]
    assert channel.heard(b"READY=1") == []
    assert channel.notify.dropped["sender"] == 1


def test_nobody_speaks_for_a_run_that_is_over(channel: Channel) -> None:
    channel.instance = replace(channel.instance, run=None)
    assert channel.heard(b"READY=1") == []
    channel.owners.over("r")
    assert channel.heard(b"READY=1") == []
    assert channel.notify.dropped["sender"] == 2


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("data", [b"BARRIER=1", b"FDSTORE=1\nFDNAME=state", b"READY=1", b"\0\0", b""])
def test_what_comes_along_is_closed(channel: Channel, data: bytes) -> None:
    before = descriptors()
    reader, writer = os.pipe()
    channel.say(data, *[writer] * 253)
    os.close(writer)
    channel.notify.drain()
    assert os.read(reader, 1) == b"", "the last descriptor of it is closed"
    os.close(reader)
    assert descriptors() == before


def test_the_loop_hears_it(channel: Channel) -> None:
    channel.say(b"READY=1")
    channel.turn()
    assert channel.events == [ev.Ready("r")]


def test_a_flood_leaves_time_for_others(channel: Channel) -> None:
    """A sender that is as quick as we are is left after its share."""

    def take(_: int, event: ev.Event) -> None:
        channel.events.append(event)
        sender.send(b"WATCHDOG=1")

    channel.notify._handle = take
    with channel.connected() as sender:
        sender.send(b"WATCHDOG=1")
        channel.turn()
        assert 10 < len(channel.events) < 1000
        channel.notify._handle = lambda *_: None
        channel.notify.drain()


def renewed(channel: Channel) -> None:
    os.unlink(channel.path)
    channel.loop.run_until_complete(channel.notify.listen_anew(bind_private_datagrams(channel.path)))


def test_who_was_connected_before_a_renewal_is_heard(channel: Channel) -> None:
    with channel.connected() as old:
        renewed(channel)
        channel.say(b"STATUS=new")
        old.send(b"STATUS=old")
        channel.notify.drain()
        assert [each.text for each in said(channel)] == ["new", "old"]
        # So it is for the next master.
        channel.notify.close()
        channel.notify = channel.another()
        channel.events.clear()
        old.send(b"STATUS=still")
        channel.notify.drain()
        assert [each.text for each in said(channel)] == ["still"]


def said(channel: Channel) -> list[ev.StatusReported]:
    return [each for each in channel.events if isinstance(each, ev.StatusReported)]


def test_renewals_leave_no_descriptors(channel: Channel) -> None:
    renewed(channel)
    before = descriptors()
    for _ in range(5):
        renewed(channel)
    assert descriptors() == before
    assert EARLIER in channel.keeper.held


def test_a_guardian_of_an_older_version_holds_none(channel: Channel) -> None:
    channel.notify.close()
    os.close(channel.keeper.held.pop("notify"))
    channel.notify = channel.another()
    assert channel.heard(b"READY=1") == [ev.Ready("r")]
    assert "notify" in channel.keeper.held
