"""``pypm schema``."""

from __future__ import annotations

import json

import click

from pypm.cli.options import json_option
from pypm.cli.output import print_json, say

__all__ = ["command"]


@click.command("schema")
@json_option
def command(as_json: bool) -> int:
    """Print the JSON Schema of ecosystem files, with which editors complete keys and mark faults.

    With --json on one line. A TOML file names its schema in a first line such as
    `#:schema ./ecosystem.schema.json` (Taplo, Even Better TOML).

    \b
    Examples:
      pypm schema > ecosystem.schema.json
    """
    from pypm.config.schema import ecosystem_schema

    schema = ecosystem_schema()
    if as_json:
        print_json(schema)
    else:
        say(json.dumps(schema, indent=2, ensure_ascii=False))
    return 0
