"""What stop, restart, start and delete have in common: order, wait, tell. Quick to import."""

from __future__ import annotations

from pypm.cli.output import FORM, names_in_words, note, print_json, say
from pypm.cli.waiting import await_instances

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypm.client.connection import Connection

__all__ = ["await_stopped", "await_up", "restart", "show_change", "stop"]


def stop(connection: Connection, targets: list[str], *, as_json: bool, wait: bool = True) -> int:
    """Stop ``targets`` and wait until none of them runs; give the exit status."""
    change = connection.call_patiently("stop", targets=targets)
    if not wait:
        return show_change(change, as_json=as_json)
    return await_stopped(connection, change, as_json=as_json)


def restart(
    connection: Connection,
    targets: list[str],
    *,
    as_json: bool,
    wait: bool = True,
    timeout: float | None = None,
    parallel: int | None = None,
    origin: dict[str, Any] | None = None,
) -> int:
    """Restart ``targets`` and wait until they are online or have failed; give the exit status."""
    change = connection.call_patiently("restart", targets=targets, parallel=parallel, origin=origin)
    if not wait:
        return show_change(change, as_json=as_json)
    return await_up(connection, change, as_json=as_json, timeout=timeout)


def await_stopped(connection: Connection, change: Mapping[str, Any], *, as_json: bool) -> int:
    """Wait until no instance of ``change`` runs, tell so, give the exit status."""
    rows, _ = await_instances(connection, [entry["id"] for entry in change["instances"]], "stopped")
    return show_change(change, as_json=as_json, rows=rows)


def await_up(
    connection: Connection, change: Mapping[str, Any], *, as_json: bool, timeout: float | None = None
) -> int:
    """Wait until every instance of ``change`` is online or has failed; show the list and what failed.

    ``timeout`` is in seconds. Gives the exit status: 1 when one failed or the time was over before.
    """
    from pypm.cli.failures import report_failures

    ids = [entry["id"] for entry in change["instances"] if entry["action"] not in ("deleted", "stopped")]
    rows, timed_out = await_instances(connection, ids, "settled", timeout=timeout)
    if as_json:
        show_change(change, as_json=True, rows=rows, timed_out=timed_out)
    else:
        from pypm.cli.listing import show_table

        show_warnings(change)
        show_table(connection.call("list"))
    return report_failures(connection, rows, timeout if timed_out else None)


def show_warnings(change: Mapping[str, Any]) -> None:
    """Tell the warnings of a *change* on stderr."""
    for warning in change["warnings"]:
        note(f"pypm: warning: {warning}")


def show_change(change: Mapping[str, Any], *, as_json: bool, **more: Any) -> int:
    """Tell what was done: the *change* of the protocol, with ``more`` fields, as JSON, or in words."""
    if as_json:
        if FORM.template is not None:  # the lines of a template have no place for them
            show_warnings(change)
        print_json({**change, **more})
        return 0
    show_warnings(change)
    names: dict[str, list[str]] = {}
    for entry in change["instances"]:
        names.setdefault(entry["action"], []).append(entry["name"])
    for action, those in names.items():
        say(f"{action} {names_in_words(those)}")
    if not names:
        say("there is nothing to do: no app matches")
    return 0
