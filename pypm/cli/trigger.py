"""``pypm trigger``."""

from __future__ import annotations

import json
from typing import Any

import click

from pypm.cli.options import Seconds, json_option
from pypm.cli.output import note, plain, print_json, say
from pypm.cli.session import needed_master
from pypm.cli.targets import expanded

__all__ = ["command"]


@click.command("trigger", context_settings={"ignore_unknown_options": True})
@click.argument("target")
@click.argument("action")
@click.argument("words", nargs=-1, metavar="[PARAM]")
@click.option(
    "--timeout", type=Seconds(min=0.001, max=86400), metavar="SECONDS", default=10.0, show_default=True,
    help="How long an agent may take.",
)  # fmt: skip
@json_option
def command(target: str, action: str, words: tuple[str, ...], timeout: float, as_json: bool) -> int:
    """Let running instances carry out ACTION, which their program has registered, and print what it gives.

    PARAM is a text for it. `pypm describe NAME` lists the actions. Exits 1 where one of them failed.

    \b
    Examples:
      pypm trigger worker clear-cache
      pypm trigger worker:0 log-level debug --json
    """
    param = " ".join(words) if words else None
    with needed_master() as client:
        results = client.trigger(action, *expanded([target]), param=param, timeout=timeout)
    if as_json:
        print_json(results)
    else:
        for each in results:
            _tell(each["name"], each["ok"], each["result"], each["error"])
    return 0 if all(each["ok"] for each in results) else 1


def _tell(name: str, ok: bool, result: Any, error: str) -> None:
    if not ok:
        note(f"pypm: {plain(name)}: {plain(error)}")
    elif isinstance(result, str):
        for line in result.splitlines() or [""]:
            say(f"{plain(name)} | {plain(line)}")
    else:
        say(f"{plain(name)} | {plain(json.dumps(result, ensure_ascii=False))}")
