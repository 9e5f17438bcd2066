"""``pypm start --foreground``: the agents' output in this terminal, and their end with this command."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType
from typing import Any

from pypm.cli.failures import failed_rows
from pypm.cli.kill import end_master
from pypm.cli.orders import show_warnings
from pypm.cli.output import note, plain
from pypm.cli.start_plan import Plan, order
from pypm.client.connection import Connection
from pypm.client.launch import connect
from pypm.config.units import format_duration
from pypm.core.errors import NoMasterError
from pypm.core.spec import instance_name
from pypm.logs.follow import Follower
from pypm.logs.paths import log_files
from pypm.logs.reader import read_tail

__all__ = ["Echo", "exit_code", "run_foreground"]

_LOOK = 0.05
"""Seconds between two looks at logs that say nothing."""

_ASK = 0.25
"""Seconds between two questions to the master."""

_OVER = ("stopped", "exited", "errored")

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


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


class Echo:
    """Prints what comes to the logs of ``plan``'s instances from now on, each line with its instance.

    Made before anything is started, so that the first line is not lost and no old one is shown.
    """

    def __init__(self, plan: Plan, rows: list[dict[str, Any]], home: str) -> None:
        self._names = _log_names(plan, rows, os.path.join(home, "logs"))
        self._width = max(map(len, self._names.values()), default=0)
        self._coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._colours: dict[str, int] = {}
        self._follower: Follower[str] = Follower()
        for path in self._names:
            self._follower.add(path, path, read_tail(path, 0).position)

    def poll(self) -> bool:
        """Print what has come; tell whether anything has."""
        return self._print(self._follower.poll())

    def finish(self) -> None:
        """Print all that is left, also a last line without an end."""
        while self.poll():
            pass
        self._print(self._follower.flush())
        self._follower.close()

    def _print(self, chunks: list[tuple[str, list[bytes]]]) -> bool:
        for path, lines in chunks:
            prefix = self._prefix(self._names[path])
            sys.stdout.buffer.write(b"".join(prefix + line.rstrip(b"\r\n") + b"\n" for line in lines))
        sys.stdout.buffer.flush()
        return bool(chunks)

    def _prefix(self, name: str) -> bytes:
        text = f"{name:<{self._width}} | "
        if self._coloured:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            text = f"\033[{colour}m{text}\033[0m"
        return text.encode()


def run_foreground(connection: Connection, home: str, plan: Plan, *, launched: bool) -> int:
    """Start what ``plan`` says, print its output until it has ended or a signal comes, end what was started.

    ``launched`` says that the master was started for this, and so ends with it. Gives the exit status: an
    agent's own when it has failed for good (128 + the number when a signal ended it), 128 + the number of
    the signal that ended this command, else 0.
    """
    before = connection.call("list")
    echo = Echo(plan, before, home)
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
            if interruption.signal or all(row["status"] in _OVER for row in rows):
                return next((code for row in failed_rows(connection, rows) if (code := exit_code(row))), 0)
            next_question = time.monotonic() + _ASK
        if not something:
            time.sleep(_LOOK)


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
    ids = [str(entry["id"]) for entry in ours]
    try:
        _end_instances(connection, ours, before)
    except KeyboardInterrupt:
        note("pypm: killing what still runs")
        connection.close()
        with connect(home) as other:
            other.call("signal", targets=ids, signal="SIGKILL", group=True)
            _end_instances(other, ours, before)
    if launched:
        try:
            with connect(home) as last:
                end_master(last)
        except NoMasterError:
            pass


def _end_instances(connection: Connection, ours: list[dict[str, Any]], before: set[str]) -> None:
    present = {row["id"]: row["app"] for row in connection.call("list")}
    added = [str(entry["id"]) for entry in ours if present.get(entry["id"], "") not in {*before, ""}]
    others = [str(entry["id"]) for entry in ours if present.get(entry["id"], "") in before]
    if others:
        connection.call_patiently("stop", targets=others)
        connection.call_patiently("wait", ids=[int(one) for one in others], **{"for": "stopped"})
    if added:
        connection.call_patiently("delete", targets=added)


def _log_names(plan: Plan, rows: list[dict[str, Any]], logs_folder: str) -> dict[str, str]:
    """Give the log files of what will be started, each with the name that its lines are shown under."""
    names: dict[str, str] = {}
    for spec in plan.specs:
        for index in range(spec.instances):
            files = log_files(logs_folder, spec, index)
            name = spec.name if spec.logs.merge else instance_name(spec.name, index, spec.instances)
            names.update({path: name for path in (files.out, files.error) if path})
    for row in plan.rows(rows):
        names.update({row[file]: row["name"] for file in ("out_file", "error_file") if row[file]})
    return names
