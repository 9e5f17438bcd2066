"""The screen with a pilot, for the tests of this folder."""

from watched import plain_terminal, play

__all__ = ["plain_terminal", "play"]
