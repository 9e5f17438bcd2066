"""``pypm top``."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from pypm.cli.options import json_option
from pypm.cli.output import print_json
from pypm.cli.session import existing_master
from pypm.cli.targets import expanded

if TYPE_CHECKING:
    from pypm.cli.top_processes import Processes

__all__ = ["by_size", "command", "frame_of", "rows_of"]

WIDTH = 120
"""Signs of a line where neither a terminal nor COLUMNS tells."""

BETWEEN = 0.5
"""Seconds between the two looks of which one frame tells the CPU of processes."""


@click.command("top")
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@click.option(
    "--sort", type=click.Choice(["cpu", "memory"]), default="cpu", help="What is largest comes first."
)
@click.option("--once", is_flag=True, help="Print one frame as plain text, and end.")
@json_option
def command(targets: tuple[str, ...], sort: str, once: bool, as_json: bool) -> int:
    """Show who uses the CPU and the memory: instances, largest first, each with the processes of its tree,
    anew each second. Into a pipe it is one frame.

    Keys: `c` by CPU, `m` by memory, `p` processes or not, `q` to leave it.

    \b
    Examples:
      pypm top
      pypm top --sort memory 'work*'
      pypm top --once --json | jq '.[0].processes'
    """
    from pypm.cli.top_processes import Processes

    processes, wanted = Processes(), expanded(targets)
    if not (once or as_json) and sys.stdin.isatty() and sys.stdout.isatty():
        from pypm.cli.top_screen import watch

        watch(lambda: rows_of(wanted, processes), sort)
        return 0
    rows_of(wanted, processes)
    time.sleep(BETWEEN)
    rows = by_size(rows_of(wanted, processes), sort)
    if as_json:
        print_json(rows)
    else:
        sys.stdout.write(frame_of(rows, sort, shutil.get_terminal_size((WIDTH, 24)).columns))
    return 0


def rows_of(targets: list[str], processes: Processes) -> list[dict[str, Any]]:
    """Give the rows of ``targets`` (of all, when there are none), each with its ``processes``.

    Raises ``PypmError`` where no master runs, or it knows no such target.
    """
    with existing_master() as connection:
        rows: list[dict[str, Any]] = connection.call("list", targets=targets or None)
    trees = processes.look(row["pid"] for row in rows if row["pid"] is not None)
    return [
        {**row, "processes": [process.as_json() for process in trees.get(row["pid"], [])]} for row in rows
    ]


def by_size(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """Give ``rows`` with the largest first; what does not run comes last."""
    field = "cpu_percent" if sort == "cpu" else "memory_bytes"
    return sorted(rows, key=lambda row: -1.0 if row[field] is None else row[field], reverse=True)


def frame_of(rows: list[dict[str, Any]], sort: str, width: int, *, processes: bool = True) -> str:
    """Give one frame in ``width`` columns: the summary, and the instances with their processes."""
    from pypm.cli.top_processes import Process, process_line
    from pypm.tui.frame import frame
    from pypm.tui.rows import View

    under: dict[int, list[str]] = {}
    if processes:
        under = {row["id"]: [process_line(Process(**told)) for told in row["processes"]] for row in rows}
    return frame(rows, width, View(sort=sort), under)
