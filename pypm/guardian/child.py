"""One master process as the guardian sees it: started, greeted, beating, gone."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from pypm.system.home import Home

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs memory
    from typing import NoReturn

__all__ = ["DUMP_SIGNAL", "GUARDIAN_VARIABLE", "Child", "start_child"]

GUARDIAN_VARIABLE = "PYPM_GUARDIAN_FD"
"""Environment variable that tells a master the descriptor of its connection to the guardian."""
DUMP_SIGNAL = signal.SIGRTMIN
"""Makes a master write its stacks to its log."""

_CONNECTION = 3
"""The descriptor of a master's connection to us."""
_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_MASTER = f"import sys; sys.path.append({_FOLDER!r}); from pypm.master.__main__ import main; sys.exit(main())"
"""Finds pypm where this guardian was found, also where it is not installed."""

SILENCE = 10.0
"""Seconds without a heartbeat after which a master is taken to hang."""
BEGINNING = 60.0
"""Seconds that a master may take until it is in charge."""


class Child:
    """A master process. Times are of the monotonic clock, in seconds."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection: socket.socket | None = connection
        self.began = self.last_beat = time.monotonic()
        self.greeted = False
        self.serving = False
        """It has said that it is in charge."""
        self.ending = False
        """It has been told to end, and all agents are gone: whatever ends it now, no other one follows."""
        self.standing_by = False
        """It has stopped acting, until it is told to leave or to resume."""
        self.dumping_since: float | None = None
        self.killed = False

    def due(self) -> float:
        """When it has to have shown a sign of life."""
        if self.killed or self.standing_by:
            return float("inf")
        # Until it serves it is busy with what it adopts, and has no loop that could beat.
        return self.last_beat + SILENCE if self.serving else self.began + BEGINNING

    def forgive(self, seconds: float) -> None:
        """It need not have shown a sign of life for so long."""
        self.began += seconds
        self.last_beat += seconds
        if self.dumping_since is not None:
            self.dumping_since += seconds

    def send_signal(self, number: int) -> None:
        """Send it a signal; it is our child and not yet reaped, so its pid is its own."""
        os.kill(self.pid, number)

    def disconnect(self) -> None:
        """Close the connection to it."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def start_child(home: Home, log: int) -> Child:
    """Start a master of the code that is installed now. Raises OSError where that cannot be."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * 1024 * 1024)
    environment = dict(os.environ)
    environment["PYPM_HOME"] = home.path
    environment[GUARDIAN_VARIABLE] = str(_CONNECTION)
    try:
        # Not posix_spawn: glibc's makes the child, and so every agent, ignore the first real-time signal.
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        _execute([sys.executable, "-P", "-c", _MASTER], environment, log, theirs.fileno())
    theirs.close()
    return Child(pid, ours)


def _execute(command: list[str], environment: dict[str, str], log: int, connection: int) -> NoReturn:
    """Become the master, in a process that has just been forked."""
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.dup2(connection, _CONNECTION)
        os.set_inheritable(_CONNECTION, True)
        os.execve(command[0], command, environment)
    finally:
        os._exit(127)  # only reached when something above failed; nothing of the guardian may run here
