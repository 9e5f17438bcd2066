"""``pypm env``."""

from __future__ import annotations

from collections.abc import Collection

import click

from pypm.cli.options import json_option
from pypm.cli.output import print_json, say
from pypm.cli.secrets import MASK, masked
from pypm.cli.session import master
from pypm.cli.targets import expanded

__all__ = ["command", "secrets_option"]

secrets_option = click.option("--show-secrets", is_flag=True, help="Show values that look like secrets too.")


@click.command("env")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
@secrets_option
@json_option
def command(targets: tuple[str, ...], show_secrets: bool, as_json: bool) -> int:
    """Show the environment that the next run of an instance gets.

    Values of variables that look like secrets are shown as ****.

    \b
    Examples:
      pypm env worker
      pypm env worker --show-secrets | grep API_KEY
    """
    with master() as client:
        answers = client.env(*expanded(targets))
    if not show_secrets:
        answers = [{**answer, "env": _masked(answer["env"], answer.get("secrets", ()))} for answer in answers]
    if as_json:
        print_json(answers)
        return 0
    for answer in answers:
        if len(answers) > 1:
            say(f"# {answer['name']}")
        for name, value in sorted(answer["env"].items()):
            say(f"{name}={value if show_secrets else _one_line(value)}")
        for name in sorted(set(answer.get("secrets", ())) - set(answer["env"])):
            say(f"# {name}: a command prints it for each start")
    return 0


def _masked(env: dict[str, str], secrets: Collection[str]) -> dict[str, str]:
    return masked(env | dict.fromkeys(secrets, MASK), secrets)


def _one_line(value: str) -> str:
    return value if value.isprintable() else repr(value)[1:-1]
