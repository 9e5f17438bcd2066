"""``pypm send``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.orders import show_change
from pypm.cli.session import needed_master
from pypm.cli.targets import expanded

__all__ = ["command"]


@click.command("send", context_settings={"ignore_unknown_options": True})
@click.argument("target")
@click.argument("words", nargs=-1, required=True, metavar="LINE")
@json_option
def command(target: str, words: tuple[str, ...], as_json: bool) -> int:
    """Write LINE, and a line's end, to the stdin of running instances whose app has `stdin = true`.

    \b
    Examples:
      pypm send worker 'reload config'
      pypm send 3 quit
    """
    with needed_master() as connection:
        change = connection.call("send", targets=expanded([target]), line=" ".join(words))
        return show_change(change, as_json=as_json)
