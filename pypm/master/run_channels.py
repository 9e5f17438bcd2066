"""What a run may have open beside its standard streams: a descriptor for its readiness, and Node's channel.

Both belong to one run. The guardian holds our ends by name, so a run that outlives this master finds the
next one at the other side.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from pypm.core.events import Event, Ready
from pypm.core.instance import Instance
from pypm.protocol.node import SHUTDOWN, NodeLines
from pypm.system.spawn import SpawnError

__all__ = ["Keeper", "RunChannels"]

log = logging.getLogger(__name__)

AT_ONCE = 64 * 1024
"""Bytes that are read in one turn of the loop."""
LAST_WORDS = 16
"""How often that is done at the end of a run, whose children may go on writing."""
NO_NEWLINE = 64 * 1024
"""Bytes without a newline after which nobody listens for one any more."""


class Keeper(Protocol):
    """Holds descriptors by name for the next master."""

    def take(self, name: str) -> int | None:
        """What the last master has left under this name."""

    def hold(self, descriptors: dict[str, int]) -> None:
        """Keep these, from now on."""

    def drop(self, names: Iterable[str]) -> None:
        """Keep these no longer."""


class Opened(NamedTuple):
    """What a run is started with: descriptors by their number in it, and variables that tell of them."""

    passed: dict[int, int]
    variables: dict[str, str]


class Channel:
    """Our end of one of them. ``heard`` is called with what has come; nothing at the end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        keeper: Keeper,
        name: str,
        descriptor: int,
        heard: Callable[[Channel, bytes], None],
    ) -> None:
        self.descriptor = descriptor
        self._loop = loop
        self._keeper = keeper
        self._name = name
        self._heard = heard
        self._open = True
        loop.add_reader(descriptor, self.read)

    def read(self) -> bool:
        """Take what has come; False if there was nothing."""
        if not self._open:
            return False
        try:
            data = os.read(self.descriptor, AT_ONCE)
        except BlockingIOError:
            return False
        except OSError:  # ECONNRESET: it has ended without having read what we said
            data = b""
        self._heard(self, data)
        if not data:
            self.close()
        return bool(data)

    def close(self) -> None:
        """Nobody listens here any more."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self.descriptor)
            self._keeper.drop([self._name])
            os.close(self.descriptor)


class RunChannels:
    """The channels of all runs, by instance id."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, keeper: Keeper, handle: Callable[[int, Event], None]
    ) -> None:
        self.others = 0
        """Messages over Node's channel that mean nothing to us."""
        self._loop = loop
        self._keeper = keeper
        self._handle = handle
        self._ready: dict[int, Channel] = {}
        self._node: dict[int, Channel] = {}

    @contextlib.contextmanager
    def opened(self, instance: Instance, run_id: str) -> Iterator[Opened]:
        """What a new run of this instance gets, by its spec, for the time of its start.

        Raises OSError where no descriptor is left.
        """
        self.forget(instance.id)
        opened = Opened({}, {})
        try:
            if instance.spec.ready_fd is not None:
                opened.passed[instance.spec.ready_fd] = self._open_pipe(instance.id, run_id)
            if instance.spec.has_node_channel:
                theirs = self._open_socket(instance.id, run_id)
                opened.passed[theirs] = theirs
                opened.variables["NODE_CHANNEL_FD"] = str(theirs)
                opened.variables["NODE_CHANNEL_SERIALIZATION_MODE"] = "json"
            yield opened
        except (OSError, SpawnError):
            self.forget(instance.id)
            raise
        finally:
            for descriptor in opened.passed.values():
                os.close(descriptor)

    def _open_pipe(self, instance_id: int, run_id: str) -> int:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(ours, fcntl.F_SETFL, os.O_NONBLOCK)
        self._keeper.hold({f"ready:{instance_id}": ours})
        self._listen_for_newline(instance_id, run_id, ours)
        return theirs

    def _open_socket(self, instance_id: int, run_id: str) -> int:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        descriptor = ours.detach()
        self._keeper.hold({f"node:{instance_id}": descriptor})
        self._listen_to_node(instance_id, run_id, descriptor)
        return theirs.detach()

    def adopt(self, instance: Instance) -> None:
        """Listen to a run that another master has started."""
        assert instance.run is not None
        ready = self._keeper.take(f"ready:{instance.id}")
        if ready is not None:
            self._listen_for_newline(instance.id, instance.run.run_id, ready)
        node = self._keeper.take(f"node:{instance.id}")
        if node is not None:
            self._listen_to_node(instance.id, instance.run.run_id, node)

    def ask_to_end(self, instance_id: int) -> bool:
        """Send the shutdown message; False if there is nobody to send it to."""
        channel = self._node.get(instance_id)
        if channel is None:
            return False
        try:
            return os.write(channel.descriptor, SHUTDOWN) == len(SHUTDOWN)
        except OSError:  # it is gone, or has left so many bytes unread
            return False

    def drain(self, instance_id: int) -> None:
        """Take what a run has said before it ended."""
        for channels in (self._ready, self._node):
            channel = channels.get(instance_id)
            for _ in range(LAST_WORDS):
                if channel is None or not channel.read():
                    break

    def forget(self, instance_id: int) -> None:
        """The run of an instance is over."""
        for channels in (self._ready, self._node):
            channel = channels.pop(instance_id, None)
            if channel is not None:
                channel.close()

    def close(self) -> None:
        """Close all, when the master ends."""
        for instance_id in {*self._ready, *self._node}:
            self.forget(instance_id)

    def _listen_for_newline(self, instance_id: int, run_id: str, descriptor: int) -> None:
        """As in s6: a newline says it, and whatever follows it is for nobody; the end says nothing."""
        came = 0

        def heard(channel: Channel, data: bytes) -> None:
            nonlocal came
            came += len(data)
            if b"\n" in data:
                self._handle(instance_id, Ready(run_id))
            if not data or b"\n" in data or came > NO_NEWLINE:
                self._forget(self._ready, instance_id, channel)

        name = f"ready:{instance_id}"
        self._ready[instance_id] = Channel(self._loop, self._keeper, name, descriptor, heard)

    def _listen_to_node(self, instance_id: int, run_id: str, descriptor: int) -> None:
        lines = NodeLines()

        def heard(channel: Channel, data: bytes) -> None:
            if not data:
                self._forget(self._node, instance_id, channel)
                return
            said = lines.feed(data)
            if said.ready:
                self._handle(instance_id, Ready(run_id))
            if said.others:
                self._count(said.others)

        name = f"node:{instance_id}"
        self._node[instance_id] = Channel(self._loop, self._keeper, name, descriptor, heard)

    def _forget(self, channels: dict[int, Channel], instance_id: int, channel: Channel) -> None:
        if channels.get(instance_id) is channel:
            del channels[instance_id]
        channel.close()

    def _count(self, others: int) -> None:
        before, self.others = self.others, self.others + others
        if before.bit_length() != self.others.bit_length():  # 1, 2, 4, 8 …
            log.debug("%d messages over Node's channel so far that mean nothing to pypm", self.others)
