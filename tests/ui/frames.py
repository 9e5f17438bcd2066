"""The scenes of which there are pictures; run as a program it makes the pictures anew.

python tests/ui/frames.py
"""

from __future__ import annotations

import asyncio
import html
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

TESTS = Path(__file__).resolve().parents[1]
STILL = 6
"""So many pictures in a row are alike before one is taken."""
FRAMES = Path(__file__).parent / "frames"

if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS / "ui"), str(TESTS.parent)]

from fake_source import WORDS, FakeSource, chatter, company, no_master  # noqa: E402
from textual.pilot import Pilot  # noqa: E402

from pypm.tui.log_buffer import LogLine  # noqa: E402
from pypm.tui.screen import Monit  # noqa: E402


class Scene(NamedTuple):
    """A size, what is pressed, and what has to be on the screen before the picture is taken."""

    size: tuple[int, int]
    keys: tuple[str, ...]
    sees: str
    colours: bool = True
    lost: bool = False


SCENES = {
    "wide": Scene((160, 30), ("g", "o", "o", "home", "space", "down"), "✓"),
    "narrow": Scene((80, 24), ("down", "e"), "Traceback"),
    "question": Scene((80, 24), ("x",), "y yes"),
    "help": Scene((80, 50), ("?",), "group by namespace"),
    "metrics": Scene((120, 40), ("4",), "memory, the last"),
    "runs": Scene((120, 30), ("5",), "now, for"),
    "colourless": Scene((80, 24), ("down",), "step 30", colours=False),
    "no-master": Scene((80, 24), (), "no master", lost=True),
}
"""The first is that of the documentation."""


async def picture(name: str) -> str:
    """The SVG of a scene, without the number that each has of its own."""
    scene = SCENES[name]
    with mock.patch.dict(os.environ, {} if scene.colours else {"NO_COLOR": "1"}):
        app = monit(scene)
    async with app.run_test(size=scene.size) as pilot:
        for keys in (None, *scene.keys):
            if keys is not None:
                await pilot.press(keys)
            while not is_there(app, scene):
                await pilot.pause(0.01)
        while scene.sees not in screen_text(app):
            await pilot.pause(0.01)
        return await settled(app, pilot)


async def settled(app: Monit, pilot: Pilot[None]) -> str:
    """The picture, when nothing has moved on it for a while: scrollbars follow what they stand beside."""
    pictures: list[str] = []
    while len(pictures) < STILL or len(set(pictures[-STILL:])) > 1:
        await pilot.pause(0.05)
        app.screen.refresh(layout=True)
        pictures.append(normal(app.export_screenshot(title="pypm monit")))
    return pictures[-1]


def monit(scene: Scene) -> Monit:
    """The screen, with a past that does not depend on how often it has asked."""
    rows = company()
    source = FakeSource(rows, {row["id"]: [*chatter(), LogLine("[b]markup is text[/b]")] for row in rows})
    if scene.lost:
        source.answer = no_master()
    source.metrics = {}  # of them there is one value for each time that was asked
    app = Monit(source, WORDS)
    take = app.board.take

    def take_with_a_past(rows: list[dict[str, Any]]) -> None:
        app.board.samples.clear()
        for step in range(40):
            take([{**row, **before(row, step)} for row in rows])
        take(rows)

    app.board.take = take_with_a_past  # type: ignore[method-assign, assignment]
    return app


def before(row: dict[str, Any], step: int) -> dict[str, Any]:
    """What an instance used a while ago."""
    if row["pid"] is None:
        return {}
    wave = (step * (row["id"] + 3)) % 17 / 17
    return {
        "cpu_percent": row["cpu_percent"] * (0.3 + wave),
        "memory_bytes": row["memory_bytes"] * (0.5 + step / 80),
    }


def is_there(app: Monit, scene: Scene) -> bool:
    """Whether all has come that was asked for."""
    if scene.lost:
        return app._lost is not None
    side = app.side
    if side.row is None or side.row["id"] != app.table.current:
        return False
    return bool(side.pane._texts)


def screen_text(app: Monit) -> str:
    """What is on the screen."""
    return "\n".join("".join(each.text for each in strip) for strip in app.screen._compositor.render_strips())


def normal(svg: str) -> str:
    """A picture without the number in its names, which follows from all that is in it."""
    return re.sub(r"terminal-\d+", "terminal-0", svg)


def text_of(svg: str) -> list[str]:
    """The texts of a picture, line by line."""
    lines: dict[str, str] = {}
    for place, text in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>(.*?)</text>', svg):
        lines[place] = lines.get(place, "") + html.unescape(text).replace("\xa0", " ")
    return ["".join(line.split()) for _, line in sorted(lines.items(), key=lambda item: float(item[0]))]


def main() -> None:
    """Make all pictures."""
    import textual

    os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor"})
    FRAMES.mkdir(exist_ok=True)
    for name in SCENES:
        (FRAMES / f"{name}.svg").write_text(asyncio.run(picture(name)))
    (FRAMES / "textual-version").write_text(textual.__version__ + "\n")
    (TESTS.parent / "docs" / "monit.svg").write_text((FRAMES / "wide.svg").read_text())


if __name__ == "__main__":
    main()
