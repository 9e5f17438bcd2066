"""The socket: one JSON-RPC request a line, from the owner only, bounded in every direction."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import select
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from pypm.core.errors import PypmError
from pypm.master.asker import Peer
from pypm.protocol.names import INVALID_REQUEST, MAX_LINE
from pypm.protocol.rpc import (
    BadRequestError,
    Request,
    bug_response,
    decode_request,
    error_response,
    result_response,
)

__all__ = ["Server"]

log = logging.getLogger(__name__)

BACKLOG = 512
"""Clients that may wait to be accepted; one more is told at once to try again."""
MAX_CLIENTS = 256
MAX_IN_FLIGHT = 64
"""Requests of one client that are being answered; more are read when one of them is."""
MAX_UNREAD = 64 * 1024 * 1024
"""Bytes of answers that a client may leave unread before it is cut off."""

ABANDONED = frozenset(("wait",))
"""Methods that only ask: who asked and is gone needs no answer. What was ordered is done all the same."""
LOOK = 5.0
"""Seconds between two looks whether a client that has said all it had to say is still there."""

Dispatch = Callable[[Request, Peer], Any | Awaitable[Any]]
"""Takes a request and who has connected."""


class Server:
    """Accepts clients and answers their requests with ``dispatch``, which returns or awaits the result."""

    def __init__(self, loop: asyncio.AbstractEventLoop, dispatch: Dispatch) -> None:
        self._loop = loop
        self._dispatch = dispatch
        self._clients: set[Client] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, listener: socket.socket) -> None:
        """Begin to accept here, and no longer where it was before, if it was; clients stay."""
        before = self._server
        self._server = await self._loop.create_unix_server(self._make_client, sock=listener, backlog=BACKLOG)
        if before is not None:
            before.close()

    def _make_client(self) -> Client:
        return Client(self._loop, self._dispatch, self._clients)

    async def close(self) -> None:
        """Accept no more, and let what has been answered be sent."""
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.close()


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, dispatch: Dispatch, clients: set[Client]) -> None:
        self._loop = loop
        self._dispatch = dispatch
        self._clients = clients
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._searched = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: set[asyncio.Task[None]] = set()
        """Those of them that nobody needs once the client is gone."""
        self._peer = Peer(0, 0)
        self._has_said_all = False
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._clients.add(self)
        self._peer = _peer(transport)
        if self._peer.uid not in (0, os.geteuid()):
            self._refuse("this master answers its own user only")
        elif len(self._clients) > MAX_CLIENTS:
            self._refuse(f"there are {MAX_CLIENTS} clients already")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._closing = True
        self._clients.discard(self)
        self._buffer.clear()
        for task in self._asking:
            task.cancel()

    def eof_received(self) -> bool:
        """The client says no more. One that has not gone still gets its answers; False: it is over."""
        self._has_said_all = True
        if not self._tasks or self._is_gone():
            return False
        self._loop.call_later(LOOK, self._look)
        return True

    def _look(self) -> None:
        if self._closing:
            return
        if self._is_gone():
            self._closing = True
            self._transport.abort()
        else:
            self._loop.call_later(LOOK, self._look)

    def _is_gone(self) -> bool:
        """Whether nobody has the other end any more, not even for reading."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        return bool(poll.poll(0))

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._buffer += data
        self._take_lines()

    def _take_lines(self) -> None:
        while not self._closing and len(self._tasks) < MAX_IN_FLIGHT:
            end = self._buffer.find(b"\n", self._searched)
            if (len(self._buffer) if end < 0 else end) > MAX_LINE:
                self._refuse(f"a line is longer than {MAX_LINE} bytes")
                return
            if end < 0:
                self._searched = len(self._buffer)
                return
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            if line.strip():
                self._take(line)
        if not self._closing:
            self._transport.pause_reading()

    def _take(self, line: bytes) -> None:
        try:
            request = decode_request(line)
        except BadRequestError as error:
            self._send(error_response(error.request_id, error))
            return
        self._answer(request)

    def _answer(self, request: Request) -> None:
        try:
            result = self._dispatch(request, self._peer)
            if not inspect.isawaitable(result):
                self._reply(request, result)
                return
        except Exception as error:
            self._fail(request, error)
            return
        task = self._loop.create_task(self._answer_later(request, result))
        self._tasks.add(task)
        if request.method in ABANDONED:
            self._asking.add(task)
        task.add_done_callback(self._answered)

    async def _answer_later(self, request: Request, result: Awaitable[Any]) -> None:
        try:
            self._reply(request, await result)
        except Exception as error:
            self._fail(request, error)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._asking.discard(task)
        if self._closing:
            return
        self._transport.resume_reading()
        self._take_lines()
        if self._has_said_all and not self._tasks:
            self.close()

    def _reply(self, request: Request, result: Any) -> None:
        if not isinstance(request.id, msgspec.UnsetType):
            self._send(result_response(request.id, result))

    def _fail(self, request: Request, error: Exception) -> None:
        if not isinstance(error, PypmError):
            log.error("a bug in the handler of %s", request.method, exc_info=error)
        if isinstance(request.id, msgspec.UnsetType):
            return
        if isinstance(error, PypmError):
            self._send(error_response(request.id, error))
        else:
            self._send(bug_response(request.id, error))

    def _send(self, line: bytes) -> None:
        if self._closing:
            return
        self._transport.write(line)
        if self._transport.get_write_buffer_size() > MAX_UNREAD:
            log.warning("a client that does not read its answers is cut off")
            self._closing = True
            self._transport.abort()

    def _refuse(self, message: str) -> None:
        self._send(error_response(None, BadRequestError(INVALID_REQUEST, message)))
        self.close()

    def close(self) -> None:
        """Send what has been written, then end the connection."""
        self._closing = True
        self._transport.close()


def _peer(transport: asyncio.Transport) -> Peer:
    """Who has connected."""
    connection = transport.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    return Peer(pid, uid)
