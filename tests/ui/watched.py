"""The screen with a pilot: what a person presses, and what is to be seen then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fake_source import WORDS, FakeSource, chatter, company
from textual.pilot import Pilot

from pypm.tui.screen import Monit

DEADLINE = 30.0


class Watched:
    """The screen, its pilot and the source it shows."""

    def __init__(self, app: Monit, pilot: Pilot[None], source: FakeSource) -> None:
        self.app = app
        self.pilot = pilot
        self.source = source

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until something is true; it is asked for after all messages that there are."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"not within {DEADLINE:g} s: {what}\n{self.text}"
            await self.pilot.pause(0.01)

    async def sees(self, *texts: str) -> None:
        """Wait until all of these texts are on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), f"to see {texts}")

    async def sees_no_more(self, text: str) -> None:
        """Wait until a text is not on the screen."""
        await self.until(lambda: text not in self.text, f"to see no {text}")

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)

    @property
    def current(self) -> str:
        """The name of the current instance."""
        number = self.app.table.current
        return "" if number is None else str(self.app.board.rows[number]["name"])


@asynccontextmanager
async def watching(source: FakeSource, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Watched]:
    """The screen of ``source``, once it has its first list and the first log."""
    app = Monit(source, WORDS)
    async with app.run_test(size=size, notifications=True) as pilot:
        watched = Watched(app, pilot, source)
        if not isinstance(source.answer, Exception) and source.answer:
            await watched.until(lambda: app.board.rows and app.side.log_pane.buffer.lines, "the first frame")
        yield watched


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the terminal of who runs the tests nor its colours matter."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


Scene = Callable[[Watched], Awaitable[None]]


@pytest.fixture
def play() -> Callable[..., FakeSource]:
    """Play a scene on a screen; gives the source afterwards."""

    def played(
        scene: Scene,
        rows: list[dict[str, Any]] | None = None,
        size: tuple[int, int] = (80, 24),
        lost: Exception | None = None,
    ) -> FakeSource:
        shown = company() if rows is None else rows
        source = FakeSource(shown, {row["id"]: chatter() for row in shown})
        if lost is not None:
            source.answer = lost

        async def main() -> None:
            async with watching(source, size) as watched:
                await scene(watched)

        asyncio.run(main())
        return source

    return played
