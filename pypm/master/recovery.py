"""How every master begins: read the state, then make it so. There is no other way to begin."""

from __future__ import annotations

import contextlib
import logging
import os

from pypm.core.errors import PypmError
from pypm.core.state import NewerStateError, State, StateError, after_reboot, decode
from pypm.system.clock import boot_id, boot_time, wall_time
from pypm.system.files import check_owner, replace_file

__all__ = ["read_state"]

log = logging.getLogger(__name__)


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
