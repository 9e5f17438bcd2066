"""What stands over the screen for a moment: a question, a word to be typed, the help."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

__all__ = ["Ask", "Confirm", "Help"]


class Confirm(ModalScreen[bool]):
    """A question that only ``y`` answers with yes; enter does not, so that nothing happens by accident."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q,enter", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question and how to answer it."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="question")
            yield Static(
                "[@click=screen.answer(True)][b]y[/b] yes[/]   [@click=screen.answer(False)][b]n[/b] no[/]"
            )

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)


class Ask(ModalScreen[str | None]):
    """A word to be typed; escape gives None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self, question: str, example: str) -> None:
        super().__init__()
        self._question = question
        self._example = example

    def compose(self) -> ComposeResult:
        """The question and a line to type in."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="question")
            yield Input(placeholder=self._example, compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Close with what was typed; with nothing where it is empty."""
        self.dismiss(event.value.strip() or None)

    def action_leave(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


class Help(ModalScreen[None]):
    """All keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter,ctrl+c", "leave", "Close")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The keys, to scroll through where there is little room."""
        with VerticalScroll(classes="dialog help"):
            yield Static(self._text)

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)
