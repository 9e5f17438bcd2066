"""Taking over from a running PM2, app by app: stopped there, started here, and back where that fails."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from pypm.cli.output import note, plain
from pypm.cli.session import master
from pypm.cli.start_plan import Plan, order
from pypm.cli.waiting import await_instances
from pypm.client.connection import Connection
from pypm.config import load
from pypm.config.foreign.drafting import FileDraft
from pypm.config.foreign.pm2 import read_pm2_list
from pypm.core.errors import PypmError, RequestError
from pypm.core.spec import AppSpec

__all__ = ["read_running", "take_over"]

PATIENCE = 120.0
"""Seconds that one command of PM2 may take: a stop waits for the end of what it stops."""


def read_running() -> FileDraft:
    """What PM2 runs now. Raises RequestError where there is no PM2, or it does not answer."""
    lines = [line for line in _pm2("jlist").splitlines() if line.strip()]
    try:
        entries = json.loads(lines[-1] if lines else "")  # its own notices come before
    except ValueError:
        raise RequestError("`pm2 jlist` has given no JSON", hint="pm2 update") from None
    return read_pm2_list(entries, "the running PM2", os.environ)


def take_over(path: str, draft: FileDraft) -> tuple[list[str], str]:
    """Move each app of ``path`` from PM2 to here; give the names of those that run here, and what went wrong.

    Where one does not start here it is started there again, and the next one's turn comes.
    """
    specs = load(path, known=None)
    taken: list[str] = []
    faults: list[str] = []
    with master() as connection:
        for spec in specs:
            theirs = draft.names.get(spec.name, spec.name)
            if _is_here(connection, spec):
                faults.append(f"{spec.name} is here already, and under PM2 too: pypm delete {spec.name}")
                continue
            note(f"pypm: taking over {plain(theirs)}")
            _pm2("stop", theirs)
            try:
                reason = _started(connection, spec)
            except PypmError as error:
                reason = str(error)
            except KeyboardInterrupt:
                _give_back(connection, spec, theirs)
                raise
            if reason:
                _give_back(connection, spec, theirs)
                faults.append(f"{spec.name} does not start here, and runs under PM2 again: {reason}")
                continue
            _pm2("delete", theirs)
            taken.append(spec.name)
    return taken, "; ".join(faults)


def _is_here(connection: Connection, spec: AppSpec) -> bool:
    return any(row["app"] == spec.name for row in connection.call_patiently("list"))


def _give_back(connection: Connection, spec: AppSpec, theirs: str) -> None:
    """End what there is of an app here, and have it run under PM2 again."""
    try:
        if _is_here(connection, spec):
            connection.call_patiently("delete", targets=[spec.name])
    finally:
        if spec.autostart:
            _pm2("start", theirs)


def _started(connection: Connection, spec: AppSpec) -> str:
    """Start the app and wait for it; why it failed, or nothing."""
    change = order(connection, Plan(specs=(spec,)))
    rows, _ = await_instances(connection, [entry["id"] for entry in change["instances"]], "settled")
    failed = [row for row in rows if spec.autostart and not _is_well(row)]
    if not failed:
        return ""
    row = failed[0]
    return plain(row["reason"] or (row["last_exit"] or {}).get("reason") or row["status"])


def _is_well(row: dict[str, Any]) -> bool:
    """Whether it runs, or is where its schedule or its policy wants it; a failed first run is no start."""
    has_failed = row["restarts"] > 0 and row["last_exit"] is not None and row["last_exit"]["code"] != 0
    return row["status"] in ("online", "exited") and not has_failed


def _pm2(*words: str) -> str:
    """Run a command of PM2; give its stdout. Raises RequestError where it fails."""
    try:
        done = subprocess.run(
            ["pm2", *words], capture_output=True, text=True, timeout=PATIENCE, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise RequestError("there is no pm2 in PATH", hint="pypm import pm2 ~/.pm2/dump.pm2") from None
    except subprocess.TimeoutExpired:
        raise RequestError(f"`pm2 {' '.join(words)}` has not ended within {PATIENCE:g} s") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise RequestError(f"`pm2 {' '.join(words)}` has failed: {plain(said[-1]) if said else ''}")
    return done.stdout
