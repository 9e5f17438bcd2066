"""``pypm reloadLogs``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.output import print_json, say
from pypm.cli.session import needed_master

__all__ = ["command"]


@click.command("reloadLogs")
@json_option
def command(as_json: bool) -> int:
    """Open all log files anew, after something else has moved them: in logrotate's `postrotate`, for example.

    pypm rotates its logs itself, and notices within a second of writing that a file was moved. This is for
    those who move a file and want to be sure that nothing is written to it any more. SIGUSR2 to the master
    does the same.

    \b
    Examples:
      pypm reloadLogs
    """
    with needed_master() as connection:
        answer = connection.call("reload_logs")
    if as_json:
        print_json(answer)
    else:
        count = len(answer["files"])
        say(f"{count} log {'file is' if count == 1 else 'files are'} opened anew")
    return 0
