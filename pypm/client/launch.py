"""Start a master, quietly, when none answers.

A plain fork and exec: ``subprocess`` would cost the first command more than the start itself.
"""

from __future__ import annotations

import os
import sys
import time

from pypm.client.connection import Connection
from pypm.client.guarded import guardian_pid
from pypm.client.home import socket_path
from pypm.core.errors import NoMasterError, ProtocolError, RequestError
from pypm.protocol.names import AGENT_VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["connect", "connect_or_launch", "launch"]

_POLL = 0.01
_LAST_LINES = 5

_RENEWAL = 10.0
"""Seconds within which a living master should have made a removed socket anew."""

_OTHER_MASTER = 0.5
"""Seconds in which the master that another one left for should answer."""


def connect(home: str, timeout: float = 30.0) -> Connection:
    """Connect to the master of ``home``; raises :class:`NoMasterError` when there is none.

    A home that has a guardian and no socket is one that begins, ends, or makes a removed socket anew: that
    is waited for.
    """
    try:
        return Connection(socket_path(home), timeout)
    except NoMasterError:
        pass
    deadline = time.monotonic() + _RENEWAL
    while guardian := guardian_pid(home):
        if time.monotonic() > deadline:
            raise NoMasterError(
                f"the master of {home} cannot be reached: nothing listens at {socket_path(home)}",
                hint=f"`kill {guardian}` ends it with its agents",
            )
        time.sleep(_POLL)
        try:
            return Connection(socket_path(home), timeout)
        except NoMasterError:
            pass
    return Connection(socket_path(home), timeout)


def connect_or_launch(
    home: str, timeout: float = 30.0, check: Callable[[str], None] = lambda _: None
) -> tuple[Connection, bool]:
    """Connect to the master of ``home``, starting one if none answers and ``check`` raises nothing.

    Gives the connection and whether a master was started. Raises as :func:`launch` does.
    """
    try:
        return connect(home, timeout), False
    except NoMasterError:
        check(home)
        launch(home)
    return connect(home, timeout), True


def launch(home: str, timeout: float = 10.0) -> None:
    """Start a master for ``home`` and wait, ``timeout`` seconds at most, until its socket answers.

    Prints nothing; what the master says goes to ``home/master.log``. When two clients do this at once one
    of the masters leaves for the other, and both clients find the one that stays.
    Raises :class:`RequestError` when the home cannot be used and :class:`NoMasterError`, with the last
    lines of the log, when no master comes up.
    """
    _prepare_home(home)
    log_path = os.path.join(home, "master.log")
    log = _open_log(log_path)
    size = os.fstat(log).st_size
    deadline = time.monotonic() + timeout
    try:
        # One that left for another master which was itself about to end: the home is free by now.
        while not _answers(home, _spawn(home, log), deadline):
            pass
    except NoMasterError as error:
        said = _said_since(log_path, size)
        hint = f"it said:\n{said}" if said else f"see {log_path}"
        if not os.statvfs(home).f_bavail:
            hint = f"the disk of {home} is full"
        raise NoMasterError(error.message, hint=hint) from None
    finally:
        os.close(log)


def _prepare_home(home: str) -> None:
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
        owner = os.stat(home).st_uid
    except FileExistsError:
        raise RequestError(
            f"cannot use the home {home}: it is not a folder", hint="PYPM_HOME names another folder"
        ) from None
    except OSError as error:
        raise RequestError(
            f"cannot use the home {home}: {error.strerror}",
            hint="PYPM_HOME names another folder",
        ) from None
    if owner != os.geteuid():
        raise RequestError(
            f"the home {home} belongs to another user (uid {owner}, you are {os.geteuid()})",
            hint="set PYPM_HOME to a folder of your own",
        )


def _open_log(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror}") from None


def _spawn(home: str, log: int) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    # Started as a program, isolated and without site-packages: the guardian has to stay small.
    guardian = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guardian")
    argv = [sys.executable, "-I", "-S", os.path.join(guardian, "__main__.py"), home]
    environment = _environment(home)
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        # A descriptor that came from the caller's shell would keep its pipe open for days.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.execve(argv[0], argv, environment)
    finally:
        os._exit(127)  # only reached when something above failed; nothing of the parent may run here


def _environment(home: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in AGENT_VARIABLES}
    environment["PYPM_HOME"] = home
    return environment


def _answers(home: str, pid: int, deadline: float) -> bool:
    """Wait until the socket answers; ``False``: ours has left for another master, which did not come either.

    Raises :class:`NoMasterError` when our master has failed or it is later than ``deadline``.
    """
    status: int | None = None
    patience = deadline
    while True:
        # Asked before the socket is tried: what ended before that had its chance to answer.
        if status is None and (status := _exit_status(pid)) == 0:
            patience = time.monotonic() + _OTHER_MASTER
        try:
            # The socket is the guardian's, which listens before there is a master: only an answer tells.
            with Connection(socket_path(home), max(deadline - time.monotonic(), _POLL)) as connection:
                connection.call("ping")
        except (NoMasterError, ProtocolError):
            pass
        else:
            return True
        if status and guardian_pid(home) is None:  # else it was later than another one, which begins
            raise NoMasterError(f"the master ended with {_ending(status)}")
        if time.monotonic() > deadline:
            raise NoMasterError("the master does not answer")
        if time.monotonic() > patience:
            return False
        time.sleep(_POLL)


def _exit_status(pid: int) -> int | None:
    """Give the exit status of our child when it has ended: 0 also where it left for another master."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit code {status}"


def _said_since(path: str, offset: int) -> str:
    try:
        with open(path, "rb") as log:
            log.seek(offset)
            text = log.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join("  " + line for line in text.splitlines()[-_LAST_LINES:])
