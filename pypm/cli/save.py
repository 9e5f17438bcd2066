"""``pypm save``, and ``pypm dump``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.output import names_in_words, print_json, say
from pypm.cli.session import master

__all__ = ["command"]


@click.command("save")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--force", is_flag=True, help="Also where there is no app: save an empty list.")
@json_option
def command(name: str | None, force: bool, as_json: bool) -> int:
    """Keep all apps as they are now, with environments and what is stopped, as a snapshot: `dump`, or NAME.

    Not needed for a reboot or a crash: the state is always saved. `pypm resurrect` brings a snapshot back.

    \b
    Examples:
      pypm save
      pypm save before-upgrade
    """
    with master() as client:
        answer = client.save(name, force=force)
    if as_json:
        print_json(answer)
    elif answer["apps"]:
        say(f"saved {names_in_words(answer['apps'])} as {answer['name']}: {answer['path']}")
    else:
        say(f"saved an empty list as {answer['name']}: {answer['path']}")
    return 0
