"""``pypm ping``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.reads import show_ping
from pypm.cli.session import existing_master

__all__ = ["command"]


@click.command("ping")
@json_option
def command(as_json: bool) -> int:
    """Ask whether a master runs; exit 4 where none does. Never starts one.

    \b
    Examples:
      pypm ping
      pypm ping --json
    """
    with existing_master() as connection:
        return show_ping(connection, as_json=as_json)
