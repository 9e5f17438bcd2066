"""``pypm jlist``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.reads import show_jlist
from pypm.cli.session import master

__all__ = ["command"]


@click.command("jlist")
@json_option
def command(as_json: bool) -> int:  # noqa: ARG001 - it is JSON in any case
    """Print all instances as JSON in the shape and with the field names of `pm2 jlist`.

    For scripts and exporters that were written for PM2; `pypm list --json` tells more.

    \b
    Examples:
      pypm jlist | jq '.[] | {name, status: .pm2_env.status}'
    """
    with master() as connection:
        return show_jlist(connection, pretty=False)
