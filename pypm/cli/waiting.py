"""Wait for instances, showing on a terminal how far they are. Quick to import."""

from __future__ import annotations

import os
import sys
import time

from pypm.cli.output import names_in_words, note
from pypm.client.connection import GOES_ON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypm.client.connection import Connection

__all__ = ["Progress", "await_instances"]


class Progress:
    """One line on stderr that says what is being waited for; nothing where stderr is no terminal."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.shown = sys.stderr.isatty()

    def update(self, done: int, total: int, waiting: list[str]) -> None:
        """Show that ``done`` of ``total`` are there and which are not."""
        if self.shown:
            text = f"{self.word}: {done} of {total}"
            if waiting:
                text += f", waiting for {names_in_words(waiting, 3)}"
            self._write("\r\033[K" + text[: self._width()])

    def clear(self) -> None:
        """Take the line away."""
        if self.shown:
            self._write("\r\033[K")

    def _width(self) -> int:
        try:
            return max(20, os.get_terminal_size(sys.stderr.fileno()).columns - 1)
        except OSError:
            return 79

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def await_instances(
    connection: Connection, ids: list[int], goal: str, *, timeout: float | None = None
) -> tuple[list[dict[str, Any]], bool]:
    """Wait until every instance of ``ids`` is ``settled`` or ``stopped`` (``goal``).

    ``timeout`` is in seconds, ``None`` waits as long as the master does. Gives the rows of those that still
    exist, and whether the time was over before.
    """
    if not ids:
        return [], False
    progress = Progress("stopped" if goal == "stopped" else "ready")
    deadline = None if timeout is None else time.monotonic() + timeout
    revision = 0
    begun_again: list[dict[str, Any]] = []
    try:
        while True:
            answer = connection.call_patiently(
                "wait",
                ids=ids,
                timeout=None if deadline is None else max(0.0, deadline - time.monotonic()),
                revision=revision if progress.shown or goal == "stopped" else None,
                **{"for": goal},
            )
            rows: list[dict[str, Any]] = answer["rows"]
            if goal == "stopped" and not answer["done"]:
                # Who waits for these would wait for as long as they run.
                begun_again += [row for row in rows if row["desired"] == "up"]
                ids = [row["id"] for row in rows if row["desired"] != "up"]
                rows = [row for row in rows if row["desired"] != "up"]
            if answer["done"] or answer["timed_out"] or not ids:
                break
            revision = answer["revision"]
            open_names = [row["name"] for row in rows if not _looks_done(row, goal)]
            progress.update(len(ids) - len(open_names), len(ids), open_names)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(GOES_ON)
        raise
    finally:
        progress.clear()
    if begun_again:
        names = names_in_words([row["name"] for row in begun_again])
        note(f"pypm: warning: {names} was started again meanwhile")
    return sorted([*rows, *begun_again], key=lambda row: int(row["id"])), bool(answer["timed_out"])


def _looks_done(row: dict[str, Any], goal: str) -> bool:
    """For the eye only: the master alone knows when an instance has been online for long enough."""
    if goal == "stopped":
        return row["status"] not in ("starting", "online", "stopping")
    return row["status"] not in ("starting", "stopping") and (row["status"] != "online" or bool(row["ready"]))
