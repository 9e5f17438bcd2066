"""Frames of the screen, compared with those that were seen and found right.

The text of a frame is compared always, the whole picture (colours, styles) where Textual is the version that
the pictures were made with. `python tests/ui/frames.py` makes them anew, also the one of docs/monit.md.
"""

from __future__ import annotations

import asyncio

import pytest
import textual
from frames import FRAMES, SCENES, picture, text_of

MADE_WITH = (FRAMES / "textual-version").read_text().strip()


@pytest.mark.parametrize("name", SCENES)
def test_a_frame_is_as_it_was_found_right(name: str) -> None:
    expected = (FRAMES / f"{name}.svg").read_text()
    made = asyncio.run(picture(name))
    assert text_of(made) == text_of(expected)
    if textual.__version__ == MADE_WITH:
        assert made == expected


def test_each_picture_has_its_scene() -> None:
    assert {path.stem for path in FRAMES.glob("*.svg")} == set(SCENES)


def test_the_picture_of_the_documentation_is_one_of_them() -> None:
    docs = FRAMES.parents[2] / "docs" / "monit.svg"
    assert docs.read_text() == (FRAMES / "wide.svg").read_text()
