"""The master's side of its connection to the guardian: what it holds for us, and the ends it has seen."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, NoReturn, Protocol

from pypm.guardian import __main__ as guardian_program
from pypm.guardian.child import GUARDIAN_VARIABLE
from pypm.guardian.holdings import SUCCESSION, Holdings
from pypm.guardian.renewal import SIGNALS
from pypm.system.lock import HomeLock
from pypm.system.sockets import receive_message, send_message
from pypm.system.spawn import PASSED_NUMBERS

__all__ = ["GuardianLink", "Reaped", "execute_guardian"]

log = logging.getLogger(__name__)

BEAT = 2.0
"""Seconds between two heartbeats."""
MOMENT = 0.5
"""Seconds that the guardian has to tell an end that it must have seen."""
GREETING = 30.0
"""Seconds that the guardian may take to hand over what it holds."""


def execute_guardian(home: str, *arguments: str) -> NoReturn:
    """Execute the guardian's program in place of this one."""
    command = [sys.executable, "-I", "-S", guardian_program.__file__, home, *arguments]
    os.execv(sys.executable, command)


class Reaped(NamedTuple):
    """How a process ended that was the guardian's to reap: wait status, and when on the boot clock."""

    status: int
    at: float


class Owner(Protocol):
    """Who is told what the guardian says."""

    def guardian_saw(self, ends: Mapping[int, Reaped]) -> None:
        """The guardian has reaped these processes."""

    def guardian_lost(self) -> None:
        """The guardian is gone."""

    def stand_by(self) -> None:
        """A newer master is there: save, and call ``wait_for_verdict``."""

    def update_failed(self, reason: str) -> None:
        """The newer master that was asked for is not coming."""


