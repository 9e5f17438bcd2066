"""``pypm report``."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import click

from pypm import __version__
from pypm.cli.doctor import gathered, table
from pypm.cli.options import json_option
from pypm.cli.output import plain, print_json, say
from pypm.cli.session import existing_master
from pypm.client.home import home_folder
from pypm.core.errors import PypmError

__all__ = ["command"]

LINES = 20
"""Of the master's log."""


@click.command("report")
@json_option
def command(as_json: bool) -> int:
    """Print versions, what `pypm doctor` finds, the list and the last lines of the master's log.

    It has names of apps and of files, and no environment. Never starts a master.

    \b
    Examples:
      pypm report > report.txt
    """
    home = home_folder()
    python, system = sys.version.split()[0], platform.platform()
    facts = {"pypm": __version__, "python": python, "system": system, "home": home}
    checks, rows, log = gathered(), _rows(), _last_lines(os.path.join(home, "master.log"))
    if as_json:
        print_json({**facts, "checks": [each._asdict() for each in checks], "list": rows, "master_log": log})
        return 0
    from pypm.cli.listing import plain_table

    say("\n".join(f"{name}: {value}" for name, value in facts.items()))
    say(f"\n{table(checks)}\n")
    say(plain_table(rows) if rows else "no instances\n")
    say("\n".join(["the last lines of master.log:", *(f"  {plain(line)}" for line in log)]))
    return 0


def _rows() -> list[dict[str, Any]]:
    try:
        with existing_master() as connection:
            rows: list[dict[str, Any]] = connection.call("list")
            return rows
    except PypmError:  # the checks say so
        return []


def _last_lines(path: str) -> list[str]:
    from pypm.logs.reader import tail

    try:
        return [line.decode("utf-8", "replace").rstrip() for line in tail(path, LINES)]
    except OSError:
        return []
