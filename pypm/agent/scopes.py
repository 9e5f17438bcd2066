"""What a ``with`` block is about, with ``async with`` alike: entering and leaving it never waits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Scope"]


class Scope(ABC):
    """A block that is begun and ended; one object may be entered several times."""

    @abstractmethod
    def _begin(self) -> None:
        """The block begins."""

    @abstractmethod
    def _end(self, *, failed: bool) -> None:
        """The block is over; ``failed``: by an exception."""

    def __enter__(self) -> None:
        self._begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(failed=kind is not None)

    async def __aenter__(self) -> None:
        self._begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(failed=kind is not None)
