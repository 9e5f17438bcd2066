"""The agent channel: what agents say about themselves, over ZeroMQ (docs/agent-protocol.md).

The listening socket is made without ZeroMQ, which is loaded only when the first agent connects: a master
whose agents do not use the channel does not pay for it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.events import Beat, Event, Progressed, Ready, StatusReported, StoppingReported
from pypm.master.actions import Actions
from pypm.master.telemetry import NAME_LENGTH, RunTelemetry, Telemetry

if TYPE_CHECKING:
    import zmq

__all__ = ["AgentChannel", "AgentMessage"]

log = logging.getLogger(__name__)

MAX_FRAME = 64 * 1024
MAX_WAITING = 100
"""Messages of one agent that wait here to be read; further ones wait where they come from."""
MAX_STATUS = 200
"""Characters of a text that are kept."""
MAX_ERROR = 2000
"""Characters of what an action says to have gone wrong."""
MAX_SECONDS = 366 * 24 * 3600.0
"""The longest wait that can be announced; an app's ``max_extension`` is the limit that counts."""
MAX_ITERATION = 2**53
TASK_STATES = ("begun", "done", "failed")
SHARE = 200
"""Messages that are read in one turn of the loop."""


class AgentMessage(msgspec.Struct):
    """One frame from an agent; unknown fields are ignored, so that agents may be newer than the master."""

    v: int
    token: str
    type: str
    pid: int = 0
    text: str = ""
    ready: bool = False
    status: str | None = None
    proves: str = ""
    extend: float | None = None
    waiting: str = ""
    message: str = ""
    iteration: int | None = None
    seconds: float | None = None
    name: str = ""
    value: int | float | None = None
    state: str = ""
    id: str = ""
    names: list[str] = []
    ok: bool | None = None
    result: Any = None
    error: str = ""

    def is_complete(self) -> bool:
        """Whether it has the fields that its type needs, with values that mean something."""
        match self.type:
            case "extend":
                return self.seconds is not None and 0 <= self.seconds <= MAX_SECONDS
            case "reset_deadline":
                return self.seconds is None or 0 <= self.seconds <= MAX_SECONDS
            case "heartbeat":
                return self.extend is None or 0 <= self.extend <= MAX_SECONDS
            case "progress":
                return self.iteration is None or abs(self.iteration) <= MAX_ITERATION
            case "metric":
                return bool(self.name) and self.value is not None
            case "task":
                return bool(self.name) and self.state in TASK_STATES
            case "actions":
                return all(0 < len(name) <= NAME_LENGTH for name in self.names)
            case "action_result":
                return bool(self.id) and self.ok is not None
        return True


class AgentChannel:
    """Receives frames and turns them into events of the runs whose tokens they carry."""

    def __init__(
        self,
        listener: socket.socket,
        loop: asyncio.AbstractEventLoop,
        runs_by_token: Mapping[str, tuple[int, str]],
        handle: Callable[[int, Event], None],
        telemetry: Telemetry,
        actions: Actions,
    ) -> None:
        self.dropped = {"malformed": 0, "token": 0, "unknown type": 0, "too many names": 0}
        """Frames that were not taken, by cause."""
        self._listener = listener
        self._loop = loop
        self._runs = runs_by_token
        self._handle = handle
        self._telemetry = telemetry
        self._actions = actions
        actions.send = self._send
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
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # who is gone is told, and not taken for silent
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
        if message is None or message.v != 1 or not message.is_complete():
            self._drop("malformed")
            return
        run = self._runs.get(message.token)
        if run is None:
            self._drop("token")
            return
        if message.type in ("actions", "action_result"):
            self._act(message, *run, parts[0])
            return
        for event in self._events(message, run[1]):
            self._handle(run[0], event)

    def _act(self, message: AgentMessage, instance_id: int, run_id: str, connection: bytes) -> None:
        if message.type == "action_result":
            error = message.error[:MAX_ERROR]
            self._actions.answered(run_id, message.id, bool(message.ok), message.result, error)
            return
        said = self._telemetry.of(run_id)
        before = frozenset(said.actions)
        if not said.offer(message.pid, connection, message.names):
            self._drop("too many names")
        self._actions.offered(instance_id, run_id, before)

    def _send(self, connection: bytes, frame: bytes) -> bool:
        """Send a frame to an agent; False where its connection is gone."""
        import zmq

        if self._router is None:
            return False
        try:
            self._router.send_multipart([connection, frame], zmq.NOBLOCK)
        except zmq.Again:
            return True  # it does not read: it will not answer either
        except zmq.ZMQError:
            return False
        finally:
            # Sending takes away what the descriptor had to tell of frames that have come.
            self._loop.call_soon(self._again)
        return True

    def _events(self, message: AgentMessage, run_id: str) -> list[Event]:
        match message.type:
            case "ready":
                return [Ready(run_id)]
            case "heartbeat":
                return self._heartbeat(message, run_id)
            case "status":
                return [StatusReported(run_id, message.text[:MAX_STATUS])]
            case "progress":
                return [Progressed(run_id, message.message[:MAX_STATUS], message.iteration)]
            case "stopping":
                return [StoppingReported(run_id)]
            case "extend" | "reset_deadline":
                return self._deadline(message, self._telemetry.of(run_id))
            case "metric" | "task":
                return self._report(message, self._telemetry.of(run_id))
        self._drop("unknown type")
        return []

    def _heartbeat(self, message: AgentMessage, run_id: str) -> list[Event]:
        run = self._telemetry.of(run_id)
        events: list[Event] = []
        if message.proves != "process":
            run.has_proved_more = True
            events.append(Beat(run_id))
        elif not run.has_proved_more:  # else it would hide that the work stands still
            events.append(Beat(run_id))
        # What a heartbeat repeats is news once: to this master, or when it has changed.
        if message.ready and not run.beats_ready:
            run.beats_ready = True
            events.append(Ready(run_id))
        if message.status is not None and message.status != run.beats_status:
            run.beats_status = message.status[:MAX_STATUS]
            events.append(StatusReported(run_id, run.beats_status))
        if message.extend is not None:
            text = message.waiting[:MAX_STATUS]
            events += run.extensions.repeat(message.pid, message.extend, text, self._telemetry.now())
        return events

    def _deadline(self, message: AgentMessage, run: RunTelemetry) -> list[Event]:
        seconds, text, now = message.seconds or 0.0, message.text[:MAX_STATUS], self._telemetry.now()
        if message.type == "extend":
            return run.extensions.extend(message.pid, seconds, text, now)
        return run.extensions.reset(message.pid, seconds, text, now)

    def _report(self, message: AgentMessage, run: RunTelemetry) -> list[Event]:
        name, at = message.name[:NAME_LENGTH], round(time.time(), 3)
        if message.type == "task":
            return run.task(name, message.state, message.id[:NAME_LENGTH], at)
        assert message.value is not None
        if not run.metric(name, message.value, at):
            self._drop("too many names")
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
