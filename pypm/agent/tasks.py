"""A piece of work as a block that says when it begins, is done, or has failed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Task"]


class Task:
    """A task as a block, with ``with`` or ``async with``; one object may be entered several times."""

    _ids = itertools.count(1)

    def __init__(self, name: str, tell: Callable[[str, str, str], None]) -> None:
        self._name = name
        self._tell = tell
        self._entered: list[str] = []

    def __enter__(self) -> None:
        identity = str(next(self._ids))
        self._entered.append(identity)
        self._tell(self._name, "begun", identity)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tell(self._name, "done" if kind is None else "failed", self._entered.pop())

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)
