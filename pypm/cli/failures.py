"""Which instances have failed after a start, and what a person needs to know about each at once."""

from __future__ import annotations

import re
from typing import Any

from pypm.cli.output import note, plain
from pypm.client.connection import Connection
from pypm.config.units import format_duration

__all__ = ["failed_rows", "report_failures", "run_failed", "without_escapes"]

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""Colours and other orders to a terminal."""

_LINES = 10
"""Lines of stderr, else of stdout, shown for a failed instance."""

_SHOWN = 5
"""Failed instances of which the last lines are shown; of the others there is the reason."""


def report_failures(connection: Connection, rows: list[dict[str, Any]], timeout: float | None = None) -> int:
    """Tell on stderr which of ``rows`` have failed, why, and their last lines.

    ``timeout`` is the time in seconds that is over, if it is. Gives the exit status: 1 when something has
    failed or was not up in time, else 0.
    """
    failed = failed_rows(connection, rows)
    if timeout is None:  # all is decided: who is not begun yet waits for what has failed
        failed += [row for row in rows if row["status"] == "starting" and row not in failed]
    for index, row in enumerate(failed):
        note(f"pypm: {row['name']} is {_state(row)}")
        if index < _SHOWN and row["status"] != "starting":
            _show_last_words(row)
    for row in rows:
        if row["status"] == "backoff" and row not in failed:
            again = format_duration(row["retry_in_seconds"] or 0.0)
            note(f"pypm: {row['name']} has ended with exit code 0, and is started again in {again}")
    if failed:
        name = failed[0]["name"]
        note(f"hint: `pypm why {name}` and `pypm logs {name}` tell more")
    if timeout is None:
        return 1 if failed else 0
    late = [row for row in rows if row["status"] in ("starting", "stopping", "online") and row not in failed]
    for row in late:
        note(f"pypm: {row['name']} is still {row['status']} after {format_duration(timeout)}")
    return 1


def failed_rows(connection: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give those of ``rows`` that are down for a failure, or were not ready in time.

    Not those that ended as their policy has it.
    """
    down = ("backoff", "errored", "held")
    failed = (row for row in rows if row["status"] in down or _is_late(row) or _ended_badly(connection, row))
    return [row for row in failed if not _is_due_again(row)]


def _is_late(row: dict[str, Any]) -> bool:
    """Whether it was not ready in time, and has not been restarted for that."""
    return row["status"] == "starting" and bool(row.get("trouble"))


def _is_due_again(row: dict[str, Any]) -> bool:
    """Whether it ended by itself with exit code 0, and is about to be started again as its policy has it."""
    last = row.get("last_exit") or {}
    return row["status"] == "backoff" and last.get("cause") == "exit" and last.get("code") == 0


def run_failed(last_exit: dict[str, Any] | None, stop_exit_codes: list[int]) -> bool:
    """Tell whether a run ended by a signal or with an exit code that its app has not declared as fine."""
    if last_exit is None:
        return False
    if last_exit.get("signal"):
        return True
    return bool(last_exit.get("code")) and last_exit["code"] not in stop_exit_codes


def _ended_badly(connection: Connection, row: dict[str, Any]) -> bool:
    if row.get("next_run") is not None:  # a job that waits for its next run, whatever became of the last one
        return False
    if row["status"] != "exited" or not run_failed(row.get("last_exit"), []):
        return False
    spec = connection.call("describe", targets=[str(row["id"])])[0]["spec"]
    return run_failed(row["last_exit"], spec.get("restart", {}).get("stop_exit_codes", []))


def _state(row: dict[str, Any]) -> str:
    text = str(row["status"])
    if row.get("reason"):
        text += f": {plain(row['reason'])}"
    elif row.get("awaited"):
        text += f": {plain(row['awaited'])}"
    elif row.get("last_exit"):
        text += f": {plain(row['last_exit']['reason'])}"
    if row.get("retry_in_seconds"):  # 0: it is on its way again
        text += f" (again in {format_duration(row['retry_in_seconds'])})"
    return text


def without_escapes(text: str) -> str:
    """Give ``text`` without colours and other orders to a terminal."""
    return _ESCAPES.sub("", text)


def _show_last_words(row: dict[str, Any]) -> None:
    """Its last lines: of stderr, or where there are none, of stdout."""
    if not row["error_file"]:
        return
    file, lines = row["error_file"], _last_lines(row["error_file"])
    if not lines:
        note("  it wrote nothing to stderr")
        file, lines = row["out_file"], _last_lines(row["out_file"])
    if lines:
        note(f"  the last lines of {file}:")
    for line in lines:
        text = without_escapes(line.decode("utf-8", "replace")).rstrip("\r\n")
        note("  | " + plain(text.expandtabs()))


def _last_lines(file: str | None) -> list[bytes]:
    from pypm.logs.reader import tail

    try:
        return tail(file, _LINES) if file else []
    except OSError:
        return []
