"""``pypm start --foreground``: the agents' output in this terminal, and their end with this command."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from pypm.cli.echo import Echo
from pypm.cli.failures import failed_rows
from pypm.cli.kill import end_master
from pypm.cli.orders import show_warnings
from pypm.cli.output import note, plain
from pypm.cli.start_plan import Plan, order
from pypm.client.connection import Connection
from pypm.client.launch import connect
from pypm.config.units import format_duration
from pypm.core.errors import NoMasterError, NotFoundError

__all__ = ["exit_code", "run_foreground"]

_LOOK = 0.05
"""Seconds between two looks at logs that say nothing."""

_ASK = 0.25
"""Seconds between two questions to the master."""

_OVER = ("stopped", "exited", "errored")


class Interruption:
    """Notes the first signal that asks this command to end; the second one means "at once"."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


def run_foreground(
    connection: Connection, home: str, plan: Plan, *, launched: bool, as_json: bool = False
) -> int:
    """Start what ``plan`` says, print its output until it has ended or a signal comes, end what was started.

    With ``as_json`` the output is one JSON object a line.
    ``launched`` says that the master was started for this, and so ends with it. Gives the exit status: an
    agent's own when it has failed for good (128 + the number when a signal ended it), 128 + the number of
    the signal that ended this command, else 0.
    """
    before = connection.call("list")
    echo = Echo(plan, before, home, as_json=as_json)
    if os.getpid() == 1:
        _reap_orphans()
    change: dict[str, Any] = {"instances": []}
    status = 0
    with Interruption() as interruption:
        try:
            change = order(connection, plan)
            show_warnings(change)
            status = _watch(connection, change, echo, interruption)
        finally:
            if interruption.signal:
                note("pypm: ending what was started here; Ctrl-C again kills it")
            _end(home, connection, change, {row["app"] for row in before}, launched=launched)
            echo.finish()
    return status or (128 + interruption.signal if interruption.signal else 0)


def _reap_orphans() -> None:
    """As the first process of a container we inherit what nobody waits for: the kernel is to reap it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def exit_code(row: dict[str, Any]) -> int:
    """Give the exit status that a failed instance makes for this command; 0 while it may yet come back."""
    if row["status"] not in ("errored", "exited"):
        return 0
    last = row.get("last_exit") or {}
    if last.get("signal") in signal.Signals.__members__:
        return 128 + signal.Signals[last["signal"]].value
    return last.get("code") or 1


def _watch(connection: Connection, change: dict[str, Any], echo: Echo, interruption: Interruption) -> int:
    """Print output and changes of state until all is over or a signal has come; give the agents' failure."""
    ids = {entry["id"] for entry in change["instances"]}
    told: dict[int, tuple[str, int]] = {}
    next_question = 0.0
    while True:
        something = echo.poll()
        if time.monotonic() >= next_question:
            rows = [row for row in connection.call("list") if row["id"] in ids]
            _tell(rows, told)
            if interruption.signal or all(_is_over(row) for row in rows):
                return next((code for row in failed_rows(connection, rows) if (code := exit_code(row))), 0)
            next_question = time.monotonic() + _ASK
        if not something:
            time.sleep(_LOOK)


def _is_over(row: dict[str, Any]) -> bool:
    """Whether nothing more comes of an instance by itself, also no next run of a job."""
    last = row.get("last_exit") or {}
    waits_in_vain = row["status"] == "held" and last.get("cause") == "dependency"
    return (waits_in_vain or row["status"] in _OVER) and row.get("next_run") is None


def _tell(rows: list[dict[str, Any]], told: dict[int, tuple[str, int]]) -> None:
    for row in rows:
        state = (row["status"], row["restarts"])
        if told.get(row["id"]) == state:
            continue
        told[row["id"]] = state
        reason = f": {plain(row['reason'])}" if row["reason"] else ""
        retry = row["retry_in_seconds"]
        again = "" if retry is None else f", again in {format_duration(retry)}"
        note(f"pypm: {row['name']} is {row['status']}{reason}{again}")


def _end(
    home: str, connection: Connection, change: dict[str, Any], before: set[str], *, launched: bool
) -> None:
    """Delete the apps that this command added, stop what it started of the others, end its own master."""
    ours = [entry for entry in change["instances"] if entry["action"] in ("added", "started", "restarted")]
    try:
        _end_instances(connection, ours, before)
    except KeyboardInterrupt:
        note("pypm: killing what still runs")
        connection.close()
        with connect(home) as other:
            _kill_instances(other, ours)
            with suppress(NotFoundError):  # gone in this moment, as has been ordered before
                _end_instances(other, ours, before)
            other.call_patiently("wait", ids=[entry["id"] for entry in ours], **{"for": "stopped"})
    if launched:
        try:
            with connect(home) as last:
                end_master(last)
        except NoMasterError:
            pass


def _kill_instances(connection: Connection, ours: list[dict[str, Any]]) -> None:
    for entry in ours:
        with suppress(NotFoundError):  # some have ended and are deleted already
            connection.call("signal", targets=[str(entry["id"])], signal="SIGKILL", group=True)


def _end_instances(connection: Connection, ours: list[dict[str, Any]], before: set[str]) -> None:
    present = {row["id"]: row["app"] for row in connection.call("list")}
    added = [str(entry["id"]) for entry in ours if present.get(entry["id"], "") not in {*before, ""}]
    others = [str(entry["id"]) for entry in ours if present.get(entry["id"], "") in before]
    if others:  # with those that are deleted: some of these may depend on them, and go first
        connection.call_patiently("stop", targets=[*others, *added])
        connection.call_patiently("wait", ids=[int(one) for one in (*others, *added)], **{"for": "stopped"})
    if added:
        connection.call_patiently("delete", targets=added)
