"""``pypm version``."""

from __future__ import annotations

import click

from pypm import __version__
from pypm.cli.options import json_option
from pypm.cli.output import note, print_json, say
from pypm.cli.session import existing_master
from pypm.core.errors import NoMasterError

__all__ = ["command"]


@click.command("version")
@json_option
def command(as_json: bool) -> int:
    """Print the version of pypm; and of the running master where it is another.

    \b
    Examples:
      pypm version
    """
    try:
        with existing_master() as connection:
            running = connection.call("ping")["version"]
    except NoMasterError:
        running = None
    if as_json:
        print_json({"version": __version__, "master_version": running})
        return 0
    say(f"pypm {__version__}")
    if running not in (None, __version__):
        note(f"pypm: the running master is version {running}; `pypm kill` and start again to change that")
    return 0
