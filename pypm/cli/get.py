"""``pypm get``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.settings import show

__all__ = ["command"]


@click.command("get")
@click.argument("key", required=False)
@json_option
def command(key: str | None, as_json: bool) -> int:
    """Show a setting of this home, or all of them.

    \b
    Examples:
      pypm get
      pypm get logs.total_size
    """
    return show(key, as_json=as_json)
