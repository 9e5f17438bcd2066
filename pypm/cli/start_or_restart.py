"""``pypm startOrRestart``, and what it has in common with ``startOrReload``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pypm.cli.apply import file_to_read
from pypm.cli.options import json_option
from pypm.cli.session import check_home, origin
from pypm.cli.starting import saved_or_running
from pypm.client.connection import Connection
from pypm.client.home import home_folder
from pypm.client.launch import connect_or_launch

__all__ = ["command", "declare", "file_options", "merged"]


def file_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both verbs take: a file, and which of it."""
    for option in (
        json_option,
        click.option("--update-env", "-a", is_flag=True, help="Give what runs this shell's environment."),
        click.option("--only", multiple=True, metavar="NAMES", help="These apps only."),
        click.option("--env", "env_name", metavar="NAME", help="Apply env_NAME too."),
        click.argument("file", required=False, metavar="[FILE|-]"),
    ):
        function = option(function)
    return function


@click.command("startOrRestart")
@file_options
def command(
    file: str | None, env_name: str | None, only: tuple[str, ...], update_env: bool, as_json: bool
) -> int:
    """Declare the apps of a file, start those that are down, and restart all that run, changed or not.

    `pypm apply FILE` leaves alone what has not changed.

    \b
    Examples:
      pypm startOrRestart ecosystem.toml
      pypm startOrRestart ecosystem.toml --only worker --env production
    """
    from pypm.cli.orders import await_up

    connection, change = declare(file, env_name, only)
    with connection:
        running = [each["name"] for each in change["instances"] if each["action"] == "unchanged"]
        if running:
            environment = origin() if update_env else None
            answer = connection.call_patiently("restart", targets=running, origin=environment)
            change = merged(change, answer)
        return await_up(connection, change, as_json=as_json)


def declare(
    file: str | None, env_name: str | None, only: tuple[str, ...]
) -> tuple[Connection, dict[str, Any]]:
    """Declare the apps of a file and start those that are down; what runs goes on, and is ``unchanged``.

    Gives a connection, for the caller to close, and the *change* of the protocol.
    """
    import msgspec

    from pypm.config import load

    path = "-" if file == "-" else file_to_read(file)
    names = tuple(name for words in only for name in words.split(",") if name)
    home = home_folder()
    known = {row["app"] for row in saved_or_running(home)}
    specs = load(path, env_name=env_name, only=names or None, known=known)
    connection, _ = connect_or_launch(home, check=check_home)
    try:
        apps = msgspec.to_builtins(specs)
        change = connection.call_patiently("apply", apps=apps, origin=origin(), restart=False)
    except BaseException:
        connection.close()
        raise
    return connection, change


def merged(change: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Both changes as one: of an instance, what was done to it last."""
    actions = {each["id"]: each for each in (*change["instances"], *later["instances"])}
    return {"instances": list(actions.values()), "warnings": [*change["warnings"], *later["warnings"]]}
