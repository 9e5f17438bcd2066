"""How far an order is that is answered only when all is done: a line on a terminal, while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pypm.cli.waiting import Progress
from pypm.client.connection import Connection
from pypm.client.home import home_folder
from pypm.client.launch import connect
from pypm.core.errors import PypmError

__all__ = ["going", "has_ended", "is_renewed"]

EVERY = 0.3
"""Seconds between two looks."""

PATIENCE = 1.0
"""Seconds for the last look to end."""

Row = dict[str, Any]


@contextmanager
def going(
    connection: Connection, word: str, targets: list[str] | None, is_done: Callable[[Row, Row | None], bool]
) -> Iterator[None]:
    """Tell how many of ``targets`` are done (``word``) while the block runs, where stderr is a terminal.

    ``is_done`` judges an instance by its row of before and of now (``None``: it is gone).
    """
    progress = Progress(word)
    before = _rows(connection, targets) if progress.shown else None
    if before is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_tell, args=(progress, before, is_done, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)
        progress.clear()


def has_ended(_: Row, now: Row | None) -> bool:
    """Whether no run of an instance is left."""
    return now is None or now["pid"] is None


def is_renewed(before: Row, now: Row | None) -> bool:
    """Whether an instance has another run than before, and that is up; a job is left alone."""
    is_job = before.get("next_run") is not None
    return now is not None and (is_job or (now["pid"] != before["pid"] and now["status"] == "online"))


def _rows(connection: Connection, targets: list[str] | None) -> list[Row] | None:
    """What the order is about; ``None`` where the master does not tell: the order says what is wrong."""
    try:
        rows: list[Row] = connection.call("list", targets=targets)
    except PypmError:
        return None
    return rows


def _tell(
    progress: Progress, before: list[Row], is_done: Callable[[Row, Row | None], bool], over: threading.Event
) -> None:
    try:
        with connect(home_folder()) as connection:
            while not over.wait(EVERY):
                now = {row["id"]: row for row in connection.call("list")}
                late = [row["name"] for row in before if not is_done(row, now.get(row["id"]))]
                if not over.is_set():
                    progress.update(len(before) - len(late), len(before), late)
    except (PypmError, OSError):
        return  # the master is gone, as after a kill: the order itself tells what is to be told
