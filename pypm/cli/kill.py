"""``pypm kill``."""

from __future__ import annotations

import os
import select

import click

from pypm.cli.going import going, has_ended
from pypm.cli.options import json_option
from pypm.cli.output import print_json, say
from pypm.cli.session import needed_master
from pypm.client.connection import Connection
from pypm.core.errors import RequestError

__all__ = ["command", "end_master"]

_END = 10.0
"""Seconds that a master may take to end after its last answer."""


@click.command("kill")
@json_option
def command(as_json: bool) -> int:
    """Stop every agent, then the master. What was declared is kept for the next master.

    Exits 4 where no master runs.

    \b
    Examples:
      pypm kill
    """
    with needed_master() as connection, going(connection, "stopped", None, has_ended):
        end_master(connection)
    if as_json:
        print_json({})
    else:
        say("every agent is stopped and the master has ended")
    return 0


def end_master(connection: Connection) -> None:
    """Have the master stop every agent and end; return when its process is gone."""
    try:
        process = os.pidfd_open(connection.call("ping")["master_pid"])
    except ProcessLookupError:  # it is in another pid namespace, or ends already: its answer must do
        connection.call_patiently("kill")
        return
    try:
        connection.call_patiently("kill")
        gone, _, _ = select.select([process], [], [], _END)
    finally:
        os.close(process)
    if not gone:
        raise RequestError(f"the master has stopped every agent and is still there after {_END:g} s")
