"""``pypm cleardump``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.output import print_json, say
from pypm.cli.session import master

__all__ = ["command"]


@click.command("cleardump")
@click.argument("name", required=False, metavar="[NAME]")
@json_option
def command(name: str | None, as_json: bool) -> int:
    """Remove a snapshot: `dump`, or NAME. The apps stay, and so does what is saved of them for a reboot.

    \b
    Examples:
      pypm cleardump
      pypm cleardump before-upgrade
    """
    with master() as connection:
        answer = connection.call("cleardump", name=name)
    if as_json:
        print_json(answer)
    elif answer["removed"]:
        say(f"removed the snapshot {answer['name']}")
    else:
        say(f"there is no snapshot {answer['name']}")
    return 0
