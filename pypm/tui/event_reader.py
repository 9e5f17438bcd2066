"""The last events of a home, kept as they come, and those about one instance."""

from __future__ import annotations

import json
import os
from collections import deque
from typing import Any

from pypm.logs.follow import Follower
from pypm.logs.reader import read_tail

__all__ = ["EventReader"]

KEPT = 5000
"""Events of all instances together that are looked through; ``pypm events`` knows the others."""


class EventReader:
    """Reads ``events.jsonl`` of ``home``. Not for use by several threads at once."""

    def __init__(self, home: str) -> None:
        self._path = os.path.join(home, "events.jsonl")
        self._follower: Follower[str] = Follower()
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._begun = False

    def about(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The events of an instance, and orders that name it or its app, newest first.

        Raises ``OSError`` when the file may not be read.
        """
        self._read()
        return [event for event in reversed(self._events) if _is_about(event, row)]

    def close(self) -> None:
        """Close the file."""
        self._follower.close()

    def _read(self) -> None:
        if not self._begun:
            tail = read_tail(self._path, KEPT)
            self._follower.add("events", self._path, tail.position)
            self._take(tail.lines)
            self._begun = True
        while came := self._follower.poll():
            for _, chunk in came:
                self._take(chunk.lines)

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            try:
                event = json.loads(line)
                if isinstance(event["event"], str) and isinstance(event["time"], str):
                    self._events.append(event)
            except (ValueError, KeyError, TypeError):
                continue  # what is no event tells nothing


def _is_about(event: dict[str, Any], row: dict[str, Any]) -> bool:
    if event.get("id") is not None and event.get("name") is not None:
        return bool(event["id"] == row["id"])
    named = [event.get("name"), event.get("app"), *_words(event, "targets"), *_words(event, "apps")]
    return any(word in (row["name"], row["app"], str(row["id"]), "all") for word in named if word is not None)


def _words(event: dict[str, Any], key: str) -> list[Any]:
    value = event.get(key)
    return value if isinstance(value, list) else []
