"""What one process says to whoever supervises it: the facts, and one of the roads on which they go.

A lock makes it safe among threads; it is re-entrant because a signal handler may speak while the main thread
does. pyzmq is imported outside of it: who speaks meanwhile, a signal handler or another thread, does not
wait for that, and is heard afterwards.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, Literal, Protocol

from pypm.agent.facts import Facts, short_text
from pypm.agent.waits import BY_HAND, Announcement, Waits

__all__ = ["Channel", "Proof"]

Proof = Literal["", "loop", "process"]
"""What a heartbeat proves: that the loop turns, only that the process lives, or what is up to its caller."""

MOST_EARLY = 1000
"""Messages that wait for the road to be open."""
DEADLINES = ("extend", "reset_deadline")
FIRST_INTERVAL = 0.1
"""Seconds between two messages of a kind, before the road says what it can take."""
MOST_KINDS = 102
"""Heartbeats, progress, and 100 names of metrics; what comes under further names is dropped."""
LONGEST_OPENING = 1.0
"""Seconds that a thread waits for another one that imports pyzmq, to know whether it can."""


class Road(Protocol):
    """How messages get to whoever listens. May raise anything where it cannot take one at once."""

    interval: float
    """Seconds within which a second message of the same kind is not sent."""

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""

    def close(self) -> None:
        """Send what waits, as far as that takes no time, and close."""


class Channel:
    """The channel of the process that makes it, to what is named in that process's environment.

    What is said before ``open`` waits for it. ``pid`` is the process it belongs to; in any other it must not
    be used.
    The methods that speak raise what the road raises (a full queue); the callers in this package swallow it.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.opening = threading.RLock()
        """Held while pyzmq is imported and the road opened: nobody forks then."""
        self.facts = Facts()
        self.waits = Waits()
        self._state = "new"
        """``new``, ``opening``, ``open`` or ``closed``."""
        self._road: Road | None = None
        self._early: deque[dict[str, Any]] = deque()
        """What is said while the road is being opened."""
        self._not_before: dict[str, float] = {"heartbeat": 0.0, "progress": 0.0}
        """When the next message may be sent, for each kind that a busy loop would send too often."""
        self._held: dict[str, dict[str, Any]] = {}
        """The last one of each such kind that came too soon: it goes with what is said next."""

    # --- what may be said ---

    def ready(self) -> None:
        with self.lock:
            if self.facts.ready_at is None:
                self.facts.ready_at = time.monotonic()
            self._say({"type": "ready"})

    def stopping(self) -> None:
        with self.lock:
            self.facts.stopping = True
            self._say({"type": "stopping"})

    def status(self, text: object) -> None:
        with self.lock:
            self.facts.status = short = short_text(text)
            self._say({"type": "status", "text": short})

    def heartbeat(self, proves: Proof = "") -> None:
        with self.lock:
            facts = self.facts
            if proves != "process":
                facts.has_proved_more = True
            elif facts.has_proved_more:
                return  # it would hide that the loop no longer turns
            now = facts.last_beat = time.monotonic()
            if self._is_too_soon("heartbeat", now):
                return
            message = {"type": "heartbeat", **facts.repeated()}
            if proves:
                message["proves"] = proves
            if self.waits.ever:
                if self.waits.overdue:
                    self._announce(self.waits.settle(now))
                message["extend"] = round(max(0.0, self.waits.announced - now), 3)
                message["waiting"] = self.waits.longest()[1]
            self._say(message)

    def progress(self, iteration: int | None, text: object) -> None:
        with self.lock:
            now = self.facts.last_progress = time.monotonic()
            message: dict[str, Any] = {"type": "progress"}
            if iteration is not None:
                message["iteration"] = iteration
            if text:
                message["message"] = short_text(text)
            self._say_or_hold("progress", message, now)

    def metric(self, name: str, value: float) -> None:
        with self.lock:
            message = {"type": "metric", "name": name, "value": value}
            self._say_or_hold(f"metric {name}", message, time.monotonic())

    def task(self, name: str, state: str, identity: str) -> None:
        with self.lock:
            if state == "done":
                self.facts.last_progress = time.monotonic()
            self._say({"type": "task", "name": name, "state": state, "id": f"{self.pid}-{identity}"})

    def wait(self, key: int, seconds: float, text: object) -> None:
        """Enter a wait, or extend the one that is entered by hand."""
        with self.lock:
            self._announce(self.waits.enter(key, seconds, short_text(text), time.monotonic()))

    def end_wait(self, key: int = BY_HAND) -> None:
        with self.lock:
            self._announce(self.waits.leave(key, time.monotonic()))

    # --- the road ---

    @property
    def is_new(self) -> bool:
        """Nobody has opened it yet."""
        return self._state == "new"

    def open(self) -> None:
        """Open the road, unless that has been done or is being done."""
        with self.lock:
            if self._state != "new":
                return
            self._state = "opening"
        road = None
        try:
            with self.opening:
                road = find_road()
        finally:  # also where a signal handler raises in the middle of it
            self._opened(road)

    def usable(self) -> bool:
        """Tell whether messages can be sent; waits for a thread that is opening the road to know it."""
        if self._state == "opening" and self.opening.acquire(timeout=LONGEST_OPENING):
            self.opening.release()
        return self._state == "open"

    def close(self) -> None:
        """Send what was held back, then close for good; takes ZeroMQ's linger time at most."""
        with self.lock:
            road = self._road
            if road is not None:
                self._send_held()
            self._state, self._road = "closed", None
            if road is not None:
                road.close()

    def _opened(self, road: Road | None) -> None:
        with self.lock:
            if road is None or self._state == "closed":
                self._state = "closed"
                self._early.clear()
                if road is not None:
                    road.close()
                return
            self._state, self._road = "open", road
            while self._early:
                with suppress(Exception):  # each of them is sent or lost for itself
                    road.send(self._early.popleft())

    def _announce(self, announcement: Announcement | None) -> None:
        if announcement is None:
            return
        message: dict[str, Any] = {"type": "reset_deadline" if announcement.anew else "extend"}
        if announcement.seconds:
            message |= {"seconds": round(announcement.seconds, 3), "text": announcement.text}
        self._say(message)

    def _is_too_soon(self, kind: str, now: float) -> bool:
        if now < self._not_before.get(kind, 0.0):
            return True
        self._not_before[kind] = now + (FIRST_INTERVAL if self._road is None else self._road.interval)
        return False

    def _say_or_hold(self, kind: str, message: dict[str, Any], now: float) -> None:
        if kind not in self._not_before and len(self._not_before) >= MOST_KINDS:
            return
        if self._is_too_soon(kind, now):
            self._held[kind] = message
        else:
            self._held.pop(kind, None)
            self._say(message)

    def _say(self, message: dict[str, Any]) -> None:
        if self._state == "open":
            if self._held:
                self._send_held()
            if self.waits.overdue and message["type"] not in DEADLINES:
                self._announce(self.waits.settle(time.monotonic()))
            assert self._road is not None
            self._road.send(message)
        elif self._state != "closed" and len(self._early) < MOST_EARLY:
            self._early.append(message)

    def _send_held(self) -> None:
        """Send what was held back; a signal handler may do the same meanwhile."""
        while self._held and self._road is not None:
            message = self._held.popitem()[1]
            with suppress(Exception):  # each of them is sent or lost for itself
                self._road.send(message)


def find_road() -> Road | None:
    """Open the road that the environment names: pypm's own, or else systemd's; None where there is none."""
    for find in (_zeromq, _notify):
        with suppress(Exception):  # no pyzmq, a bad address: whatever hinders it, there may be the other
            road = find()
            if road is not None:
                return road
    return None


def _zeromq() -> Road | None:
    from pypm.agent.zeromq import open_zeromq

    return open_zeromq(os.environ)


def _notify() -> Road | None:
    from pypm.agent.notify import open_notify

    return open_notify(os.environ)
