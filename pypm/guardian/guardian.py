"""What the guardian does: start the master, watch it, hold for it, reap for it, replace it."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

from pypm.guardian.holdings import Holdings
from pypm.system.home import Home
from pypm.system.sockets import receive_message, send_message
from pypm.system.subreaper import become_subreaper

__all__ = ["DUMP_SIGNAL", "GUARDIAN_VARIABLE", "Guardian"]

GUARDIAN_VARIABLE = "PYPM_GUARDIAN_FD"
"""Environment variable that tells a master the descriptor of its connection to the guardian."""
DUMP_SIGNAL = signal.SIGRTMIN
"""Makes a master write its stacks to its log."""

REFUSED = 78
"""Exit code of a master that cannot begin for a reason that another one would find too."""

SILENCE = 10.0
"""Seconds without a heartbeat after which a master is taken to hang."""
BEGINNING = 60.0
"""Seconds that a master may take to begin."""
DUMP_TIME = 0.5
"""Seconds that a hanging master gets to write its stacks."""
HEALTHY = 10.0
"""Seconds after which a master counts as one that works: the delays begin anew."""
FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
KEPT_EXITS = 100_000
"""How many ends are remembered for a master that does not come."""


_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_MASTER = f"import sys; sys.path.append({_FOLDER!r}); from pypm.master.__main__ import main; sys.exit(main())"
"""Finds pypm where this guardian was found, also where it is not installed."""


class Guardian:
    """Guards one master of one home."""

    def __init__(self, home: Home, holdings: Holdings) -> None:
        self._home = home
        self._holdings = holdings
        self._exits: dict[int, list[float]] = {}
        """Wait status and time (boot clock) of processes that ended, until a master has acknowledged them."""
        self._master = 0
        self._connection: socket.socket | None = None
        self._began = 0.0
        self._last_beat = 0.0
        self._greeted = False
        self._failures = 0
        self._start_at: float | None = 0.0
        self._dumping_since: float | None = None
        self._result: int | None = None

    def run(self) -> int:
        """Guard until the master has been told to end and has ended; gives the exit status."""
        become_subreaper()
        wakeup, wakeup_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._forward)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._reap()  # what ended before this program was executed in the place of a master
        while self._result is None:
            self._act()
            if self._result is None:
                self._wait(wakeup)
        return self._result

    # --- waiting ---

    def _wait(self, wakeup: int) -> None:
        poll = select.poll()
        poll.register(wakeup, select.POLLIN)
        if self._connection is not None:
            poll.register(self._connection, select.POLLIN)
        for descriptor, _ in poll.poll(self._patience() * 1000):
            if descriptor == wakeup:
                os.read(wakeup, 4096)
            else:
                self._receive()
        self._reap()

    def _patience(self) -> float:
        """Seconds until something is due."""
        now = time.monotonic()
        if self._start_at is not None:
            return max(0.0, self._start_at - now)
        if self._dumping_since is not None:
            return max(0.0, self._dumping_since + DUMP_TIME - now)
        return max(0.0, self._silence_ends() - now)

    def _silence_ends(self) -> float:
        return self._last_beat + SILENCE if self._greeted else self._began + BEGINNING

    def _act(self) -> None:
        """Do what is due: start a master, or end one that hangs."""
        now = time.monotonic()
        if self._start_at is not None:
            if now >= self._start_at:
                self._start_at = None
                self._start()
        elif self._dumping_since is not None:
            if now >= self._dumping_since + DUMP_TIME:
                self._log(f"killing the master {self._master}")
                os.kill(self._master, signal.SIGKILL)
                self._dumping_since = now + 3600.0
        elif now >= self._silence_ends():
            self._log(f"the master {self._master} does not answer: its stacks follow, then it is replaced")
            self._dumping_since = now
            if self._greeted:
                os.kill(self._master, DUMP_SIGNAL)

    # --- the master ---

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * 1024 * 1024)
        environment = dict(os.environ)
        environment["PYPM_HOME"] = self._home.path
        environment[GUARDIAN_VARIABLE] = "3"
        log = self._open_log()
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
        ]
        command = [sys.executable, "-P", "-c", _MASTER]
        self._began = self._last_beat = time.monotonic()
        self._greeted = False
        try:
            self._master = os.posix_spawn(
                command[0], command, environment, file_actions=actions, setsigdef=[signal.SIGPIPE]
            )
        except OSError as error:
            self._log(f"cannot start a master: {error}")
            self._plan_next()
            return
        finally:
            theirs.close()
            os.close(log)
        self._connection = ours

    def _ended(self, status: int) -> None:
        """The master has ended: for good if it says so, else another one follows."""
        pid, self._master = self._master, 0
        self._dumping_since = None
        if self._connection is not None:
            self._receive_all()
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        code = os.waitstatus_to_exitcode(status)
        if code in (0, REFUSED):
            self._result = code
            return
        words = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._log(f"the master {pid} {words}")
        self._plan_next()

    def _plan_next(self) -> None:
        """At once after a master that worked; later and later after those that did not."""
        now = time.monotonic()
        self._failures = 0 if now - self._began >= HEALTHY else self._failures + 1
        delay = 0.0
        if self._failures > 1:
            delay = min(FIRST_DELAY * 2 ** min(self._failures - 2, 20), LONGEST_DELAY)
            self._log(f"{self._failures} masters in a row ended at once; the next one starts in {delay:g} s")
        self._start_at = now + delay

    def _forward(self, number: int, _: object) -> None:
        """Somebody ends the guardian: that is the master's to do, agents included."""
        if self._master:
            os.kill(self._master, number)
        else:
            self._result = 0

    # --- messages ---

    def _receive_all(self) -> None:
        connection = self._connection
        while self._connection is connection and connection is not None and self._receive():
            pass

    def _receive(self) -> bool:
        """Take one message; False if there is none."""
        connection = self._connection
        if connection is None:
            return False
        try:
            message, descriptors = receive_message(connection)
        except BlockingIOError:
            return False
        except (EOFError, OSError):
            connection.close()
            self._connection = None
            return False
        self._take(connection, message, descriptors)
        return True

    def _take(self, connection: socket.socket, message: dict[str, object], descriptors: list[int]) -> None:
        self._last_beat = time.monotonic()
        names = message.get("names")
        match message.get("type"):
            case "hello":
                self._greeted = True
                self._holdings.send_to(connection)
                self._send_exits(self._exits)
                send_message(connection, {"type": "ready"})
            case "hold" if isinstance(names, list):
                for name, descriptor in zip(names, descriptors, strict=True):
                    self._holdings.add(name, descriptor)
            case "drop" if isinstance(names, list):
                self._holdings.drop(names)
            case "seen":
                pids = message.get("pids")
                for pid in pids if isinstance(pids, list) else ():
                    self._exits.pop(pid, None)

    def _send_exits(self, exits: dict[int, list[float]]) -> None:
        if self._connection is None or not self._greeted:
            return
        items = list(exits.items())
        try:
            for start in range(0, len(items), 1000):
                send_message(self._connection, {"type": "exits", "exits": items[start : start + 1000]})
        except OSError as error:
            # They are kept, and told to the next master; this one is about to be found hanging or dead.
            self._log(f"cannot tell the master {self._master} of {len(items)} ends: {error}")

    # --- ends ---

    def _reap(self) -> None:
        news: dict[int, list[float]] = {}
        master_status: int | None = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self._master:
                master_status = status
            else:
                news[pid] = [status, time.clock_gettime(time.CLOCK_BOOTTIME)]
        if news:
            self._exits.update(news)
            while len(self._exits) > KEPT_EXITS:
                del self._exits[next(iter(self._exits))]
            self._send_exits(news)
        if master_status is not None:
            self._ended(master_status)

    # --- the log ---

    def _open_log(self) -> int:
        try:
            return os.open(
                self._home.master_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
        except OSError:
            return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)

    def _log(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        descriptor = self._open_log()
        try:
            os.write(descriptor, f"{stamp},000 WARNING guardian {os.getpid()}: {text}\n".encode())
        except OSError:
            pass  # a full disk: nothing can be said, and everything goes on
        finally:
            os.close(descriptor)
