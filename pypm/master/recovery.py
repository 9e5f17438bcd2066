"""How every master begins: read the state, then make it so. There is no other way to begin."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence

from msgspec.structs import replace

from pypm.core.errors import PypmError
from pypm.core.instance import After, Instance, Run, Status
from pypm.core.state import NewerStateError, State, StateError, after_reboot, decode
from pypm.system.clock import boot_id, boot_time, wall_time
from pypm.system.files import check_owner, replace_file
from pypm.system.marked import MarkedProcess
from pypm.system.process import is_same

__all__ = ["is_alive", "read_state", "with_unsaved_runs"]

log = logging.getLogger(__name__)

CLOCK_STEP = 0.05
"""Seconds by which a start time in /proc may seem earlier than it was, and then some."""


def read_state(path: str) -> State | None:
    """Read the state that the last master left; None for a home without one.

    A file that cannot be used is set aside under another name and the backup, which is the state that the
    last master began with, is used instead. Raises PypmError if neither can be used, or if the file is of a
    newer pypm: then nothing is changed on the disk.
    """
    backup = f"{path}.bak"
    if not os.path.exists(path) and not os.path.exists(backup):
        return None
    try:
        data = _bytes(path)
        state = _decode(data)
    except NewerStateError as error:
        raise PypmError(
            f"the state in {path} cannot be used: {error}",
            hint="run the newer pypm, or move the file away to begin anew",
        ) from error
    except (FileNotFoundError, StateError) as error:
        log.error("%s: %s", path, error)
        return _read_backup(path, backup, error)
    with contextlib.suppress(OSError):  # a full disk: the older backup stays
        replace_file(backup, data)
    return state


def _bytes(path: str) -> bytes:
    check_owner(path)
    with open(path, "rb") as file:
        return file.read()


def _decode(data: bytes) -> State:
    state = decode(data)
    if state.boot_id != boot_id():
        return after_reboot(state, boot_time(), wall_time())
    return state


def _read_backup(path: str, backup: str, cause: Exception) -> State:
    try:
        state = _decode(_bytes(backup))
    except (OSError, StateError) as error:
        raise PypmError(
            f"the state in {path} cannot be used: {cause}",
            hint=f"its backup {backup} cannot be used either ({error}); move both away to begin anew",
        ) from error
    if os.path.exists(path):
        aside = f"{path}.unusable-{int(wall_time())}"
        os.rename(path, aside)
        log.error("the unusable state was moved to %s", aside)
    log.error("using the state with which the last master began, %s", backup)
    return state


def is_alive(instance: Instance, same_boot: bool) -> bool:
    """Whether the main process of the instance's run lives: same boot, same pid, same start time."""
    run = instance.run
    return same_boot and run is not None and run.leaving is None and is_same(run.pid, run.start_ticks)


def with_unsaved_runs(
    state: State, marked: Sequence[MarkedProcess]
) -> tuple[list[Instance], list[MarkedProcess]]:
    """Add what the state does not know to its instances: runs that were begun after the last commit.

    Returns the instances, those runs among theirs, and the processes that are to be killed: of runs whose
    instance is unknown or runs already, and what a main process left behind that ended unwatched.
    """
    known = {end.run_id for instance in state.instances for end in instance.runs}
    known |= {instance.run.run_id for instance in state.instances if instance.run is not None}
    by_id = {str(instance.id): instance for instance in state.instances}
    leaving = _unwatched_groups(state.instances)
    orphans: set[str] = set()
    for process in marked:
        is_main = process.pid == process.session and process.run_id not in known
        if not is_main or process.started < state.boot_time - CLOCK_STEP:
            continue
        known.add(process.run_id)
        instance = by_id.get(process.instance_id)
        if instance is None or instance.app != process.app or is_alive(instance, same_boot=True):
            orphans.add(process.run_id)
        else:
            by_id[process.instance_id] = _with_run(instance, process)
    to_kill = [each for each in marked if each.run_id in orphans or (each.run_id, each.group) in leaving]
    return list(by_id.values()), to_kill


def _unwatched_groups(instances: Sequence[Instance]) -> set[tuple[str, int]]:
    """Run id and process group of the runs whose main process is gone."""
    return {
        (instance.run.run_id, instance.run.pid)
        for instance in instances
        if instance.run is not None and instance.spec.treekill and not is_alive(instance, same_boot=True)
    }


def _with_run(instance: Instance, process: MarkedProcess) -> Instance:
    """Let the instance have the run, to be stopped, and followed by another where it should be up."""
    log.warning(
        "%s: found its run %s (pid %s), which nobody saved", instance.name, process.run_id, process.pid
    )
    return replace(
        instance,
        status=Status.STOPPING,
        run=Run(process.run_id, process.token, process.pid, process.start_ticks, process.started),
        after=After.STOP,
        stop_reason="its master was lost",
        deadline=None,
        killed=False,
    )
