"""``pypm apply``."""

from __future__ import annotations

import os
from typing import Any

import click

from pypm.cli.options import json_option, wait_options
from pypm.cli.orders import await_up, show_change
from pypm.cli.output import names_in_words, note, print_json, say
from pypm.cli.present import read_present
from pypm.cli.session import check_home
from pypm.cli.start_plan import Plan as Declared
from pypm.cli.start_plan import order
from pypm.client.connection import Connection
from pypm.client.home import home_folder
from pypm.client.launch import connect, connect_or_launch
from pypm.config import find_default, is_config_file, load
from pypm.core.errors import ConfigError, RequestError, UsageError
from pypm.core.plan import Plan, Present, fault_of_declaration, make_plan
from pypm.core.spec import AppSpec

__all__ = ["command", "file_to_read"]

CHANGES = 5
"""Exit status of ``--exit-code`` where there is something to do: none of the CLI's own, which are 0 to 4."""


@click.command("apply")
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("--exit-code", is_flag=True, help="With --dry-run: exit 5 when something would change.")
@click.option(
    "--prune", is_flag=True, help="Remove apps that came from this file and are not in it any more."
)
@click.option("--env", "env_name", metavar="NAME", help="Apply env_NAME too.")
@click.option("--only", multiple=True, metavar="NAMES", help="These apps only, and what they depend on.")
@wait_options
@json_option
def command(
    file: str | None,
    dry_run: bool,
    exit_code: bool,
    prune: bool,
    env_name: str | None,
    only: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Compare what an ecosystem file declares with what there is, show what changes, and do it.

    Only what differs is touched. Limits, health, logs and restart policy change as the apps run; what a
    process gets when it starts (command, environment …) takes a restart of that app. A file with a fault
    changes nothing.

    \b
    Examples:
      pypm apply                            the ecosystem file of this folder
      pypm apply --dry-run                  only show what would change
      pypm apply ecosystem.toml --prune     and remove what is not in it any more
      pypm apply --dry-run --exit-code      0: all is as the file says, 5: it is not
    """
    if exit_code and not dry_run:
        raise UsageError("--exit-code goes with --dry-run")
    names = tuple(name for words in only for name in words.split(",") if name)
    if prune and names:
        raise UsageError("--prune takes the whole file, and --only a part of it")
    path, home = file_to_read(file), home_folder()
    present, is_saved = read_present(home)
    plan, specs = _compare(path, present, env_name, names, prune=prune)
    if dry_run:
        if is_saved:
            note("pypm: no master runs; this compares with what the last one has saved")
        else:
            with connect(home) as connection:
                _check(connection, specs)
        _show(plan, as_json=as_json)
        return CHANGES if exit_code and not plan.is_empty else 0
    if not as_json:
        _show(plan, as_json=False)
    connection, _ = connect_or_launch(home, check=check_home)
    with connection:
        change = _carry_out(connection, plan, specs)
        if as_json:
            from pypm.cli.plan_view import plan_json

            change["plan"] = plan_json(plan)
        if not wait:
            return show_change(change, as_json=as_json)
        return await_up(connection, change, as_json=as_json, timeout=timeout)


def file_to_read(word: str | None) -> str:
    """The path of the file that is meant: ``word``, or the one that this folder has.

    Raises UsageError where there is none, RequestError for what is no ecosystem file.
    """
    if word is None:
        path = find_default(os.getcwd())
        if path is None:
            raise UsageError(
                "there is no ecosystem file in this folder", hint="name one, or `pypm init` writes one"
            )
        return os.path.relpath(path)
    if os.path.isdir(os.path.expanduser(word)):
        raise RequestError(f"{word} is a folder", hint="name a file in it")
    if os.path.exists(os.path.expanduser(word)) and not is_config_file(word):
        hint = "its name has to end in .toml, .json, .yaml or .config.js; a program is for `pypm start`"
        raise RequestError(f"{word} is no ecosystem file", hint=hint)
    return word


def _compare(
    path: str, present: dict[str, Present], env_name: str | None, only: tuple[str, ...], *, prune: bool
) -> tuple[Plan, list[AppSpec]]:
    """The plan for the file, and its specs. Raises ConfigError for all that is wrong with it."""
    source = os.path.abspath(os.path.expanduser(path))
    kept = {name: app for name, app in present.items() if not (prune and app.spec.source == source)}
    specs = load(path, env_name=env_name, only=only or None, known=kept)
    plan = make_plan(specs, present, None if only else source, prune=prune)
    stays = {name: app.spec for name, app in present.items() if name not in plan.gone}
    if fault := fault_of_declaration(specs, stays):
        raise ConfigError(f"{path}: {fault}")
    names = {spec.name for spec in specs}
    up = [app.spec for name, app in present.items() if name in stays.keys() - names and not app.is_down]
    _check_sockets(path, specs, up)
    return plan, specs


def _check_sockets(path: str, specs: list[AppSpec], up: list[AppSpec]) -> None:
    """Raise ConfigError where an app that is to be started would listen where another one does."""
    from pypm.core.addresses import common_address

    for spec in specs:
        for other in up if spec.autostart else ():
            if address := common_address(spec.sockets, other.sockets):
                hint = f"give one of them another address, or `pypm stop {other.name}` first"
                raise ConfigError(f"{path}: {spec.name}: {other.name} listens at {address} too", hint=hint)


def _carry_out(connection: Connection, plan: Plan, specs: list[AppSpec]) -> dict[str, Any]:
    """What goes makes room first: a renamed app may hold the port that it needs again.

    Nothing goes where the master would refuse what comes.
    """
    gone: dict[str, Any] = {"instances": [], "warnings": []}
    if plan.gone:
        _check(connection, specs)
        gone = connection.call_patiently("delete", targets=plan.gone)
    change = order(connection, Declared(specs=tuple(specs)))
    return {key: [*gone[key], *change[key]] for key in ("instances", "warnings")}


def _check(connection: Connection, specs: list[AppSpec]) -> None:
    """Raise what the master would say against these: it knows the machine on which they would run."""
    import msgspec

    connection.call_patiently("check", apps=msgspec.to_builtins(specs))


def _show(plan: Plan, *, as_json: bool) -> None:
    from pypm.cli.plan_view import plan_json, plan_lines

    if as_json:
        told = plan_json(plan)
        print_json(told, told["apps"])
        return
    for line in plan_lines(plan):
        say(line)
    if plan.left:
        note(
            f"pypm: not in the file any more: {names_in_words(list(plan.left))}; "
            f"{'it stays' if len(plan.left) == 1 else 'they stay'} (--prune removes)"
        )
