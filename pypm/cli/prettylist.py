"""``pypm prettylist``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.reads import show_jlist
from pypm.cli.session import master

__all__ = ["command"]


@click.command("prettylist")
@json_option
def command(as_json: bool) -> int:
    """Print what `jlist` prints, laid out as `pm2 prettylist` does; with --json the same as `jlist`.

    \b
    Examples:
      pypm prettylist
    """
    with master() as connection:
        return show_jlist(connection, pretty=not as_json)
