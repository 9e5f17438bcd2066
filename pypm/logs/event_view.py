"""What ``pypm events`` looks at: ``events.jsonl`` and its older files, and what of them is asked for."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pypm.core.errors import NotFoundError
from pypm.core.targets import match
from pypm.logs.catalog import read_catalog
from pypm.logs.follow import Follower
from pypm.logs.trouble import stamp
from pypm.logs.watch import LogWatch

__all__ = ["EventView", "Told"]

Event = dict[str, Any]


class Told(NamedTuple):
    """An event, and the line that it is in the file, without its newline."""

    event: Event
    line: str


class Subject(NamedTuple):
    """An instance of which events tell, whether or not it still is there."""

    id: int
    name: str
    app: str
    namespace: str


class EventView:
    """The events of a home, of some targets (of all, if there are none) and some time (Unix milliseconds)."""

    def __init__(
        self, home: str, targets: Sequence[str], *, since: int | None = None, until: int | None = None
    ) -> None:
        self.broken = 0
        """Lines that were no events."""
        self._path = os.path.join(home, "events.jsonl")
        self._wanted = Wanted(home, targets)
        self._since = None if since is None else stamp(since / 1000)
        self._until = None if until is None else stamp(until / 1000)
        self._follower: Follower[str] = Follower()
        self._watch: LogWatch | None = None

    def history(self, most: int | None) -> list[Told]:
        """The last ``most`` events that there are; None: all.

        Raises NotFoundError for a target of which nobody knows, OSError for what cannot be read.
        """
        self._follower.add("events", self._path)
        kept: deque[Told] = deque(maxlen=most)
        while came := self._read():
            kept.extend(told for told in came if self._is_asked_for(told.event))
        self._wanted.check()
        return list(kept)

    def wait(self, ending: int, seconds: float | None = None) -> list[Told]:
        """What has come; waits for it for a while, until the reader of the descriptor ``ending`` has gone."""
        if self._watch is None:
            self._watch = LogWatch()
            self._watch.add(self._path)
        else:
            self._watch.wait(seconds, ending)
        return [told for told in self._read() or () if self._is_asked_for(told.event)]

    def close(self) -> None:
        """Close the files."""
        self._follower.close()
        if self._watch is not None:
            self._watch.close()

    def _read(self) -> list[Told] | None:
        """The events of what comes next in the files; None: nothing does."""
        chunks = self._follower.poll()
        if not chunks:
            return None
        return [told for _, chunk in chunks for line in chunk.lines for told in self._parsed(line)]

    def _parsed(self, line: bytes) -> Iterator[Told]:
        text = line.decode("utf-8", "replace").strip()
        try:
            event = json.loads(text)
            if isinstance(event["event"], str) and isinstance(event["time"], str):
                yield Told(event, text)
                return
        except (ValueError, KeyError, TypeError):
            pass
        self.broken += 1

    def _is_asked_for(self, event: Event) -> bool:
        # Times of one form and one zone: their texts have their order.
        wanted = self._wanted.is_about(event)
        if self._since is not None and event["time"] < self._since:
            return False
        return wanted and (self._until is None or event["time"] <= self._until)


class Wanted:
    """Which events are about the targets: also those of instances that are gone, and of orders to them."""

    def __init__(self, home: str, targets: Sequence[str]) -> None:
        self._targets = list(targets)
        self._entries = read_catalog(home) if targets else []
        self._namespaces = {entry.name: entry.namespace for entry in self._entries}
        self._known = {target for target in targets if target == "all" or _matches(target, self._entries)}
        self._answers: dict[tuple[str, int], bool] = {}
        self._files = {
            path
            for entry in self._entries
            if self._is_wanted(entry.name, entry.id)
            for path in (entry.files.out, entry.files.error, entry.files.combined)
            if path is not None
        }

    def check(self) -> None:
        """Raise NotFoundError for a target that names nothing that is there or was in a story."""
        for target in self._targets:
            if target not in self._known:
                match([target], self._entries)

    def is_about(self, event: Event) -> bool:
        """Whether an event is about one of the targets."""
        if not self._targets:
            return True
        name = event.get("name")
        if event["event"].startswith("operator."):
            return self._is_order(event)
        if isinstance(name, str):
            number = event.get("id")
            return self._is_wanted(name, number if isinstance(number, int) else -1)
        return event.get("path") in self._files or "all" in self._targets

    def _is_order(self, event: Event) -> bool:
        named = [*(event.get("targets") or ()), *(event.get("apps") or ()), event.get("app")]
        return any(word == "all" or (isinstance(word, str) and self._is_wanted(word, -1)) for word in named)

    def _is_wanted(self, name: str, number: int) -> bool:
        key = (name, number)
        if key not in self._answers:
            subject = Subject(number, name, name.partition(":")[0], self._namespaces.get(name, ""))
            fitting = {target for target in self._targets if _matches(target, [subject])}
            self._known |= fitting
            self._answers[key] = bool(fitting) or "all" in self._targets
        return self._answers[key]


def _matches(target: str, subjects: Sequence[Any]) -> bool:
    try:
        return bool(match([target], subjects))
    except NotFoundError:
        return False
