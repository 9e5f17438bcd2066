"""``pypm run-now``."""

from __future__ import annotations

from typing import Any

import click

from pypm.cli.options import json_option
from pypm.cli.orders import show_change
from pypm.cli.output import note, plain
from pypm.cli.session import master
from pypm.cli.targets import expanded
from pypm.client.connection import Connection

__all__ = ["command"]


@click.command("run-now")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
@click.option("--wait/--no-wait", "wait", default=False, help="Wait for the end of the runs.")
@json_option
def command(targets: tuple[str, ...], wait: bool, as_json: bool) -> int:
    """Run jobs (apps with a schedule) at once, whatever their schedule says.

    A job that is armed stays armed, one that is stopped runs once and stays stopped; one that runs is left
    alone. With --wait, exits 1 when a run has failed.

    \b
    Examples:
      pypm run-now backup
      pypm run-now backup --wait && echo done
    """
    with master() as client:
        change = client.run_now(*expanded(targets))
        if not wait:
            return show_change(change, as_json=as_json)
        rows = _await_ends(client, [entry["id"] for entry in change["instances"]])
        if as_json:
            show_change(change, as_json=True, rows=rows)
        return _tell_ends(rows, quiet=as_json)


def _await_ends(connection: Connection, ids: list[int]) -> list[dict[str, Any]]:
    """Wait until none of the instances runs; give their rows."""
    while True:
        answer = connection.call_patiently("wait", ids=ids, **{"for": "stopped"})
        # Not done: one that was stopped has been armed meanwhile, which ends no run.
        if answer["done"]:
            rows: list[dict[str, Any]] = answer["rows"]
            return rows


def _tell_ends(rows: list[dict[str, Any]], *, quiet: bool) -> int:
    """Tell how the runs have ended; gives the exit status."""
    status = 0
    for row in rows:
        end = row["last_exit"] or {"code": None, "reason": "it has not run"}
        if end["code"] != 0:
            status = 1
            note(f"pypm: {row['name']}: {plain(end['reason'])}")
            note(f"hint: `pypm logs {row['name']}` and `pypm describe {row['name']}` tell more")
        elif not quiet:
            click.echo(f"{row['name']}: {plain(end['reason'])}")
    return status
