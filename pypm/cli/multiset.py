"""``pypm multiset``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.settings import change, pairs

__all__ = ["command"]


@click.command("multiset")
@click.argument("words", metavar="'KEY VALUE …'")
@json_option
def command(words: str, as_json: bool) -> int:
    """Change several settings of this home, all or none: keys and values in one text.

    \b
    Examples:
      pypm multiset 'logs.total_size 20G'
    """
    return change(pairs(words), as_json=as_json)
