"""A piece of work as a block that says when it begins, is done, or has failed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from pypm.agent.scopes import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Task"]


class Task(Scope):
    """A task as a block, with ``with`` or ``async with``; one object may be entered several times."""

    _ids = itertools.count(1)

    def __init__(self, name: str, tell: Callable[[str, str, str], None]) -> None:
        self._name = name
        self._tell = tell
        self._entered: list[str] = []

    def _begin(self) -> None:
        identity = str(next(self._ids))
        self._entered.append(identity)
        self._tell(self._name, "begun", identity)

    def _end(self, *, failed: bool) -> None:
        self._tell(self._name, "failed" if failed else "done", self._entered.pop())
