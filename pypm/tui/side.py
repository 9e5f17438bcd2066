"""The side of the selected instance: its tabs, and the pane of the one that is open."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from pypm.tui.feeds import Chosen, EventsCame, FactsCame, LogBegan, LogCame
from pypm.tui.lines_pane import LinesPane
from pypm.tui.log_pane import LogPane
from pypm.tui.panes import MetricSamples, event_lines, fact_lines, metric_lines, run_lines
from pypm.tui.rows import Board, Row
from pypm.tui.source import Words
from pypm.tui.text import cut, display_width, one_line

__all__ = ["TABS", "Side"]

TABS = ("log", "why", "events", "metrics", "runs")
LONGEST_NAME = 24


class Side(Vertical):
    """Shows one instance in one of several tabs."""

    class Turned(Message):
        """Another tab is open, or it has another width."""

    def __init__(self, board: Board, words: Words, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._board = board
        self._words = words
        self._metrics = MetricSamples()
        self.log_pane = LogPane(id="pane-log")
        self._panes: dict[str, LinesPane] = {
            "log": self.log_pane,
            **{tab: LinesPane(id=f"pane-{tab}") for tab in TABS if tab != "log"},
        }
        self.tab = "log"
        self.row: Row | None = None

    @property
    def pane(self) -> LinesPane:
        """The pane of the open tab."""
        return self._panes[self.tab]

    @property
    def chosen(self) -> Chosen:
        """What is to be read for it."""
        return Chosen(self.row, self.tab, max(self.size.width - 1, 20))

    def compose(self) -> ComposeResult:
        """A line of tabs and the panes, one of which is seen."""
        with Horizontal(id="bar"):
            yield Static(id="tabs")
            yield Static(id="state")
        yield from self._panes.values()

    def on_mount(self) -> None:
        """Open the first tab."""
        self.open(self.tab)

    def on_resize(self) -> None:
        """What was laid out for another width is said anew."""
        self._show_bar()
        self.post_message(self.Turned())

    def open(self, tab: str) -> None:
        """Open a tab; the focus stays with the side, if it has it."""
        had_focus = self.pane.has_focus
        self.tab = tab
        for name, pane in self._panes.items():
            pane.set_class(name == tab, "-open")
        if had_focus:
            self.pane.focus()
        self._show_bar()
        self.post_message(self.Turned())

    def turn(self, step: int) -> None:
        """Open the tab beside."""
        self.open(TABS[(TABS.index(self.tab) + step) % len(TABS)])

    def select(self, row: Row | None) -> None:
        """Show another instance, or what has become of the same one."""
        is_other = (row or {}).get("id") != (self.row or {}).get("id")
        self.row = row
        if is_other:
            for pane in self._panes.values():
                pane.show([])
            self.log_pane.begin([])
        self._show_bar()

    def take_log(self, message: LogBegan) -> None:
        """Lines of the log have come."""
        if self._is_shown(message.number):
            (self.log_pane.take if isinstance(message, LogCame) else self.log_pane.begin)(message.lines)

    def take_facts(self, message: FactsCame) -> None:
        """All about the instance has come."""
        if not self._is_shown(message.number) or self.tab not in ("why", "metrics", "runs"):
            return
        detail = message.detail
        if detail is None:
            self.pane.show([(one_line(message.why), "note")])
        elif self.tab == "why":
            if message.why:  # else it was asked for another tab
                self.pane.show(fact_lines(message.why))
        elif self.tab == "runs":
            self.pane.show(run_lines(detail))
        else:
            self._show_metrics(detail)

    def take_events(self, message: EventsCame) -> None:
        """Its events have come."""
        if self._is_shown(message.number) and self.tab == "events":
            self.pane.show(event_lines(message.events, self._words.event))

    def on_log_pane_changed(self) -> None:
        """It follows, or does not, or has found something."""
        self._show_bar()

    def _show_metrics(self, detail: dict[str, Any]) -> None:
        samples = self._board.samples.get(detail["id"])
        if samples is None:
            return
        own = self._metrics.take(detail)
        # The pane itself has no size yet when it has just been opened.
        width, height = self.chosen.width, self.size.height - 1
        self.pane.show(metric_lines(samples, detail, own, width, height))

    def _is_shown(self, number: int) -> bool:
        return self.row is not None and self.row["id"] == number

    def _show_bar(self) -> None:
        if not self.is_mounted or not self.query("#state"):
            return  # not there yet, or not any more
        name = "no instance" if self.row is None else one_line(str(self.row["name"]))
        room = max(self.size.width - 40, 8)
        parts = [Content.styled(cut(name, min(display_width(name), LONGEST_NAME, room)), "bold")]
        for number, tab in enumerate(TABS, 1):
            link = f"[@click=app.tab('{tab}')]{number} {tab}[/]"
            parts.append(Content.from_markup(f"[reverse bold]{link}[/]" if tab == self.tab else link))
        self.query_one("#tabs", Static).update(Content("  ").join(parts))
        state = self.log_pane.state if self.tab == "log" else ""
        self.query_one("#state", Static).update(Content(state))
