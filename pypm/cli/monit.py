"""``pypm monit``."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from pypm.cli.options import json_option
from pypm.cli.output import print_json
from pypm.cli.session import needed_master
from pypm.cli.targets import expanded
from pypm.core.errors import UsageError

if TYPE_CHECKING:
    from pypm.tui.source import Words

__all__ = ["command", "words"]

WIDTH = 120
"""Signs of a line where neither a terminal nor COLUMNS tells."""


@click.command("monit")
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@click.option("--once", is_flag=True, help="Print one frame as plain text, and end.")
@json_option
def command(targets: tuple[str, ...], once: bool, as_json: bool) -> int:
    """Watch all instances live: how they are, their logs, why they are so; start, stop, restart them.

    `?` shows the keys. Leaving it (`q`) stops nothing. TARGETs are for --once.

    \b
    Examples:
      pypm monit
      pypm monit --once
      COLUMNS=80 watch -n 5 pypm monit --once worker
    """
    if not (once or as_json):
        check_terminal(targets)
    with needed_master() as connection:
        if once or as_json:
            rows = connection.call("list", targets=expanded(targets) or None)
            show_frame(rows, as_json=as_json)
            return 0
    from pypm.client.home import home_folder
    from pypm.tui.screen import run
    from pypm.tui.source import MasterSource

    run(MasterSource(home_folder()), words())
    return 0


def show_frame(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print one frame of ``rows``, or what is in it as JSON."""
    if as_json:
        print_json(rows)
        return
    from pypm.tui.frame import frame

    sys.stdout.write(frame(rows, shutil.get_terminal_size((WIDTH, 24)).columns))


def check_terminal(targets: tuple[str, ...]) -> None:
    """Raise UsageError where no screen can be shown, or where it is asked for only a part."""
    if targets:
        raise UsageError("targets are for --once", hint="`/` filters the list on the screen")
    # Textual draws on stderr, as a program may whose stdout is read by another one.
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise UsageError("this is no terminal", hint="`pypm monit --once` prints one frame as text")
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        hint = "`pypm monit --once` prints one frame as text; TERM tells what the terminal is"
        raise UsageError("this terminal cannot move its cursor (TERM is dumb)", hint=hint)


def words() -> Words:
    """How the commands say what they say, for the screen to say it alike."""
    import time

    from pypm.cli.description import sections
    from pypm.cli.event_words import event_line
    from pypm.cli.secrets import masked_answer
    from pypm.cli.why_facts import whole
    from pypm.cli.why_words import answer
    from pypm.tui.source import Words

    def why(detail: dict[str, Any], width: int) -> str:
        return answer(whole(detail, "master", time.time()), width)

    def describe(detail: dict[str, Any], width: int) -> str:
        return sections(masked_answer(detail), width)

    return Words(why, describe, event_line)
