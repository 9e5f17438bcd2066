"""The agent channel: what agents say about themselves, over ZeroMQ (docs/agent-protocol.md).

The listening socket is made without ZeroMQ, which is loaded only when the first agent connects: a master
whose agents do not use the channel does not pay for it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.events import Beat, Event, Ready, StatusReported, StoppingReported

if TYPE_CHECKING:
    import zmq

__all__ = ["AgentChannel", "AgentMessage"]

log = logging.getLogger(__name__)

MAX_FRAME = 64 * 1024
MAX_WAITING = 100
"""Messages of one agent that wait here to be read; further ones wait where they come from."""
MAX_STATUS = 200
"""Characters of a status text that are kept."""
SHARE = 200
"""Messages that are read in one turn of the loop."""


class AgentMessage(msgspec.Struct):
    """One frame from an agent; unknown fields are ignored, so that agents may be newer than the master."""

    v: int
    token: str
    type: str
    text: str = ""
    ready: bool = False
    status: str | None = None


class AgentChannel:
    """Receives frames and turns them into events of the runs whose tokens they carry."""

    def __init__(
        self,
        listener: socket.socket,
        loop: asyncio.AbstractEventLoop,
        runs_by_token: Mapping[str, tuple[int, str]],
        handle: Callable[[int, Event], None],
    ) -> None:
        self.dropped = {"malformed": 0, "token": 0, "unknown type": 0}
        """Frames that were not taken, by cause."""
        self._listener = listener
        self._loop = loop
        self._runs = runs_by_token
        self._handle = handle
        self._context: zmq.Context[Any] | None = None
        self._router: zmq.Socket[Any] | None = None
        self._bound = ""
        """The endpoint on which the router accepts."""
        self._decoder = msgspec.json.Decoder(AgentMessage)
        loop.add_reader(listener.fileno(), self._first_agent)

    def _first_agent(self) -> None:
        """Somebody connects: give the listening socket to ZeroMQ."""
        import zmq

        self._loop.remove_reader(self._listener.fileno())
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.setsockopt(zmq.RCVHWM, MAX_WAITING)
        self._router.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME)
        self._bind(self._listener)
        self._loop.add_reader(self._descriptor(), self._readable)
        self._readable()

    def _descriptor(self) -> int:
        import zmq

        assert self._router is not None
        return int(self._router.getsockopt(zmq.FD))

    def _readable(self) -> None:
        """Read a share. ZeroMQ's descriptor tells of changes only: what is left is read in the next turn."""
        import zmq

        assert self._router is not None
        for _ in range(SHARE):
            try:
                parts = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(parts)
        self._loop.call_soon(self._again)

    def _again(self) -> None:
        if self._router is not None:
            self._readable()

    def _take(self, parts: list[bytes]) -> None:
        try:
            message = self._decoder.decode(parts[-1]) if len(parts) == 2 else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            message = None
        if message is None or message.v != 1:
            self._drop("malformed")
            return
        run = self._runs.get(message.token)
        if run is None:
            self._drop("token")
            return
        for event in self._events(message, run[1]):
            self._handle(run[0], event)

    def _events(self, message: AgentMessage, run_id: str) -> list[Event]:
        match message.type:
            case "ready":
                return [Ready(run_id)]
            case "heartbeat":
                events: list[Event] = [Beat(run_id)]
                if message.ready:
                    events.append(Ready(run_id))
                if message.status is not None:
                    events.append(StatusReported(run_id, message.status[:MAX_STATUS]))
                return events
            case "status":
                return [StatusReported(run_id, message.text[:MAX_STATUS])]
            case "stopping":
                return [StoppingReported(run_id)]
        self._drop("unknown type")
        return []

    def _drop(self, cause: str) -> None:
        self.dropped[cause] += 1
        count = self.dropped[cause]
        if count & (count - 1) == 0:  # 1, 2, 4, 8 …: a flood does not flood the log
            log.warning("agent channel: %d frames dropped so far: %s", count, cause)

    async def listen_anew(self, listener: socket.socket) -> None:
        """Accept agents here, and no longer where it was before; those that are connected stay."""
        if self._router is None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = listener
            self._loop.add_reader(listener.fileno(), self._first_agent)
            return
        self._bind(listener)

    def _bind(self, listener: socket.socket) -> None:
        import zmq

        assert self._router is not None
        endpoint = f"ipc://{listener.getsockname()}"
        if self._bound:
            self._router.unbind(self._bound)
        # ZeroMQ owns (and closes) the descriptor that it is given.
        self._router.setsockopt(zmq.USE_FD, listener.detach())
        self._router.bind(endpoint)
        self._bound = endpoint

    def close(self) -> None:
        """End the channel."""
        if self._router is None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            return

        self._loop.remove_reader(self._descriptor())
        self._router.close()
        self._router = None
        assert self._context is not None
        self._context.term()
