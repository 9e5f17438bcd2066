"""What apps there are, with their specs: from the master, or else from what the last one has saved."""

from __future__ import annotations

import msgspec

from pypm.client.connection import Connection
from pypm.client.launch import connect
from pypm.core.errors import NoMasterError
from pypm.core.plan import Present, is_down

__all__ = ["declared_apps", "read_present"]


def read_present(home: str) -> tuple[dict[str, Present], bool]:
    """The apps of a home by name, and whether they are the saved ones: no master runs.

    Raises ConfigError where nothing but a damaged state file tells of them.
    """
    try:
        with connect(home) as connection:
            return declared_apps(connection), False
    except NoMasterError:
        return _saved_apps(home), True


def declared_apps(connection: Connection) -> dict[str, Present]:
    """The apps that a master has, by name."""
    apps = msgspec.convert(connection.call_patiently("declared"), list[Present])
    return {app.spec.name: app for app in apps}


def _saved_apps(home: str) -> dict[str, Present]:
    from pypm.cli.why_facts import read_saved

    state = read_saved(home)
    if state is None:
        return {}
    down = {app.spec.name: 0 for app in state.apps}
    for each in state.instances:
        if each.replaced or each.replaces is not None:  # another one counts for both
            continue
        is_job = each.spec.schedule is not None
        down[each.app] = down.get(each.app, 0) + is_down(each.status, each.desired, is_job=is_job)
    return {app.spec.name: Present(app.spec, down[app.spec.name]) for app in state.apps}
