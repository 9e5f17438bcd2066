"""The folder of named snapshots: owner-only files, each replaced as a whole or not at all."""

from __future__ import annotations

import os
import re

from pypm.core.errors import NotFoundError, RequestError, UsageError
from pypm.core.snapshot import Snapshot, decode_snapshot, encode_snapshot
from pypm.core.state import StateError
from pypm.system.files import check_owner, make_private_folder, replace_file

__all__ = ["DEFAULT_NAME", "Snapshots"]

DEFAULT_NAME = "dump"
"""The name that PM2 gives to its only one."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_SUFFIX = ".json"


class Snapshots:
    """The snapshots of one home (an absolute path). All methods wait for the disk."""

    def __init__(self, home: str) -> None:
        self._folder = os.path.join(home, "snapshots")

    def path_of(self, name: str) -> str:
        """Where the snapshot of this name is. Raises UsageError for what is no name."""
        if _NAME.fullmatch(name) is None:
            hint = "up to 64 letters, digits, _ . and -, the first one no . and no -"
            raise UsageError(f"{name!r} is no name for a snapshot", hint=hint)
        return os.path.join(self._folder, name + _SUFFIX)

    def save(self, name: str, snapshot: Snapshot) -> str:
        """Save a snapshot in the place of an older one of this name; gives its path.

        Raises UsageError for a name that is none, RequestError where the disk refuses.
        """
        path = self.path_of(name)
        make_private_folder(self._folder)
        try:
            replace_file(path, encode_snapshot(snapshot))
        except OSError as error:
            raise RequestError(f"cannot save {path}: {error.strerror}") from error
        return path

    def read(self, name: str) -> Snapshot:
        """The snapshot of this name.

        Raises NotFoundError, with the names that there are, where there is none, and RequestError for a
        file that cannot be used.
        """
        path = self.path_of(name)
        try:
            check_owner(path)
            with open(path, "rb") as file:
                return decode_snapshot(file.read())
        except FileNotFoundError:
            raise self._missing(name) from None
        except OSError as error:
            raise RequestError(f"cannot read {path}: {error.strerror}") from error
        except StateError as error:
            raise RequestError(f"the snapshot {path} cannot be used: {error}") from error

    def names(self) -> list[str]:
        """The names of all snapshots, in order."""
        try:
            entries = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        stems = (entry.removesuffix(_SUFFIX) for entry in entries if entry.endswith(_SUFFIX))
        return sorted(stem for stem in stems if _NAME.fullmatch(stem))

    def check(self, name: str) -> None:
        """Raise NotFoundError where there is no snapshot of this name."""
        if not os.path.lexists(self.path_of(name)):
            raise self._missing(name)

    def remove(self, name: str) -> None:
        """Remove the snapshot of this name; raises NotFoundError where there is none."""
        path = self.path_of(name)
        try:
            os.unlink(path)
        except FileNotFoundError:
            raise self._missing(name) from None
        except OSError as error:
            raise RequestError(f"cannot remove {path}: {error.strerror}") from error

    def _missing(self, name: str) -> NotFoundError:
        from difflib import get_close_matches

        names = self.names()
        if not names:
            hint = "there is none yet; `pypm save` makes one"
        elif close := get_close_matches(name, names, n=3):
            hint = f"did you mean {' or '.join(close)}?"
        else:
            hint = f"there are: {', '.join(names[:8])}" + (" …" if len(names) > 8 else "")
        return NotFoundError(f"no snapshot {name!r}", hint=hint)
