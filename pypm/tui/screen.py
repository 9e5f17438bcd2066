"""The screen of ``pypm monit``: wires the table, the side of the selected instance, orders and threads."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, Static

from pypm.config.units import format_size
from pypm.core.errors import PypmError, UsageError
from pypm.tui import orders
from pypm.tui.dialogs import Ask, Confirm, Help
from pypm.tui.feeds import (
    Broken,
    DetailFeed,
    EventsCame,
    FactsCame,
    LogBegan,
    LogCame,
    MasterLost,
    RowFeed,
    RowsCame,
)
from pypm.tui.keys import BINDINGS, COMMANDS, HELP, KEYS
from pypm.tui.orders import Order
from pypm.tui.rows import SORTS, Board, Row, View, summary
from pypm.tui.side import Side
from pypm.tui.source import Source, Words
from pypm.tui.style import CSS, THEMES
from pypm.tui.table import InstanceTable
from pypm.tui.text import one_line

__all__ = ["Monit", "run"]

ZOOMS = ("", "-pane", "-list")
FOREIGN = ("Theme", "Screenshot")
"""Textual's own commands that are in the palette, too."""


class Ordered(Message):
    """What came of an order."""

    def __init__(self, text: str, *, failed: bool) -> None:
        super().__init__()
        self.text = text
        self.failed = failed


