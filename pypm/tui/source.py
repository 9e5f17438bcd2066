"""Where the screen gets what it shows and gives its orders: the master of a home, its logs and events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pypm.client.connection import Connection
from pypm.client.launch import connect
from pypm.core.errors import PypmError
from pypm.tui.event_reader import EventReader
from pypm.tui.log_buffer import LogLine
from pypm.tui.log_reader import LogReader

__all__ = ["Log", "MasterSource", "Source", "Words"]

PATIENCE = 5.0
"""Seconds after which a master that is asked what there is, and does not answer, is told of."""


@dataclass(frozen=True)
class Words:
    """How the command line says things, so that the screen says them alike; ``width`` is in signs."""

    why: Callable[[dict[str, Any], int], str]
    describe: Callable[[dict[str, Any], int], str]
    event: Callable[[dict[str, Any]], str]


class Log(Protocol):
    """The log of one instance."""

    def begin(self) -> list[LogLine]:
        """The last lines."""

    def poll(self) -> list[LogLine]:
        """What has come since."""

    def close(self) -> None:
        """Close it."""


class Source(Protocol):
    """What the screen needs; each method may take its time, and raises ``PypmError`` or ``OSError``."""

    home: str

    def rows(self) -> list[dict[str, Any]]:
        """All instances."""

    def detail(self, number: int) -> dict[str, Any] | None:
        """All about one of them; None: it is gone."""

    def log(self, number: int) -> Log:
        """Its log."""

    def events(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Its events, newest first."""

    def order(self, method: str, params: dict[str, Any]) -> Any:
        """Have the master do something."""


class MasterSource:
    """The master of ``home``. ``rows`` is for one thread, all that is about one instance for another one."""

    def __init__(self, home: str) -> None:
        self.home = home
        self._rows: Connection | None = None
        self._details: Connection | None = None
        self._events = EventReader(home)

    def rows(self) -> list[dict[str, Any]]:
        """All instances. Raises ``NoMasterError`` where no master runs, ``PypmError`` where none answers."""
        try:
            self._rows = self._rows or connect(self.home, PATIENCE)
            rows: list[dict[str, Any]] = self._rows.call("list")
        except (PypmError, OSError):
            # What came too late must not be taken for the answer to the next question.
            _close(self._rows)
            self._rows = None
            raise
        return rows

    def detail(self, number: int) -> dict[str, Any] | None:
        """All about one instance; None: there is none of this id any more."""
        try:
            self._details = self._details or connect(self.home, PATIENCE)
            details = self._details.call("describe", targets=[f":{number}"])
        except (PypmError, OSError) as error:
            _close(self._details)
            self._details = None
            if getattr(error, "code", "") == "not_found":
                return None
            raise
        return details[0] if details else None

    def log(self, number: int) -> LogReader:
        """The log of an instance, which needs no master."""
        return LogReader(self.home, number)

    def events(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The events of an instance, which need no master either."""
        return self._events.about(row)

    def order(self, method: str, params: dict[str, Any]) -> Any:
        """Have the master do something, and wait for its answer as long as it lives; any thread may."""
        with connect(self.home) as connection:
            return connection.call_patiently(method, **params)


def _close(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
