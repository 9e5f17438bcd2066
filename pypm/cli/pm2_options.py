"""Options of ``pm2 start`` that are none of ours: those that ask for what is so anyway, and refused ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pypm.core.errors import UsageError

__all__ = ["AS_ALWAYS", "REFUSED", "pm2_options"]

AS_ALWAYS = {
    "--execute-command": "each instance is a process of its own",
    "--no-vizion": "pypm does not read version control",
    "--no-pmx": "pypm does not instrument Node",
    "--no-automation": "pypm does not instrument Node",
    "--disable-source-map-support": "pypm does not instrument Node",
    "--disable-trace": "pypm does not instrument Node",
}
"""They ask for what is so in any case, and why that is so."""

REFUSED = {
    "--force": "names are unique: give the second one another --name, or say --instances",
    "--pid": "`pypm pid NAME` tells it, and a file would be wrong after a crash",
    "--write": "`pypm ecosystem` writes an ecosystem file",
    "--ext": "say what is left out: --ignore-watch '*.log'",
    "--update-env": "`pypm restart --update-env NAME` takes this shell's environment anew",
    "--parallel": "apps are started together, in the order of what they depend on",
    "--source-map-support": "it instruments Node: --node-args=--enable-source-maps",
    "--trace": "it belongs to PM2's hosted monitoring",
    "--v8": "it belongs to PM2's hosted monitoring",
    "--event-loop-inspector": "it belongs to PM2's hosted monitoring",
    "--deep-monitoring": "it belongs to PM2's hosted monitoring",
}
"""And what to do instead, or why not."""

SHORT = {"--execute-command": "-x", "--force": "-f", "--pid": "-p", "--write": "-w", "--update-env": "-a"}
VALUED = frozenset(("--pid", "--ext", "--parallel"))


def pm2_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options; none of them is in the help, and none reaches the command."""
    for name in (*AS_ALWAYS, *REFUSED):
        names = (name, SHORT[name]) if name in SHORT else (name,)
        function = click.option(
            *names,
            is_flag=name not in VALUED,
            hidden=True,
            expose_value=False,
            callback=_refuse if name in REFUSED else None,
        )(function)
    return function


def _refuse(_context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        name = parameter.opts[0]
        raise UsageError(f"pypm does not have {name}", hint=REFUSED[name])
