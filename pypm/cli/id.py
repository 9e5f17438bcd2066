"""``pypm id``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.reads import show_ids
from pypm.cli.session import needed_master
from pypm.cli.targets import expanded

__all__ = ["command"]


@click.command("id")
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@json_option
def command(targets: tuple[str, ...], as_json: bool) -> int:
    """Print the ids of instances, as `pm2 id` does.

    \b
    Examples:
      pypm id worker
    """
    with needed_master() as connection:
        return show_ids(connection, expanded(targets), as_json=as_json)