class Monit(App[None]):
    """Shows ``source`` until somebody leaves; what it says in words comes from ``words``."""

    CSS = CSS
    TITLE = "pypm monit"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (140, "-wide")]  # noqa: RUF012 - as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(self, source: Source, words: Words) -> None:
        # Of the terminal's own colours none is left where no colour is wanted; of others grey would be.
        super().__init__(ansi_color=True if os.environ.get("NO_COLOR") else None)
        self.animation_level = "none"
        self._source = source
        self.board = Board()
        self.table = InstanceTable(self.board, id="table")
        self.side = Side(self.board, words, id="side")
        self._rows = RowFeed(source, self.post_message)
        self._details = DetailFeed(source, self.post_message, partial(said, words))
        self._zoom = ""
        self._lost: MasterLost | None = None
        self._has_rows = False
        self._searches = False
        """What is typed is looked for in the log, not in the list."""

    # --- what there is ---

    def compose(self) -> ComposeResult:
        """From the top: one line about all, the list, the side, a line to type in, the keys."""
        yield Static(id="summary")
        with Container(id="body"):
            yield self.table
            yield self.side
        yield Input(id="entry", compact=True)
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Begin to ask."""
        if self.no_color and "ansi-dark" in self.available_themes:
            self.theme = "ansi-dark"
        self.query_one("#keys", Static).update(Content("  ").join([_key(*each) for each in KEYS]))
        self.table.focus()
        self._show_summary()
        self._rows.start()
        self._details.start()

    def on_unmount(self) -> None:
        """Ask no more."""
        self._rows.stop()
        self._details.stop()

    # --- what comes ---

    def on_rows_came(self, message: RowsCame) -> None:
        """The list."""
        if self._lost is not None:
            self._lost = None
            self.notify("the master answers again", timeout=3)
        self._has_rows = True
        self.board.take(message.rows)
        self._renew()

    def on_master_lost(self, message: MasterLost) -> None:
        """There is no list: what was known stays, and the top line says that it is old."""
        self._lost = message
        self._show_summary()

    def on_log_began(self, message: LogBegan) -> None:
        """The log of another instance."""
        self.side.take_log(message)

    def on_log_came(self, message: LogCame) -> None:
        """More of it."""
        self.side.take_log(message)

    def on_facts_came(self, message: FactsCame) -> None:
        """All about the instance."""
        self.side.take_facts(message)

    def on_events_came(self, message: EventsCame) -> None:
        """Its events."""
        self.side.take_events(message)

    def on_broken(self, message: Broken) -> None:
        """A bug in a thread."""
        raise message.error

    def on_ordered(self, message: Ordered) -> None:
        """An order was carried out, or was not."""
        self.notify(message.text, severity="error" if message.failed else "information", markup=False)
        self._rows.wake()

    def on_instance_table_moved(self) -> None:
        """Another instance is selected."""
        self._choose()

    def on_instance_table_sort_asked(self, message: InstanceTable.SortAsked) -> None:
        """A title was clicked; a second click turns the order round."""
        view = self.table.view
        reverse = not view.reverse if view.sort == message.key else False
        self._view(sort=message.key, reverse=reverse)

    def on_instance_table_open_asked(self) -> None:
        """A row was clicked twice."""
        self.action_zoom()

    def on_side_turned(self) -> None:
        """Another tab."""
        self._details.choose(self.side.chosen)

    def _renew(self, view: View | None = None) -> None:
        self.table.renew(view)
        self._choose()
        self._show_summary()

    def _choose(self) -> None:
        number = self.table.current
        self.side.select(None if number is None else self.board.rows.get(number))
        self._details.choose(self.side.chosen)

    def _view(self, **changes: Any) -> None:
        self._renew(dataclasses.replace(self.table.view, **changes))

    def _show_summary(self) -> None:
        # While the screen closes there is none any more, and what was on its way still comes.
        for line in self.query("#summary").results(Static):
            line.update(self._summary())

    def _summary(self) -> Content:
        parts: list[str | tuple[str, str]] = []
        if self._lost is not None:
            what = "no master" if self._lost.is_gone else "the master does not answer"
            old = "; what is shown is old" if self._has_rows else f": {one_line(self._lost.hint)}"
            parts.append((f"{what}{old}  ", "bold $text-error"))
        if not self._has_rows:
            return Content.assemble("pypm  ", *(parts or ["waiting for the master …"]))
        view = self.table.view
        if view.wanted:
            shown = sum(isinstance(line, int) for line in self.table.lines)
            parts.append((f"/{one_line(view.wanted)} ({shown})  ", "bold $text-warning"))
        if self.table.marked:
            parts.append((f"{len(self.table.marked)} marked  ", "bold $text-warning"))
        words, cpu, memory = summary(list(self.board.rows.values()))
        parts.append(f"{words}  cpu {cpu:.0f}%  mem {format_size(memory)}")
        return Content.assemble("pypm  ", *parts)

    # --- the list ---

    def action_sort(self, step: int) -> None:
        """Sort by the next column."""
        place = SORTS.index(self.table.view.sort)
        self._view(sort=SORTS[(place + step) % len(SORTS)], reverse=False)
        self.notify(f"sorted by {self.table.view.sort}", timeout=2)

    def action_turn_round(self) -> None:
        """Sort the other way round."""
        self._view(reverse=not self.table.view.reverse)

    def action_group(self) -> None:
        """Group by namespace, or not."""
        self._view(grouped=not self.table.view.grouped)

    def action_mark(self) -> None:
        """Mark the current instance and go to the next one."""
        self.table.toggle_mark(self.table.current)
        self.table.action_move(1)
        self._show_summary()

    def action_mark_all(self) -> None:
        """Mark all that is shown, or nothing."""
        self.table.mark_all()
        self._show_summary()

    def action_step_back(self) -> None:
        """End what was begun last: typing, marks, the filter, the zoom, the search."""
        if self.query_one("#entry", Input).has_class("-open"):
            if not self._searches:
                self._view(wanted="")
            self._close_entry()
        elif self.table.marked:
            self.table.unmark()
            self._show_summary()
        elif self._zoom:
            self._zoom_to("")
        elif self.table.view.wanted:
            self._view(wanted="")
        else:
            self.side.log_pane.search("")

    def action_zoom(self) -> None:
        """Only the details, or both."""
        self._zoom_to("" if self._zoom else "-pane")

    def action_zoom_next(self) -> None:
        """Only the details, only the list, both."""
        self._zoom_to(ZOOMS[(ZOOMS.index(self._zoom) + 1) % len(ZOOMS)])

    def _zoom_to(self, zoom: str) -> None:
        body = self.screen
        body.remove_class(*filter(None, ZOOMS))
        if zoom:
            body.add_class(zoom)
        self._zoom = zoom
        (self.side.pane if zoom == "-pane" else self.table).focus()

    def action_other(self) -> None:
        """Go from the list to the details, or back."""
        if not isinstance(self.screen, (Ask, Confirm, Help)) and not self._zoom:
            (self.side.pane if self.table.has_focus else self.table).focus()

    def action_theme(self) -> None:
        """Show it in other colours."""
        place = THEMES.index(self.theme) if self.theme in THEMES else -1
        self.theme = THEMES[(place + 1) % len(THEMES)]
        self.notify(self.theme, timeout=2)

    def action_help(self) -> None:
        """Show all keys."""
        self.push_screen(Help(HELP))

    # --- typing ---

    def action_find(self) -> None:
        """Type what the list is to show, or what is looked for in the log, if that has the focus."""
        if self.side.log_pane.has_focus:
            self.action_search()
        else:
            self._open_entry("filter: words, -word", self.table.view.wanted, searches=False)

    def action_search(self) -> None:
        """Type what is looked for in the log."""
        if self.side.tab != "log":
            self.side.open("log")
        self._open_entry("search the log", self.side.log_pane.pattern, searches=True)

    def _open_entry(self, placeholder: str, value: str, *, searches: bool) -> None:
        entry = self.query_one("#entry", Input)
        self._searches = searches
        entry.placeholder, entry.value = placeholder, value
        entry.add_class("-open")
        entry.focus()

    def _close_entry(self) -> None:
        self.query_one("#entry", Input).remove_class("-open")
        (self.side.pane if self._searches or self._zoom == "-pane" else self.table).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The list is filtered as one types."""
        if event.input.id == "entry" and event.input.has_class("-open") and not self._searches:
            self._view(wanted=event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: what is typed holds."""
        if event.input.id != "entry":
            return
        self._close_entry()
        if self._searches and not self.side.log_pane.search(event.value):
            self.notify("that is not in these lines; `pypm logs --grep` searches them all", timeout=4)

    # --- the side ---

    def action_tab(self, tab: str) -> None:
        """Open a tab."""
        self.side.open(tab)

    def action_turn(self, step: int) -> None:
        """Open the tab beside."""
        self.side.turn(step)

    def action_pause(self) -> None:
        """Let the log stand still, or go on."""
        self.side.log_pane.toggle_pause()

    def action_wrap(self) -> None:
        """Wrap long lines of the log, or cut them."""
        self.side.log_pane.toggle_wrap()

    def action_failures(self) -> None:
        """Show only failures, or all."""
        self.side.log_pane.toggle_failures()

    def action_failure(self, step: int) -> None:
        """Go to the failure before, or the next one."""
        if not self.side.log_pane.jump_to_failure(step):
            self.notify("no failure in these lines", timeout=2)

    def action_match(self, step: int) -> None:
        """Go to the match before, or the next one."""
        if not self.side.log_pane.jump(step):
            self.notify("nothing is found", timeout=2)

    # --- orders ---

    def _targets(self) -> list[Row]:
        rows = [self.board.rows[number] for number in self.table.targets()]
        if not rows:
            self.notify("no instance is selected", severity="warning", timeout=2)
        return rows

    def action_start(self) -> None:
        """Start."""
        self._order_of(lambda rows: orders.simple("start", rows))

    def action_stop(self) -> None:
        """Stop."""
        self._order_of(lambda rows: orders.simple("stop", rows))

    def action_restart(self) -> None:
        """Restart."""
        self._order_of(lambda rows: orders.simple("restart", rows))

    def action_reload(self) -> None:
        """Reload, one instance after another."""
        self._order_of(lambda rows: orders.simple("reload", rows))

    def action_flush(self) -> None:
        """Empty the logs."""
        self._order_of(orders.flush)

    def action_delete(self) -> None:
        """Stop and forget."""
        self._order_of(orders.delete)

    def action_signal(self) -> None:
        """Send a signal, after one has typed which."""
        if rows := self._targets():
            question = f"Send which signal to {orders.names(rows)}?"
            self._ask(question, "HUP, USR1, TERM or 15", lambda word: orders.signalled(word, rows))

    def action_scale(self) -> None:
        """Set how many instances an app has, after one has typed it."""
        number = self.table.current
        if number is None:
            return
        row, rows = self.board.rows[number], list(self.board.rows.values())
        present = orders.present_of(str(row["app"]), rows)
        question = f"How many instances of {one_line(str(row['app']))}? There are {present}."
        self._ask(question, "4, +2 or -1", lambda word: orders.scaled(word, row, rows))

    def action_end_all(self) -> None:
        """Stop all agents and the master."""
        self._confirm(Order("kill", {}, "Stop all agents and pypm itself?"))

    def _order_of(self, make: Any) -> None:
        if rows := self._targets():
            self._confirm(make(rows))

    def _ask(self, question: str, example: str, make: Any) -> None:
        def typed(word: str | None) -> None:
            if word is None:
                return
            try:
                self._confirm(make(word))
            except UsageError as error:
                self.notify(f"{error.message}: {error.hint}", severity="error", markup=False)

        self.push_screen(Ask(question, example), typed)

    def _confirm(self, order: Order) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self._give(order)

        if order.question:
            self.push_screen(Confirm(order.question), answered)
        else:
            self._give(order)

    def _give(self, order: Order) -> None:
        told = orders.unmistakable(order, self.board.rows.values())
        threading.Thread(target=self._carry_out, args=(told,), daemon=True).start()

    def _carry_out(self, order: Order) -> None:
        """In a thread of its own, as an order may take its time."""
        try:
            text, failed = orders.outcome(order, self._source.order(order.method, order.params)), False
        except (PypmError, OSError) as error:
            text, failed = one_line(str(error)), True
        except Exception as error:  # a bug, which must not end a thread in silence
            self.post_message(Broken(error))
            return
        self.post_message(Ordered(text, failed=failed))

    # --- the command palette ---

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """All that keys do, by name."""
        for title, text, action in COMMANDS:
            yield SystemCommand(title, text, getattr(self, f"action_{action}"))
        yield SystemCommand("End everything", "Stop all agents and the master", self.action_end_all)
        yield SystemCommand("Help", "Show all keys", self.action_help)
        yield SystemCommand("Quit", "Leave; agents go on", self.exit)
        # Of the others some show or enlarge parts that this screen is not laid out for.
        yield from (each for each in super().get_system_commands(screen) if each.title in FOREIGN)


def _key(key: str, words: str, action: str) -> Content:
    return Content.from_markup(f"[@click=app.{action}][b]{key}[/b] {words}[/]")


def said(words: Words, detail: dict[str, Any], width: int) -> str:
    """Why an instance is as it is, and all else about it."""
    return f"{words.why(detail, width)}\n\n{words.describe(detail, width)}"


def run(source: Source, words: Words) -> None:
    """Show the screen until somebody leaves."""
    Monit(source, words).run()
