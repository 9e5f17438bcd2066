"""What ``pypm start`` does with its words, on both roads: resolve, order, wait, tell. No click here."""

from __future__ import annotations

import os

from pypm.cli.orders import await_up, show_change
from pypm.cli.session import check_home
from pypm.cli.start_plan import StartWords, order, resolve
from pypm.client.home import home_folder
from pypm.client.launch import connect, connect_or_launch
from pypm.core.errors import NoMasterError, RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["saved_or_running", "start"]


def start(
    given: StartWords,
    *,
    wait: bool,
    as_json: bool,
    timeout: float | None = None,
    foreground: bool = False,
) -> int:
    """Start what the words mean, launching a master where there is none; give the exit status.

    ``timeout`` is in seconds. Raises :class:`PypmError` for words that mean nothing, before anything begins.
    """
    home = home_folder()
    # Wrong words shall not leave a master behind: resolve them with what is there.
    plan = resolve(given, saved_or_running(home), _folder())
    connection, launched = connect_or_launch(home, check=check_home)
    with connection:
        if foreground:
            from pypm.cli.foreground import run_foreground

            return run_foreground(connection, home, plan, launched=launched, as_json=as_json)
        change = order(connection, plan)
        if not wait:
            return show_change(change, as_json=as_json)
        return await_up(connection, change, as_json=as_json, timeout=timeout)


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
