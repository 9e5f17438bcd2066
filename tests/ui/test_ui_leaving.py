"""How a person leaves the screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from fake_source import FakeSource
from rich.cells import cell_len
from textual.content import Content
from watched import Watched

from pypm.tui.keys import HELP

Play = Callable[[Callable[[Watched], Awaitable[None]]], FakeSource]


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_a_key_leaves_and_orders_nothing(play: Play, key: str) -> None:
    async def scene(screen: Watched) -> None:
        await screen.sees("research")
        await screen.pilot.press(key)
        await screen.until(lambda: not screen.app.is_running or screen.app._exit, "it ends")

    assert play(scene).orders == []


@pytest.mark.parametrize("key", ["q", "escape", "ctrl+c"])
def test_a_key_leaves_the_help_only(play: Play, key: str) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("question_mark")
        await screen.sees("go through the list")
        await screen.press(key)
        await screen.sees_no_more("go through the list")
        assert not screen.app._exit

    play(scene)


def test_no_line_of_the_help_is_broken_on_a_small_terminal(play: Play) -> None:
    async def scene(screen: Watched) -> None:
        await screen.press("question_mark")
        await screen.sees("go through the list")
        width = screen.app.screen.query_one(".help").scrollable_content_region.width
        lines = Content.from_markup(HELP).plain.splitlines()
        assert [line for line in lines if cell_len(line) > width] == []

    play(scene)
