"""systemd's road: the same facts as messages to ``NOTIFY_SOCKET``, as sd_notify(3) sends them."""

from __future__ import annotations

import os
import socket
from typing import Any

from pypm.agent.beats import watchdog_seconds

__all__ = ["Notify", "open_notify"]

BEAT_INTERVAL = 1.0


class Notify:
    """A datagram socket to whoever reads ``NOTIFY_SOCKET``: systemd, pypm, podman."""

    def __init__(self, address: str, interval: float, *, to_pypm: bool = False) -> None:
        self.interval = interval
        """Seconds within which a second message of the same kind is not sent."""
        self._assignments = pypm_assignments if to_pypm else assignments
        # One that begins with @ is in the abstract namespace, where the kernel wants a NUL.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._unsent: list[str] = []
        """What nobody repeats by itself, and found the reader's queue full."""

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; raises OSError where it is not taken at once."""
        lines = [*self._unsent, *self._assignments(message)]
        if not lines:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            lasting = [line for line in lines if line in ("READY=1", "STOPPING=1")]
            self._unsent = list(dict.fromkeys(lasting))
            raise
        self._unsent = []

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def assignments(message: dict[str, Any]) -> list[str]:
    """The lines of sd_notify that say what a message says; none for what systemd has no word for.

    There is no word for taking an extension back. Its deadline covers the watchdog, and the next WATCHDOG=1
    ends that.
    """
    match message["type"]:
        case "ready":
            return ["READY=1"]
        case "stopping":
            return ["STOPPING=1"]
        case "status":
            return [f"STATUS={one_line(message['text'])}"]
        case "progress":
            text = message.get("message")
            return ["WATCHDOG=1", *([f"STATUS={one_line(text)}"] if text else [])]
        case "extend" | "reset_deadline" if message.get("seconds"):
            # Without WATCHDOG=1, which systemd reads last, and which would end the extension.
            return [f"EXTEND_TIMEOUT_USEC={microseconds(message['seconds'])}"]
        case "heartbeat" | "reset_deadline":
            return ["WATCHDOG=1"]
        case "task" if message["state"] == "done":
            return ["WATCHDOG=1"]
    return []


def pypm_assignments(message: dict[str, Any]) -> list[str]:
    """The same for pypm, which has words of its own where systemd has none: progress is no heartbeat."""
    match message["type"]:
        case "progress":
            return progress_lines(message.get("iteration"), message.get("message", ""))
        case "task":
            return progress_lines(None, message["name"]) if message["state"] == "done" else []
        case "reset_deadline":
            return ["X_PYPM_RESET_DEADLINE=1", *(assignments(message) if message.get("seconds") else [])]
    return assignments(message)


def progress_lines(iteration: int | None, text: str) -> list[str]:
    """Progress in pypm's words."""
    lines = [f"X_PYPM_PROGRESS={'' if iteration is None else iteration}"]
    return [*lines, f"X_PYPM_MESSAGE={one_line(text)}"] if text else lines


def one_line(text: str) -> str:
    """A text that cannot be taken for further assignments."""
    return " ".join(text.split())


def microseconds(seconds: float) -> int:
    """A time as systemd writes it; 0 would mean none."""
    return max(1, round(seconds * 1e6))


def open_notify(environment: os._Environ[str]) -> Notify | None:
    """Open the road to the socket that the environment names; None where it names none that we can use."""
    address = environment.get("NOTIFY_SOCKET", "")
    if len(address) < 2 or address[0] not in "/@":
        return None
    watchdog = watchdog_seconds(environment)
    interval = min(BEAT_INTERVAL, watchdog / 8) if watchdog else BEAT_INTERVAL
    return Notify(address, interval, to_pypm=bool(environment.get("PYPM_RUN_ID")))
