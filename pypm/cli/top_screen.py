"""The terminal of ``pypm top``: a frame each second, and keys."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from pypm.cli.top import by_size, frame_of
from pypm.core.errors import PypmError

__all__ = ["screen_of", "watch"]

PACE = 1.0
"""Seconds from one frame to the next."""

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The terminal's other screen without a cursor, and back."""

HOME, END_OF_LINE, REST = "\x1b[H", "\x1b[K", "\x1b[J"

KEYS = {"c": "cpu", "m": "memory"}


def watch(look: Callable[[], list[dict[str, Any]]], sort: str) -> None:
    """Show what ``look`` gives until somebody presses ``q``; a master that is gone is waited for."""
    shows_processes, rows, trouble = True, look(), ""
    with _terminal():
        while True:
            size = shutil.get_terminal_size()
            text = frame_of(by_size(rows, sort), sort, size.columns - 1, processes=shows_processes)
            sys.stdout.write(
                screen_of(text, trouble or f"c cpu · m memory · p processes · q quit   by {sort}", size)
            )
            sys.stdout.flush()
            key = _key(PACE)
            if key in ("q", None):
                return
            sort = KEYS.get(key, sort)
            shows_processes = shows_processes != (key == "p")
            if key == "":
                try:
                    rows, trouble = look(), ""
                except PypmError as error:
                    trouble = f"{error.message}; asked again each second · q quit"


def screen_of(text: str, last: str, size: os.terminal_size) -> str:
    """Give what a terminal needs to show as much of ``text`` as it has lines for, and ``last`` below."""
    lines = text.splitlines()
    room = max(1, size.lines - 1)
    if len(lines) > room:
        lines = lines[:room]
    shown = [*lines, *[""] * (room - len(lines)), last[: size.columns - 1]]
    return HOME + "\r\n".join(f"{line}{END_OF_LINE}" for line in shown) + REST


def _key(seconds: float) -> str | None:
    """The key that was pressed within ``seconds``; empty: none; None: nobody can press one any more."""
    descriptor = sys.stdin.fileno()
    if not select.select([descriptor], [], [], seconds)[0]:
        return ""
    pressed = os.read(descriptor, 64)
    return pressed[:1].decode("ascii", "replace") if pressed else None


@contextmanager
def _terminal() -> Iterator[None]:
    """Keys come one by one and unseen, on a screen of its own; afterwards all is as it was."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    handler = signal.signal(signal.SIGTERM, _leave)
    try:
        tty.setcbreak(descriptor)
        sys.stdout.write(ENTER)
        yield
    finally:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTERM, handler)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
