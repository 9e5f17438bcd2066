"""Wait for what another process does, without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["wait_until"]

T = TypeVar("T")

PAUSE = 0.01


def wait_until(condition: Callable[[], T], timeout: float = 20.0, what: str = "") -> T:
    """Call ``condition`` until it gives something true, and give that.

    Raises AssertionError with ``what`` and the last value after ``timeout`` seconds.
    """
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"not within {timeout:g} s: {name} (last value: {value!r})")
        time.sleep(PAUSE)
