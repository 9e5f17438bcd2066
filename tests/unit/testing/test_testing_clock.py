"""The fake clock stands still until it is moved."""

from __future__ import annotations

from pypm.testing import FakeClock


def test_it_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(5.0)
    assert clock() == clock() == 5.0
    assert clock.advance(2.5) == 7.5
    assert clock() == 7.5
