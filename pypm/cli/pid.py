"""``pypm pid``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.reads import show_pids
from pypm.cli.session import needed_master
from pypm.cli.targets import expanded

__all__ = ["command"]


@click.command("pid")
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@json_option
def command(targets: tuple[str, ...], as_json: bool) -> int:
    """Print the process ids of running instances, one a line.

    Exits 1 when targets are named and none of them runs, and 4 where no master runs.

    \b
    Examples:
      pypm pid worker
      py-spy dump --pid "$(pypm pid worker)"
    """
    with needed_master() as connection:
        return show_pids(connection, expanded(targets), as_json=as_json)
