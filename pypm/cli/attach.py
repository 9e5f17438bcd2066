"""``pypm attach``."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import click

from pypm.cli.options import json_option
from pypm.cli.output import FORM, note, report
from pypm.cli.session import needed_master
from pypm.core.errors import PypmError, UsageError

__all__ = ["command"]


@click.command("attach")
@click.argument("target")
@json_option
def command(target: str, as_json: bool) -> int:
    """Follow what one instance prints, and write the lines of this stdin to its own, until Ctrl-C.

    The app has `stdin = true`. The end of this stdin ends neither the agent nor what is followed. Output is
    as of `logs`, also with --json and --format.

    \b
    Examples:
      pypm attach worker
      pypm attach worker:0 < commands.txt
      pypm attach worker --json < commands.txt
    """
    from pypm.cli.main import run

    with needed_master() as connection:
        rows = connection.call("list", targets=[target])
    if len(rows) != 1:
        raise UsageError(f"{target} is {len(rows)} instances", hint="attach to one of them, such as NAME:0")
    form = ["--json"] if as_json else []
    if FORM.template is not None:
        form = [f"--format={FORM.template}"]
    thread = threading.Thread(target=_send_lines, args=(rows[0]["name"],), daemon=True)
    thread.start()
    # With the last lines: an answer may be there before the log is followed.
    return run(["logs", rows[0]["name"], *form])


def _send_lines(name: str) -> None:
    """Send what is typed, line by line, each when it is there; what cannot be sent is told."""
    for line in _typed():
        try:
            with needed_master() as connection:
                connection.call("send", targets=[name], line=line)
        except PypmError as error:
            report(error)
    note("pypm: stdin has ended; Ctrl-C ends the rest")


def _typed() -> Iterator[str]:
    """The lines of stdin. Not by `sys.stdin`: at its end Python would wait for who reads from it."""
    rest = b""
    while data := os.read(0, 4096):
        *lines, rest = (rest + data).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
    if rest:
        yield rest.decode("utf-8", "replace")