class GuardianLink:
    """Connection to the guardian that started us."""

    def __init__(self, connection: socket.socket) -> None:
        self.ends: dict[int, Reaped] = {}
        """Ends by pid that were seen while there was no master."""
        self.other_masters: frozenset[int] | None = None
        """Pids of masters of this home that have not ended; None where the guardian does not tell."""
        self._connection = connection
        self._held: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._loop: asyncio.AbstractEventLoop
        self._owner: Owner
        self._lost = False
        self._together: dict[str, int] | None = None
        """What is to be held with one message; None: each gets its own."""
        self._unsent: deque[tuple[Sequence[str], list[int]]] = deque()
        """What waits for room, with duplicates of its descriptors: a guardian may be stopped for long."""

    @classmethod
    def from_environment(cls) -> GuardianLink | None:
        """The connection that the guardian gave us; None if no guardian started us."""
        descriptor = os.environ.pop(GUARDIAN_VARIABLE, None)
        if descriptor is None:
            return None
        # Away from the low numbers: they are kept for what agents get.
        moved = fcntl.fcntl(int(descriptor), fcntl.F_DUPFD_CLOEXEC, PASSED_NUMBERS.stop)
        os.close(int(descriptor))
        return cls(socket.socket(fileno=moved))

    def greet(self) -> None:
        """Take over what the guardian holds. Raises EOFError or OSError where it is gone or silent."""
        self._connection.settimeout(GREETING)
        send_message(self._connection, ["hello"])
        while True:
            words, descriptors = receive_message(self._connection)
            match words:
                case ["held", *names]:
                    self._held.update(zip(names, descriptors, strict=True))
                case ["exits", *exits]:
                    self.ends.update(_ends(exits))
                case ["masters", *pids]:
                    self.other_masters = frozenset(map(int, pids))
                case ["ready"]:
                    return

    def learn_ends(self, pids: Collection[int]) -> None:
        """Wait until the guardian has told the ends of these processes, or a moment has passed.

        It may have reaped them while it was handing over.
        """
        deadline = time.monotonic() + MOMENT
        while not self.ends.keys() >= set(pids) and (left := deadline - time.monotonic()) > 0:
            self._connection.settimeout(left)
            try:
                words, _ = receive_message(self._connection)
            except (OSError, EOFError):
                break
            if words[0] == "exits":
                self.ends.update(_ends(words[1:]))
        self._connection.settimeout(GREETING)

    def holds(self, name: str) -> bool:
        """Whether a descriptor of that name was handed over and nobody has taken it yet."""
        return name in self._held

    def take(self, name: str) -> int | None:
        """A held descriptor, ours to use; None if there is none of that name."""
        descriptor = self._held.pop(name, None)
        if descriptor is not None:
            self._taken[name] = descriptor
        return descriptor

    def taken(self, name: str) -> int:
        """The descriptor that was taken under this name, or has replaced it. Raises KeyError if none was."""
        return self._taken[name]

    def replace(self, name: str, descriptor: int) -> None:
        """Hold this descriptor, ours from now on, in place of the one that was taken, which is closed."""
        before = self._taken[name]
        self.hold({name: descriptor})
        os.close(before)

    def start(self, loop: asyncio.AbstractEventLoop, owner: Owner) -> None:
        """Begin to beat and to listen; what nobody has taken is dropped."""
        self._loop, self._owner = loop, owner
        self.drop(list(self._held))
        self._connection.setblocking(False)
        loop.add_reader(self._connection.fileno(), self._readable)
        self._beat()

    def hold(self, descriptors: dict[str, int]) -> None:
        """Let the guardian hold descriptors: they are safe when this returns, unless it is stopped."""
        self._taken.update(descriptors)
        if self._together is not None:
            self._together.update(descriptors)
        else:
            self._send(["hold", *descriptors], list(descriptors.values()))

    @contextlib.contextmanager
    def holding_together(self) -> Iterator[None]:
        """Send what is to be held meanwhile as one message at the end, since each wakes the guardian.

        At most ``MAX_DESCRIPTORS`` descriptors.
        """
        self._together = {}
        try:
            yield
        finally:
            held, self._together = self._together, None
            if held:
                self._send(["hold", *held], list(held.values()))

    def drop(self, names: Iterable[str]) -> None:
        """The guardian need not hold these any longer."""
        names = list(names)
        for name in names:
            descriptor = self._held.pop(name, None)
            if descriptor is not None:
                os.close(descriptor)
            self._taken.pop(name, None)
        if names:
            self._send(["drop", *names])

    def seen(self, pids: Iterable[int]) -> None:
        """The ends of these processes are on the disk, or of no interest."""
        self._send(["seen", *map(str, pids)])

    def request_update(self) -> None:
        """Ask for a master of the code that is installed now."""
        self._send(["update"])

    def ending(self) -> None:
        """Tell that all agents are gone and this is the end: no other master is to follow."""
        self._send(["ending"])

    def serving(self) -> None:
        """Tell that we are in charge: the state is made so and the socket answers."""
        self._send(["serving"])

    def wait_for_verdict(self) -> str:
        """Stand still until the newer master is in charge, then leave; or give the reason why it is not.

        Nothing happens in this process meanwhile: no timer fires, nothing is reaped, read or answered.
        Raises EOFError or OSError when the guardian is gone.
        """
        self._connection.setblocking(True)
        try:
            self._send_unsent()
            send_message(self._connection, ["standing_by"])
            while True:
                words, _ = receive_message(self._connection)
                match words:
                    case ["leave"]:
                        os._exit(0)
                    case ["resume", reason]:
                        return reason
        finally:
            self._connection.setblocking(False)

    def succeed(self, lock_file: str) -> None:
        """Claim the place of a guardian that is gone.

        During an update it leaves two masters, and both notice: the one that is later ends here, at once.
        """
        if SUCCESSION in self._taken:
            return
        try:
            lock = HomeLock(lock_file).acquire()
        except OSError as error:
            log.error("cannot lock %s: %s", lock_file, error)
            return
        if lock is None:
            log.error("another master takes the place of the guardian: leaving")
            os._exit(1)
        self._taken[SUCCESSION] = lock

    def become_guardian(self, home: str) -> None:
        """Execute the guardian's program in our place, with all that the guardian held. Does not return.

        Raises OSError where the program cannot be executed.
        """
        file = Holdings.leave(self._taken)
        # Until the guardian has its handlers: a signal that came meanwhile would end it, or be lost.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            execute_guardian(home, "--holding", str(file))
        except OSError:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(file)
            raise

    def _beat(self) -> None:
        self._send(["beat"])
        if not self._lost:
            self._loop.call_later(BEAT, self._beat)

    def _send(self, words: Sequence[str], descriptors: Sequence[int] = ()) -> None:
        if self._lost:
            return
        try:
            if not self._unsent:
                send_message(self._connection, words, descriptors)
                return
        except BlockingIOError:
            pass  # the guardian is stopped or busy
        except OSError:
            return  # it is gone: the reader finds that out
        if words == ["beat"]:
            return
        self._unsent.append((words, [os.dup(each) for each in descriptors]))
        if len(self._unsent) == 1:
            self._loop.add_writer(self._connection.fileno(), self._writable)

    def _writable(self) -> None:
        try:
            self._send_unsent()
        except BlockingIOError:
            return
        except OSError:
            self._forget_unsent()

    def _send_unsent(self) -> None:
        while self._unsent:
            words, descriptors = self._unsent[0]
            send_message(self._connection, words, descriptors)
            self._forget_first()
        self._loop.remove_writer(self._connection.fileno())

    def _forget_first(self) -> None:
        for descriptor in self._unsent.popleft()[1]:
            os.close(descriptor)

    def _forget_unsent(self) -> None:
        self._loop.remove_writer(self._connection.fileno())
        while self._unsent:
            self._forget_first()

    def _readable(self) -> None:
        try:
            words, _ = receive_message(self._connection)
        except BlockingIOError:
            return
        except (EOFError, OSError):
            self._lost = True
            self._loop.remove_reader(self._connection.fileno())
            self._forget_unsent()
            self._owner.guardian_lost()
            return
        match words:
            case ["exits", *exits]:
                self._owner.guardian_saw(_ends(exits))
            case ["stand_by"]:
                self._owner.stand_by()
            case ["resume", reason]:
                self._owner.update_failed(reason)


def _ends(exits: list[str]) -> dict[int, Reaped]:
    fields = [each.split(" ") for each in exits]
    return {int(pid): Reaped(int(status), float(at)) for pid, status, at in fields}
