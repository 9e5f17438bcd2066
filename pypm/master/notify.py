"""What agents say over sd_notify: datagrams become events of the runs whose processes have sent them.

A full queue (ten datagrams) makes senders wait, so what has come is read whenever there is something, and
before the end of a run is told.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import Protocol

from pypm.core.events import (
    Beat,
    Event,
    Extended,
    ExtensionReset,
    MainPidReported,
    Progressed,
    Ready,
    Reloading,
    StatusReported,
    StoppingReported,
    WatchdogSet,
    WatchdogTriggered,
)
from pypm.core.instance import Instance
from pypm.master.owners import Owner, Owners
from pypm.protocol.notify import NotAMessageError, Notification, parse_notification
from pypm.system.kinship import read_kinship
from pypm.system.notify_socket import Datagram, receive
from pypm.system.sandboxed import agent_within, pid_outside
from pypm.system.sockets import bind_private_datagrams

__all__ = ["NotifySocket"]

log = logging.getLogger(__name__)

SHARE = 200
"""Datagrams that are read in one turn of the loop."""
MAX_STATUS = 200
"""Characters of a status text that are kept."""


NAME = "notify"
EARLIER = "notify:earlier"
"""Names under which the guardian holds the socket, and the one that was there before it was made anew."""


class Keeper(Protocol):
    """Holds descriptors by name for the next master."""

    def take(self, name: str) -> int | None:
        """What the last master has left under this name."""

    def hold(self, descriptors: dict[str, int]) -> None:
        """Keep these, from now on."""


class NotifySocket:
    """Receives what the agents of one master say over NOTIFY_SOCKET."""

    def __init__(
        self,
        keeper: Keeper,
        loop: asyncio.AbstractEventLoop,
        owners: Owners,
        instance_of: Callable[[int], Instance | None],
        handle: Callable[[int, Event], None],
    ) -> None:
        self.dropped = {"malformed": 0, "sender": 0, "access": 0, "main pid": 0}
        """Datagrams that were not taken, by cause; of the last kind only the MAINPID."""
        self._keeper = keeper
        self._loop = loop
        self._owners = owners
        self._instance_of = instance_of
        self._handle = handle
        self._receivers: list[socket.socket] = []
        """The present one first, then the one before it."""
        self._earlier: int | None = None
        """The descriptor that the guardian holds as the earlier one."""

    def open(self, path: str) -> None:
        """Hear what the guardian holds, or a new socket where that is a guardian of an older version."""
        held = self._keeper.take(NAME)
        if held is None:
            held = bind_private_datagrams(path).detach()
            self._keeper.hold({NAME: held})
        self._earlier = self._keeper.take(EARLIER)
        for descriptor in (self._earlier, held):
            if descriptor is not None:
                self._add(socket.socket(fileno=os.dup(descriptor)))

    def _add(self, receiver: socket.socket) -> None:
        self._receivers.insert(0, receiver)
        self._loop.add_reader(receiver.fileno(), self._read, receiver)

    async def listen_anew(self, receiver: socket.socket) -> None:
        """Hear this socket too; who has connected to the one that was in its place still speaks there."""
        before, self._earlier = self._earlier, os.dup(self._receivers[0].fileno())
        self._keeper.hold({EARLIER: self._earlier})
        if before is not None:
            os.close(before)
            self._forget(self._receivers.pop())
        self._add(receiver)

    def drain(self) -> None:
        """Take what has come, all of it within reason."""
        for receiver in self._receivers:
            self._read(receiver)

    def close(self) -> None:
        """Hear nothing any more."""
        while self._receivers:
            self._forget(self._receivers.pop())

    def _forget(self, receiver: socket.socket) -> None:
        self._loop.remove_reader(receiver.fileno())
        receiver.close()

    def _read(self, receiver: socket.socket) -> None:
        for _ in range(SHARE):
            try:
                datagram = receive(receiver)
            except BlockingIOError:
                return
            except OSError as error:  # no memory, for example: what is there can be read later
                log.warning("notify socket: %s", error)
                return
            try:
                self._take(datagram)
            finally:
                # Also a barrier's: all that came before it has been handled.
                datagram.close()

    def _take(self, datagram: Datagram) -> None:
        try:
            said = parse_notification(datagram.data)
        except NotAMessageError:
            self._drop("malformed", datagram.pid)
            return
        if not datagram.whole or datagram.pid <= 0:
            self._drop("malformed", datagram.pid)
            return
        if said.barrier:
            return
        owner = self._owner(datagram.pid)
        instance = None if owner is None else self._instance_of(owner.instance_id)
        if owner is None or instance is None or instance.run is None or instance.run.run_id != owner.run_id:
            self._drop("sender", datagram.pid)
        elif not _may_speak(instance, datagram.pid):
            self._drop("access", datagram.pid)
        else:
            for event in self._events(said, owner):
                self._handle(owner.instance_id, event)

    def _events(self, said: Notification, owner: Owner) -> list[Event]:
        """What was said, in the order in which systemd takes it."""
        run_id = owner.run_id
        events: list[Event] = []
        if said.main_pid is not None and (moved := self._main_pid(said.main_pid, owner)):
            events.append(moved)
        if said.stopping:
            events.append(StoppingReported(run_id))
        if said.ready:
            events.append(Ready(run_id))
        if said.reloading:
            events.append(Reloading(run_id))
        text = said.text
        if text is not None:
            events.append(StatusReported(run_id, text[:MAX_STATUS]))
        return events + self._about_time(said, run_id)

    def _about_time(self, said: Notification, run_id: str) -> list[Event]:
        events: list[Event] = []
        if said.progress:
            events.append(Progressed(run_id, said.message[:MAX_STATUS], said.iteration))
        if said.reset:
            events.append(ExtensionReset(run_id))
        if said.extend:
            events.append(Extended(run_id, said.extend, (said.status or "")[:MAX_STATUS]))
        if said.trigger:
            events.append(WatchdogTriggered(run_id))
        if said.beat:
            events.append(Beat(run_id))
        if said.watchdog is not None:
            events.append(WatchdogSet(run_id, said.watchdog))
        return events

    def _owner(self, pid: int) -> Owner | None:
        try:
            return self._owners.of(pid)
        except OSError:  # no descriptor is left to look with
            return None

    def _main_pid(self, pid: int, owner: Owner) -> Event | None:
        """The named process as the main one, if it lives and is of the run's own tree.

        Not the agent of a sandbox: that is the main process anyway, and its end is told by the sandbox.
        """
        instance = self._instance_of(owner.instance_id)
        if instance is not None and instance.run is not None and instance.run.sandboxed:
            pid = pid_outside(instance.run.pid, pid)
            if pid == _agent_of(instance):
                return None
        kinship = read_kinship(pid) if self._owner(pid) == owner else None
        if kinship is None:
            self._drop("main pid", pid)
            return None
        return MainPidReported(owner.run_id, pid, kinship.start_ticks)

    def _drop(self, cause: str, pid: int) -> None:
        self.dropped[cause] += 1
        count = self.dropped[cause]
        if count & (count - 1) == 0:  # 1, 2, 4, 8 …: a flood does not flood the log
            log.warning("notify socket: %d messages dropped so far: %s (pid %d)", count, cause, pid)


def _may_speak(instance: Instance, pid: int) -> bool:
    """Whether what this process of its tree says is taken, by the app's ``notify_access``."""
    access = instance.spec.notify_access
    if access != "main":
        return access == "all"
    return instance.run is not None and pid in (instance.run.main_pid, _agent_of(instance))


def _agent_of(instance: Instance) -> int | None:
    """The agent in the sandbox of an instance, if it has one."""
    run = instance.run
    return agent_within(run.pid) if run is not None and run.sandboxed else None
