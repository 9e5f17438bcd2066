"""The master a command speaks with, and what the command's shell gives to agents. Quick to import."""

from __future__ import annotations

import os
import time

from pypm.cli.output import names_in_words, note, plain
from pypm.client.client import Client
from pypm.client.home import home_folder, socket_path
from pypm.client.shell import inherited
from pypm.core.errors import NoMasterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["check_home", "existing_master", "master", "needed_master", "origin"]


def master() -> Client:
    """Connect to the master of this home; start one, quietly, when there is none."""
    try:
        return Client()
    except NoMasterError:
        check_home(home_folder())
        return Client(launch=True)


def check_home(home: str) -> None:
    """Raise :class:`ConfigError` where the settings of a home are wrong: no master is to begin with them."""
    settings = os.path.join(home, "config.toml")
    if os.path.exists(settings):
        from pypm.config.home_settings import read_home_settings

        read_home_settings(settings)


def existing_master() -> Client:
    """Connect to the master of this home; raises :class:`NoMasterError` when there is none."""
    return Client()


def needed_master() -> Client:
    """As :func:`existing_master`, but one that was killed together with its guardian is followed by another.

    Its agents may still live, and nobody else would adopt them, or end them.
    """
    try:
        return existing_master()
    except NoMasterError:
        if not _was_killed(home_folder()):
            raise
    note("pypm: the last master and its guardian were killed; a new one takes over what lives")
    return master()


def _was_killed(home: str) -> bool:
    """Whether the last master of this boot has left its socket, which one that is told to end removes."""
    try:
        made = os.lstat(socket_path(home)).st_mtime
    except OSError:
        return False
    return made > time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def origin() -> dict[str, Any]:
    """Give what agents inherit from this shell: its environment but for pypm's own names, and its umask.

    What is no UTF-8 cannot be kept in a state that is JSON: such variables are left out, with a warning.
    """
    given, odd = inherited()
    if odd:
        note(f"pypm: agents do not inherit what is no UTF-8: {names_in_words([plain(name) for name in odd])}")
    return given
