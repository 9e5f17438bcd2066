"""``pypm conf``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.settings import change, show, typed

__all__ = ["command"]


@click.command("conf")
@click.argument("key", required=False)
@click.argument("value", required=False)
@json_option
def command(key: str | None, value: str | None, as_json: bool) -> int:
    """Show the settings of this home, or one of them; with VALUE, change it.

    \b
    Examples:
      pypm conf
      pypm conf logs.total_size 20G
    """
    if key is not None and value is not None:
        return change({key: typed(value)}, as_json=as_json)
    return show(key, as_json=as_json)
