"""``pypm startOrReload``."""

from __future__ import annotations

import click

from pypm.cli.orders import await_up
from pypm.cli.reload import tell_reload
from pypm.cli.session import origin
from pypm.cli.start_or_restart import declare, file_options, merged

__all__ = ["command"]


@click.command("startOrReload")
@file_options
def command(
    file: str | None, env_name: str | None, only: tuple[str, ...], update_env: bool, as_json: bool
) -> int:
    """Declare the apps of a file, start those that are down, and reload all that run, changed or not.

    A reload takes one instance after another, and stops when a new one fails: see `pypm reload`.

    \b
    Examples:
      pypm startOrReload ecosystem.toml
      pypm startOrReload ecosystem.toml --only api --update-env
    """
    connection, change = declare(file, env_name, only)
    with connection:
        running = [each["name"] for each in change["instances"] if each["action"] == "unchanged"]
        if not running:
            return await_up(connection, change, as_json=as_json)
        environment = origin() if update_env else None
        answer = connection.call_patiently("reload", targets=running, origin=environment)
        whole = {**merged(change, answer), "failures": answer["failures"]}
        return tell_reload(connection, whole, as_json=as_json)
