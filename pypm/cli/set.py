"""``pypm set``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.settings import change, typed

__all__ = ["command"]


@click.command("set")
@click.argument("key")
@click.argument("value")
@json_option
def command(key: str, value: str, as_json: bool) -> int:
    """Change a setting that holds for this whole home: a key of PYPM_HOME/config.toml.

    A master that runs takes it up at once. What an app has is in its ecosystem file.

    \b
    Examples:
      pypm set logs.total_size 20G
    """
    return change({key: typed(value)}, as_json=as_json)
