"""What the readers of other formats have in common: a file that is being drafted, and values in our words."""

from __future__ import annotations

import re

from pypm.config.draft import AppDraft, render
from pypm.config.program import shell_sign

__all__ = ["NO_EQUAL", "FileDraft", "app_name", "put_command", "seconds"]

NO_EQUAL = "no equal here"
"""Begins the comment on a line that has none."""


class FileDraft:
    """Apps, and notes on what belongs to none of them."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.apps: list[AppDraft] = []
        self.notes: list[str] = []
        self.names: dict[str, str] = {}
        """Of apps, where they have another name over there."""

    @property
    def open_points(self) -> list[str]:
        """All notes, with the app's name where they are about one."""
        of_apps = [f"{app.settings.get('name')}: {note}" for app in self.apps for note in app.notes]
        return [*self.notes, *of_apps]

    def text(self) -> str:
        """The ecosystem file."""
        head = [f"Made by `pypm import` from {self.source}. Read the notes, `pypm validate`, `pypm start`."]
        notes = ["", "What is not in it:", *(f"- {note}" for note in self.notes)] if self.notes else []
        return render([*head, *notes], self.apps)


def app_name(words: str) -> str:
    """``words`` as the name of an app: signs that targets have are replaced."""
    name = re.sub(r"[/:\s]+", "-", words).strip("-")
    return "app-all" if name == "all" else name or "app"


def put_command(app: AppDraft, command: str, comment: str = "") -> None:
    """Let the app run ``command``, by a shell if only that understands it."""
    app.put("command", command, comment)
    if shell_sign(command):
        app.put("shell", True, "it has signs that only a shell understands")


def seconds(number: float) -> str:
    """A duration as a person writes it: ``90s``, ``0.5s``, ``10m``."""
    for unit, size in (("h", 3600), ("m", 60)):
        if number >= size and number % size == 0:
            return f"{number // size:g}{unit}"
    return f"{number:g}s"
