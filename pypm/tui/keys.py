"""The keys of the screen: what they do, the bottom line, the help, and the commands of the palette."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from pypm.tui.side import TABS

__all__ = ["BINDINGS", "COMMANDS", "HELP", "KEYS"]

BINDINGS: list[BindingType] = [
    Binding("q,ctrl+c", "quit", "Quit"),
    Binding("question_mark", "help", "Help"),
    Binding("slash", "find", "Find"),
    Binding("ctrl+f", "search", "Search the log"),
    Binding("escape", "step_back", "Back"),
    Binding("tab", "other", "Other side", priority=True),
    Binding("o", "sort(1)", "Sort"),
    Binding("O", "turn_round", "Turn round"),
    Binding("g", "group", "Group"),
    Binding("space", "mark", "Mark"),
    Binding("a", "mark_all", "Mark all"),
    Binding("enter", "zoom", "Zoom"),
    Binding("z", "zoom_next", "Zoom"),
    Binding("t", "theme", "Theme"),
    Binding("s", "start", "Start"),
    Binding("x", "stop", "Stop"),
    Binding("r", "restart", "Restart"),
    Binding("R", "reload", "Reload"),
    Binding("exclamation_mark", "signal", "Signal"),
    Binding("c", "scale", "Scale"),
    Binding("f", "flush", "Flush"),
    Binding("D", "delete", "Delete"),
    *(Binding(str(number), f"tab('{tab}')", tab) for number, tab in enumerate(TABS, 1)),
    Binding("left", "turn(-1)", "Tab before"),
    Binding("right", "turn(1)", "Next tab"),
    Binding("p", "pause", "Pause the log"),
    Binding("w", "wrap", "Wrap"),
    Binding("v", "failures", "Failures only"),
    Binding("e", "failure(-1)", "Failure before"),
    Binding("E", "failure(1)", "Next failure"),
    Binding("n", "match(-1)", "Match before"),
    Binding("N", "match(1)", "Next match"),
]

COMMANDS = (
    ("Start", "Start the marked instances, or the current one", "start"),
    ("Stop", "Stop them", "stop"),
    ("Restart", "Restart them", "restart"),
    ("Reload", "Renew them one after another, each ready before the next", "reload"),
    ("Send a signal", "HUP, USR1, TERM …", "signal"),
    ("Scale", "Set how many instances the app has", "scale"),
    ("Flush", "Empty their logs", "flush"),
    ("Delete", "Stop and forget them", "delete"),
    ("Filter", "Show only instances with some words", "find"),
    ("Search the log", "Find a text in the log that is shown", "search"),
    ("Group", "Group instances by namespace, or not", "group"),
    ("Mark all", "Mark all instances that are shown", "mark_all"),
    ("Pause the log", "Let it stand still, or go on", "pause"),
    ("Wrap the log", "Part long lines, or cut them", "wrap"),
    ("Failures only", "Show only failures of the log, or all of it", "failures"),
)
"""Of the palette: the title, what it does, the action of the screen."""

KEYS = (
    ("s", "start", "start"), ("x", "stop", "stop"), ("r", "restart", "restart"), ("/", "find", "find"),
    ("o", "sort", "sort"), ("␣", "mark", "mark"), ("⏎", "zoom", "zoom"),
    ("?", "help", "help"), ("q", "quit", "quit"),
)  # fmt: skip
"""Of the bottom line: the key, what it does, the action of the screen."""

HELP = """\
[b]pypm monit[/b]

[b]Instances[/b]
  ↑ ↓ j k pgup pgdn home end   go through the list
  /          filter: words of name, namespace, status, health,
             note; -word leaves out
  o O        sort by the next column, turn round; or click
  g          group by namespace
  space a    mark the instance; mark all that is shown
  esc        end filter, marks and zoom, one after the other
  enter z    only the details; only the list; both again
  tab        go from the list to the details and back

[b]Orders[/b], for the marked instances, else for the current one
  s start    x stop    r restart    R reload
  !          send a signal        c   scale the app: 4, +2, -1
  f          empty the logs       D   delete
  What stops or loses something asks first; only [b]y[/b] says yes.

[b]Details[/b]
  1 log   2 why   3 events   4 metrics   5 runs   ← → beside
  In the log:
  p          stand still, go on   w   wrap long lines
  e E        the failure before, the next one   v   them only
  /          search, if the log has the focus; else ctrl+f
  n N        the match before, the next one     G   to the end

  ctrl+p all commands   t another theme   q quit; agents go on
  In most terminals, shift and the mouse select text.

"""
