"""What the read-only verbs that scripts call often print, on both roads. Quick to import."""

from __future__ import annotations

from pypm.cli.output import note, plain, print_json, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypm.client.connection import Connection

__all__ = ["show_ids", "show_jlist", "show_list", "show_pids", "show_ping"]


def show_list(
    connection: Connection, targets: list[str], *, as_json: bool, sort: str = "", mini: bool = False
) -> int:
    """Print the rows of ``targets``, of all instances when there are none.

    ``sort`` is what they are sorted by (``sorted_rows``); by default by their ids. ``mini``: as
    ``pm2 list --mini-list`` does.
    """
    rows = connection.call("list", targets=targets or None, spec=True if mini else None)
    if sort:
        from pypm.cli.sorting import sorted_rows

        rows = sorted_rows(rows, sort)
    if as_json:
        print_json(rows)
    elif mini:
        from pypm.cli.pm2_shape import mini_list

        say(mini_list(rows))
    else:
        from pypm.cli.listing import show_table

        show_table(rows)
    return 0


def show_ping(connection: Connection, *, as_json: bool) -> int:
    """Print who the master is."""
    answer = connection.call("ping")
    if as_json:
        print_json(answer)
    else:
        from pypm.config.units import format_duration

        up = format_duration(answer["uptime_seconds"])
        say(f"pong: pypm {answer['version']}, master {answer['master_pid']}, up {up}, home {answer['home']}")
    return 0


def show_pids(connection: Connection, targets: list[str], *, as_json: bool) -> int:
    """Print the pids of what runs of ``targets``, a line each; 1 when a target is named and nothing runs."""
    rows = connection.call("list", targets=targets or None)
    running = [row for row in rows if row["pid"] is not None]
    if as_json:
        print_json([{"id": row["id"], "name": row["name"], "pid": row["pid"]} for row in rows], rows)
    else:
        for row in running:
            say(str(row["pid"]))
    if not targets or running:
        return 0
    note(f"pypm: {', '.join(plain(word) for word in targets)} is not running")
    return 1


def show_ids(connection: Connection, targets: list[str], *, as_json: bool) -> int:
    """Print the ids of ``targets``, of all instances when there are none, as ``pm2 id`` does."""
    rows = connection.call("list", targets=targets or None)
    ids = [row["id"] for row in rows]
    if as_json:
        print_json(ids, rows)
    else:
        say(f"[ {', '.join(map(str, ids))} ]" if ids else "[]")
    return 0


def show_jlist(connection: Connection, *, pretty: bool) -> int:
    """Print all instances as ``pm2 jlist`` and ``pm2 prettylist`` do."""
    import os
    import pwd

    from pypm.cli.pm2_shape import inspected, pm2_process

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    processes = [pm2_process(row, user) for row in connection.call("list", spec=True)]
    if pretty:
        say(inspected(processes))
    else:
        print_json(processes)
    return 0
