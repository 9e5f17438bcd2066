"""``pypm unset``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.settings import change

__all__ = ["command"]


@click.command("unset")
@click.argument("key")
@json_option
def command(key: str, as_json: bool) -> int:
    """Take a setting of this home back, so that its default holds.

    \b
    Examples:
      pypm unset logs.total_size
    """
    return change({key: None}, as_json=as_json)
