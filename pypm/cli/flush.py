"""``pypm flush``."""

from __future__ import annotations

import click

from pypm.cli.options import all_option, json_option
from pypm.cli.output import print_json, say
from pypm.cli.session import master
from pypm.cli.targets import expanded

__all__ = ["command"]


@click.command("flush")
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@all_option
@click.option("--rotated", is_flag=True, help="Delete the rotated files as well.")
@json_option
def command(targets: tuple[str, ...], everything: bool, rotated: bool, as_json: bool) -> int:
    """Empty the log files of some targets, or of all. What they hold is lost.

    \b
    Examples:
      pypm flush worker
      pypm flush --rotated
    """
    names = ["all"] if everything or not targets else expanded(targets)
    with master() as client:
        answer = client.flush(*names, rotated=rotated)
    if as_json:
        print_json(answer)
    else:
        for path in answer["files"]:
            say(f"emptied {path}")
        for path in answer["deleted"]:
            say(f"deleted {path}")
        if not answer["files"]:
            say("there is no log file to empty")
    return 0
