"""How a person leaves the screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from fake_source import FakeSource
from watched import Watched

Play = Callable[[Callable[[Watched], Awaitable[None]]], FakeSource]


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_a_key_leaves_and_orders_nothing(play: Play, key: str) -> None:
    async def scene(screen: Watched) -> None:
        await screen.sees("research")
        await screen.pilot.press(key)
        await screen.until(lambda: not screen.app.is_running or screen.app._exit, "it ends")

    assert play(scene).orders == []
