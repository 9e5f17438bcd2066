"""What ``pypm start`` does with its words, on both roads: resolve, order, wait, tell. No click here."""

from __future__ import annotations

import os

from pypm.cli.orders import await_up, show_change
from pypm.cli.output import note
from pypm.cli.session import check_home
from pypm.cli.start_plan import StartWords, order, resolve
from pypm.client.home import home_folder
from pypm.client.launch import connect, connect_or_launch
from pypm.core.errors import NoMasterError, ProtocolError, RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypm.cli.start_plan import Plan
    from pypm.client.connection import Connection

__all__ = ["saved_or_running", "start"]


def start(
    given: StartWords,
    *,
    wait: bool,
    as_json: bool,
    timeout: float | None = None,
    foreground: bool = False,
    attach: bool = False,
) -> int:
    """Start what the words mean, launching a master where there is none; give the exit status.

    ``timeout`` is in seconds. With ``attach`` the logs of what was started are followed then, until Ctrl-C.
    Raises :class:`PypmError` for words that mean nothing, before anything begins.
    """
    home = home_folder()
    # Wrong words shall not leave a master behind: resolve them with what is there.
    rows = saved_or_running(home)
    plan = resolve(given, rows, _folder())
    known = {row["app"] for row in rows}
    if "-" not in given.words:  # what stdin declares has no file either
        _refuse_taken([spec.name for spec in plan.specs if spec.source is None and spec.name in known], home)
    connection, launched = connect_or_launch(home, check=check_home)
    with connection:
        if foreground:
            from pypm.cli.foreground import run_foreground

            return run_foreground(connection, home, plan, launched=launched, as_json=as_json)
        if not as_json and any(spec.name in known for spec in plan.specs):
            _tell_changes(connection, plan)
        change = order(connection, plan)
        if wait:
            status = await_up(connection, change, as_json=as_json, timeout=timeout)
        else:
            status = show_change(change, as_json=as_json)
    if attach:
        from pypm.cli.attached import follow

        return follow([each["name"] for each in change["instances"]], status)
    return status


def _refuse_taken(names: list[str], home: str) -> None:
    """Raise RequestError where a program would take the place of an app that a file declares."""
    if not names:
        return
    from pypm.cli.present import read_present

    try:
        present, _ = read_present(home)
    except ProtocolError:  # a master of an earlier version cannot tell
        return
    for name in names:
        source = present[name].spec.source if name in present else None
        if source is not None:
            hint = f"`pypm start {name}` starts it as declared there; give the program another --name"
            raise RequestError(f"{name} is an app of {source}", hint=f"{hint}, or delete {name} first")


def _tell_changes(connection: Connection, plan: Plan) -> None:
    """Say on stderr what of the apps that are there becomes different, and how."""
    from pypm.cli.plan_view import plan_lines
    from pypm.cli.present import declared_apps
    from pypm.core.plan import make_plan

    try:
        present = declared_apps(connection)
    except ProtocolError:  # a master of an earlier version cannot tell
        return
    for line in plan_lines(make_plan(plan.specs, present), only_known=True):
        note(line)


def saved_or_running(home: str) -> list[dict[str, Any]]:
    """Give the rows of the master, or, where none runs, the names that the last one has saved."""
    try:
        with connect(home) as present:
            rows: list[dict[str, Any]] = present.call("list")
            return rows
    except NoMasterError:
        from pypm.logs.catalog import read_catalog

        entries = read_catalog(home)
    names = ("id", "name", "app", "namespace")
    return [{name: getattr(entry, name) for name in names} for entry in entries]


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise RequestError("the current folder has been deleted", hint="`cd` into another one") from None
