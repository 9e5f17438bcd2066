"""The guardian's own code is replaced while it guards: the process executes its new program in its own place.

Its pid, its children and what it has open stay; what it only knows is left in a file in memory, one fact a
line. That happens after an update whose master is in charge, and only where the code of the guardian has
changed and the new program says that it can be loaded and can read what is left.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from pypm.guardian.child import Child
from pypm.guardian.holdings import Holdings
from pypm.guardian.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["FORMAT", "SIGNALS", "Inheritance", "Renewal", "execute"]

FORMAT = "1"
"""Of what is left to the next program: ``--check FORMAT`` asks that whether it can read it."""
CHECK_TIME = 20
"""Seconds that the new program may take to be loaded."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)
"""Those that a guardian has handlers for; they are blocked while no program has them."""

_GUARDIAN = os.path.dirname(os.path.abspath(__file__))
_PROGRAM = os.path.join(_GUARDIAN, "__main__.py")
_COMMAND = [sys.executable, "-I", "-S", _PROGRAM]


class Renewal:
    """Whether the guardian's program has changed since it was loaded, and whether the new one is any good."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._loaded = _fingerprint()
        self._check: int | None = None
        self.is_due = False
        """The new program is good."""

    def look(self) -> None:
        """Begin to check the program if it has changed."""
        if self._check is not None or _fingerprint() == self._loaded:
            return
        try:
            with self._journal.open() as log:
                self._check = os.fork()
                if self._check == 0:
                    _check(log.fileno())
        except OSError as error:
            self._refuse(str(error))

    def takes(self, pid: int, status: int) -> bool:
        """Whether this child that has ended was the check; then it is known whether the program is good."""
        if pid != self._check:
            return False
        self._check = None
        self.is_due = status == 0
        if not self.is_due:
            self._refuse(f"its check ended with {os.waitstatus_to_exitcode(status)}")
        return True

    def failed(self, error: OSError) -> None:
        """The new program could not be executed."""
        self.is_due = False
        self._refuse(str(error))

    def _refuse(self, reason: str) -> None:
        self._journal.write(f"the guardian's new program is not used, and the present one goes on: {reason}")


class Inheritance:
    """What a guardian's program leaves to the next one in the same process."""

    def __init__(self, holdings: Holdings, master: Child) -> None:
        self.holdings = holdings
        self.master = master
        self.exits: dict[int, tuple[int, float]] = {}
        self.untold: dict[int, None] = {}
        self.retired: set[int] = set()

    def leave(self) -> int:
        """Write it into a file in memory; gives its descriptor, which the next program has open too."""
        assert self.master.connection is not None
        child = self.master
        lines = [f"master {child.pid} {self.master.connection.fileno()} {child.began} {child.last_beat}"]
        lines += [f"held {number} {name}" for name, number in self.holdings.named.items()]
        lines += [f"kept {number} {name}" for name, number in self.holdings.kept.items()]
        lines += [f"exit {pid} {status} {at}" for pid, (status, at) in self.exits.items()]
        lines += [f"untold {pid}" for pid in self.untold]
        lines += [f"retired {pid}" for pid in self.retired]
        file = os.memfd_create("pypm-guardian", 0)
        os.write(file, "\n".join(lines).encode())
        return file

    def make_inheritable(self, inheritable: bool) -> None:
        """Whether the descriptors stay open when a program is executed."""
        assert self.master.connection is not None
        ours = [*self.holdings.named.values(), *self.holdings.kept.values(), self.master.connection.fileno()]
        for descriptor in ours:
            os.set_inheritable(descriptor, inheritable)

    @classmethod
    def read(cls, file: int) -> Inheritance:
        """What the program before has left."""
        with os.fdopen(file, "rb") as stream:
            stream.seek(0)
            first, *lines = stream.read().decode().splitlines()
        inheritance = cls(Holdings(), _child(first))
        for line in lines:
            inheritance._take(*line.split(" ", 1))
        inheritance.make_inheritable(False)
        return inheritance

    def _take(self, kind: str, text: str) -> None:
        first, _, rest = text.partition(" ")
        match kind:
            case "held":
                self.holdings.add(rest, int(first))
            case "kept":
                self.holdings.kept[rest] = int(first)
            case "exit":
                status, at = rest.split(" ")
                self.exits[int(first)] = (int(status), float(at))
            case "untold":
                self.untold[int(first)] = None
            case "retired":
                self.retired.add(int(first))


def execute(home: str, file: int) -> NoReturn:
    """Execute the guardian's program in place of this one. Raises OSError where that cannot be."""
    os.execv(_COMMAND[0], [*_COMMAND, home, "--renewed", str(file)])


def _child(line: str) -> Child:
    """The master that the program before has left; it was in charge."""
    _, pid, connection, began, last_beat = line.split(" ")
    child = Child(int(pid), socket.socket(fileno=int(connection)))
    child.began, child.last_beat = float(began), float(last_beat)
    child.greeted = child.serving = True
    assert child.connection is not None
    child.connection.setblocking(False)
    return child


def _fingerprint() -> int:
    """Tells the present files of all modules of pypm that are loaded here from changed ones."""
    folder = os.path.dirname(_GUARDIAN) + os.sep
    files = {str(getattr(module, "__file__", "")) for module in list(sys.modules.values())}
    # It is compared in this process only, so hash() does, which needs no module.
    return hash(tuple(hash(_content(path)) for path in sorted(files) if path.startswith(folder)))


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:  # it is gone: that is a change
        return None


def _check(log: int) -> NoReturn:
    """Become the new program, which only says whether it is good, in a process that has just been forked."""
    try:
        signal.set_wakeup_fd(-1)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.alarm(CHECK_TIME)
        os.execv(_COMMAND[0], [*_COMMAND, "--check", FORMAT])
    finally:
        os._exit(127)  # only reached when something above failed; nothing of the guardian may run here
