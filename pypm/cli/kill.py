"""``pypm kill``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.output import print_json, say
from pypm.cli.session import existing_master

__all__ = ["command"]


@click.command("kill", short_help="Stop every agent, then the master.")
@json_option
def command(as_json: bool) -> int:
    """Stop every agent, then the master. What was declared is kept for the next master.

    Exits 4 where no master runs.

    \b
    Examples:
      pypm kill
    """
    with existing_master() as connection:
        answer = connection.call_patiently("kill")
    if as_json:
        print_json(answer)
    else:
        say("every agent is stopped and the master has ended")
    return 0
