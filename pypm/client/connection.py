"""A blocking connection to the master: one request, one answer, within a time.

It uses ``_socket`` and ``json`` only: ``socket`` would bring selectors and enum, and a quick verb has no
time for them.
"""

from __future__ import annotations

import _socket
import os
import sys
import time

from pypm.core.errors import NoMasterError, ProtocolError, RequestError
from pypm.protocol.messages import decode_response, encode_request
from pypm.protocol.names import KEYED, MAX_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:  # the quick road has no time to import typing
    from types import TracebackType
    from typing import Any

__all__ = ["GOES_ON", "NO_MASTER_HINT", "Connection", "ConnectionLostError"]

NO_MASTER_HINT = "`pypm start …` starts one"
GOES_ON = "not waited for any longer; what was ordered goes on"
"""Note on a KeyboardInterrupt that came between an order and its outcome."""

_BLOCK = 65536
_ASKED_ONCE = frozenset(("update", "trigger"))
"""What is not asked again when a master was lost before it answered: its end is the answer to an update, and
what an agent was asked to do it has done or not.

All else is: it only asks, or it may be done twice without harm, or the key of the request tells the next
master what the one before it has done."""
_TRIES = 10


class ConnectionLostError(ProtocolError):
    """The master closed the connection before it answered: it has ended, or another one has its place."""


class Connection:
    """A connection to the master that listens at ``path``.

    Every wait for the master (connecting, sending, each answer) is bounded by ``timeout`` seconds.
    Raises :class:`NoMasterError` when nothing listens there and :class:`RequestError` when the socket is
    not this user's to use. Not for use by several threads at once.
    """

    def __init__(self, path: str, timeout: float = 30.0) -> None:
        self.path = path
        self.timeout = timeout
        self._received = bytearray()
        self._last_id = 0
        self._is_aborted = False
        self._socket = _connect(path, timeout)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; closing it again does nothing."""
        self._socket.close()

    def abort(self) -> None:
        """End a call that waits in another thread, with ConnectionLostError; no further one is possible."""
        self._is_aborted = True
        try:
            self._socket.shutdown(_socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already

    def call(self, method: str, /, **params: Any) -> Any:
        """Ask for ``method`` with the ``params`` that are not ``None``; give its result.

        Raises what the master reports as the :class:`PypmError` it names, :class:`ProtocolError` for an
        answer that is none or that is not there within ``timeout`` seconds.
        """
        return self._ask(method, params, patient=False)

    def call_patiently(self, method: str, /, **params: Any) -> Any:
        """As :meth:`call`, for what may rightly take long, such as stopping agents that take their time.

        It waits as long as the master lives: each ``timeout`` seconds a ``ping`` on another connection
        has to be answered.
        """
        return self._ask(method, params, patient=True)

    def _ask(self, method: str, params: dict[str, Any], *, patient: bool) -> Any:
        """Ask, and ask the next master if this one is lost before it answers."""
        tries = 1 if method in _ASKED_ONCE else _TRIES
        key = os.urandom(8).hex() if method in KEYED else ""
        while True:
            try:
                return self._ask_once(method, params, key, patient=patient)
            except KeyboardInterrupt as interrupt:
                if key:
                    interrupt.add_note(GOES_ON)
                raise
            except ConnectionLostError:
                tries -= 1
                if tries == 0 or self._is_aborted:
                    raise
            self._socket.close()
            self._received.clear()
            # Its guardian holds the listening socket: this waits until the next master is there.
            self._socket = _connect(self.path, self.timeout)

    def _ask_once(self, method: str, params: dict[str, Any], key: str, *, patient: bool) -> Any:
        self._last_id += 1
        given = {name: value for name, value in params.items() if value is not None}
        line = encode_request(self._last_id, method, given, key)
        try:
            self._socket.sendall(line)
        except TimeoutError:
            raise self._silent() from None
        except OSError as error:
            if not isinstance(error, (BrokenPipeError, ConnectionResetError)):
                raise
            # The master has closed, perhaps after it said why: the answer, or its absence, tells.
        return decode_response(self._read_line(patient=patient), self._last_id)

    def _read_line(self, *, patient: bool) -> bytes:
        searched = 0
        deadline = time.monotonic() + self.timeout
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > 4 * MAX_LINE:
                raise ProtocolError("the answer on the socket has no end")
            if not self._receive(deadline):
                self._prove_alive(patient)
                deadline = time.monotonic() + self.timeout
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _receive(self, deadline: float) -> bool:
        """Add what has come; ``False`` when nothing came by ``deadline`` (monotonic seconds)."""
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            self._socket.settimeout(left)
            block = self._socket.recv(_BLOCK)
        except TimeoutError:
            return False
        except ConnectionResetError:
            block = b""
        finally:
            self._socket.settimeout(self.timeout)
        if not block:
            raise ConnectionLostError(
                "the master closed the connection before it answered", hint="see master.log in PYPM_HOME"
            )
        self._received += block
        return True

    def _prove_alive(self, patient: bool) -> None:
        if not patient:
            raise self._silent()
        with Connection(self.path, self.timeout) as other:
            other.call("ping")

    def _silent(self) -> ProtocolError:
        return ProtocolError(
            f"the master did not answer within {self.timeout:g} s", hint="see master.log in PYPM_HOME"
        )


def _connect(path: str, timeout: float) -> _socket.socket:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(timeout)
        _connect_within(connection, path, timeout)
        _check_peer(connection)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        connection.close()
        raise NoMasterError("no master is running", hint=NO_MASTER_HINT) from None
    except TimeoutError:
        connection.close()
        raise ProtocolError(f"the master at {path} does not accept connections") from None
    except OSError as error:
        connection.close()
        raise RequestError(f"cannot connect to {path}: {error.strerror or error}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_within(connection: _socket.socket, path: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            return connection.connect(path)
        except BlockingIOError:  # the queue of the listening socket is full: it says so at once
            if time.monotonic() > deadline:
                raise TimeoutError from None
            time.sleep(0.005)


def _check_peer(connection: _socket.socket) -> None:
    """Refuse a master that is somebody else's: it would be given this user's environment."""
    size = 12  # struct ucred: pid, uid, gid
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, size)
    owner = int.from_bytes(credentials[4:8], sys.byteorder)
    if owner not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise RequestError(f"the master on this socket belongs to another user (uid {owner})")
