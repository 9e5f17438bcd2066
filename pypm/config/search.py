"""Finding files and programs as an app would see them: its folder, its virtual environment, its PATH."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from pypm.config.faults import nearest
from pypm.config.units import shown
from pypm.core.errors import ConfigError

__all__ = ["Search", "in_path"]


class Search:
    """Where one app's paths are looked for: in ``cwd``, then in ``folder`` (that of the file), then in PATH.

    Every method gives absolute paths. Symbolic links stay as they are: the python of a virtual environment
    is one.
    """

    def __init__(self, cwd: str, folder: str, path: str) -> None:
        self.cwd = cwd
        self.folder = folder
        self.path = path
        """The app's PATH."""
        self.venv: str | None = None
        """The virtual environment in use."""
        self._fixed_venv = False

    def folders(self) -> tuple[str, ...]:
        """Where relative paths are looked for."""
        return (self.cwd,) if self.cwd == self.folder else (self.cwd, self.folder)

    def candidates(self, word: str) -> list[str]:
        """The absolute paths that a written path can mean."""
        path = os.path.expanduser(word)
        return list(dict.fromkeys(os.path.normpath(os.path.join(base, path)) for base in self.folders()))

    def file(self, word: str) -> str | None:
        """The file (not a folder) that a written path means."""
        return next((path for path in self.candidates(word) if os.path.isfile(path)), None)

    def program(self, word: str, role: str) -> str:
        """What exec gets for the word: a path, or a name in PATH, or a file; for a script that is executable
        the file comes first, as in PM2.

        Raises ConfigError if it is not there, or cannot be executed.
        """
        word = os.path.expanduser(word)
        file = self.file(word)
        if file and ("/" in word or (role == "script" and os.access(file, os.X_OK))):
            found: str | None = file
        else:
            found = in_path(word, self.path, self.cwd) or file
        if found is None:
            raise ConfigError(self._missing(word, role))
        self._check_executable(found)
        return found

    def one_of(self, names: Sequence[str]) -> str:
        """The first of these programs that is in PATH."""
        found = next((path for name in names if (path := in_path(name, self.path, self.cwd))), None)
        if found is None:
            raise ConfigError(f"the interpreter {names[0]} is not found in PATH")
        return found

    def use_venv(self, word: str | Literal[False]) -> None:
        """Use the virtual environment that is declared, or (``False``) none at all.

        Raises ConfigError if there is none at that place.
        """
        self._fixed_venv = True
        if word is False:
            return
        paths = self.candidates(word)
        found = next((path for path in paths if _is_venv(path)), None)
        if found is None:
            raise ConfigError(
                f"{shown(word)} is not a virtual environment: {paths[0]}/bin/python is not there"
            )
        self._activate(found)

    def find_venv(self, folders: Sequence[str]) -> None:
        """Use the first ``.venv`` that one of the folders has, unless the app declares which one to use."""
        if self._fixed_venv:
            return
        paths = (os.path.join(folder, ".venv") for folder in folders)
        found = next((path for path in paths if _is_venv(path)), None)
        if found:
            self._activate(found)

    def check_readable(self, path: str) -> None:
        """Raise ConfigError unless the script can be read by its interpreter."""
        if not os.access(path, os.R_OK):
            raise ConfigError(f"{path} cannot be read: permission denied")

    def _activate(self, venv: str) -> None:
        self.venv = venv
        self.path = os.pathsep.join(part for part in (os.path.join(venv, "bin"), self.path) if part)

    def _check_executable(self, path: str) -> None:
        if not os.access(path, os.X_OK):
            raise ConfigError(f"{path} is not executable: chmod +x it, or name its interpreter")
        try:
            with open(path, "rb") as file:
                first = file.readline(256)
        except OSError:
            return  # what may be executed need not be readable
        words = first[2:].split() if first.startswith(b"#!") else []
        if words and not os.path.exists(os.path.join(os.fsencode(self.cwd), words[0])):
            interpreter = words[0].decode(errors="replace")
            raise ConfigError(
                f"{path} cannot be executed: its first line asks for {interpreter}, which is not there"
            )

    def _missing(self, word: str, role: str) -> str:
        paths = self.candidates(word)
        if any(os.path.isdir(path) for path in paths):
            return f"the {role} {shown(word)} is a folder"
        places = [os.path.dirname(path) for path in paths]
        names = [name for folder in places for name in _names(folder)]
        where = " and ".join(places) + ("" if "/" in word else " and PATH")
        return f"the {role} {shown(word)} is not found in {where}{nearest(os.path.basename(word), names)}"


def in_path(name: str, path: str, cwd: str) -> str | None:
    """The program of this name (not a path) in the folders of a PATH, relative ones seen from ``cwd``."""
    if "/" in name:
        return None
    for folder in path.split(os.pathsep):
        found = os.path.join(cwd, folder, name)
        if folder and os.path.isfile(found) and os.access(found, os.X_OK):
            return os.path.normpath(found)
    return None


def _is_venv(path: str) -> bool:
    return os.path.isfile(os.path.join(path, "bin", "python"))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
