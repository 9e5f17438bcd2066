"""What is to be started at boot: the guardian of one home, as one user."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pypm.core.errors import RequestError, UsageError

__all__ = ["MARK", "BootJob"]

MARK = "pypm home: "
"""Stands in what is written, with the home behind it, so that it is found again as ours."""


@dataclass(frozen=True)
class BootJob:
    """The guardian of ``home``; raises PypmError for a name or path that cannot stand in a unit."""

    name: str
    home: str
    """Absolute path."""
    python: str
    """Absolute path of the interpreter of this installation."""
    guardian: str
    """Absolute path of the guardian's program."""
    system: bool = False
    """The machine's own service manager starts it, not the user's."""
    user: str | None = None
    """Whom it runs as where the machine starts it; None: root."""

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise UsageError(f"{self.name!r} is no name for a service: letters, digits, - _ and . only")
        for path in (self.home, self.python, self.guardian):
            if not path.isprintable() or not os.path.isabs(path):
                raise RequestError(f"the path {path!r} cannot stand in a service's file")

    @property
    def command(self) -> tuple[str, ...]:
        """The argument vector of the guardian."""
        return (self.python, "-I", "-S", self.guardian, self.home)
