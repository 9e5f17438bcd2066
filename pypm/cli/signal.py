"""``pypm signal``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.orders import show_change
from pypm.cli.session import needed_master
from pypm.cli.targets import expanded
from pypm.core.errors import UsageError

__all__ = ["command", "signal_number"]


@click.command("signal")
@click.argument("signal")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
@click.option("--group", is_flag=True, help="To the whole process group, not to the main process only.")
@json_option
def command(signal: str, targets: tuple[str, ...], group: bool, as_json: bool) -> int:
    """Send SIGNAL, a name or a number, to running instances.

    \b
    Examples:
      pypm signal SIGHUP worker
      pypm signal usr1 'api*'
    """
    number = signal_number(signal, targets)
    with needed_master() as client:
        change = client.signal(number, *expanded(targets), group=group)
        show_change(change, as_json=as_json)
    was_sent = any(entry["action"] == "signalled" for entry in change["instances"])
    return 0 if was_sent or not change["instances"] else 1


def signal_number(word: str, targets: tuple[str, ...] = ()) -> int:
    """Give the number of the signal ``word``: ``HUP``, ``sighup`` or ``1``; ``targets`` are what it is for.

    Raises :class:`UsageError`, with the nearest right names, when there is none such.
    """
    from signal import Signals

    names = {signal.name: signal.value for signal in Signals}
    wanted = word.upper() if word.upper().startswith("SIG") else "SIG" + word.upper()
    if wanted in names:
        return names[wanted]
    if word.isdecimal() and int(word) in names.values():
        return int(word)
    from difflib import get_close_matches

    turned = [each for each in targets if each.upper() in names]
    if turned:
        raise UsageError(
            f"there is no signal {word!r}", hint=f"the signal comes first: `pypm signal {turned[0]} {word}`"
        )
    close = get_close_matches(wanted, names, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "`kill -l` lists them"
    raise UsageError(f"there is no signal {word!r}", hint=hint)
