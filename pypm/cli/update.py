"""``pypm update``."""

from __future__ import annotations

import time
from typing import Any

import click

from pypm.cli.options import json_option
from pypm.cli.output import print_json, say
from pypm.cli.session import check_home, needed_master
from pypm.client.connection import Connection, ConnectionLostError
from pypm.client.home import home_folder
from pypm.core.errors import PypmError, RequestError

__all__ = ["command"]

PATIENCE = 90.0
"""Seconds that the new master may take."""


@click.command("update")
@json_option
def command(as_json: bool) -> int:
    """Let a master of the version that is installed now take over, without touching one agent.

    If the new master cannot take over, the old one goes on and the reason is told (exit 1).

    \b
    Examples:
      pip install --upgrade pypm && pypm update
    """
    check_home(home_folder())
    with needed_master() as connection:
        before = connection.call("ping")
        connection.timeout = PATIENCE
        try:
            connection.call("update")
        except ConnectionLostError:
            after = _successor(connection, before)
        else:
            raise RequestError("the master answered an update as if nothing had happened")
    if as_json:
        print_json(after)
    else:
        say(
            f"pypm {before['version']} (master {before['master_pid']}) has handed over "
            f"to pypm {after['version']} (master {after['master_pid']})"
        )
    return 0


def _successor(connection: Connection, before: dict[str, Any]) -> dict[str, Any]:
    """What the new master says of itself."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with Connection(connection.path) as other:
                after: dict[str, Any] = other.call("ping")
        except PypmError as error:
            raise RequestError(f"the master is gone and no other one answers: {error.message}") from error
        if after["master_pid"] != before["master_pid"]:
            return after
        time.sleep(0.02)
    raise RequestError("the old master still answers")
