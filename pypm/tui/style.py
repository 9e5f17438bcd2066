"""How the screen looks: Textual's CSS, and the themes."""

from __future__ import annotations

__all__ = ["CSS", "THEMES"]

THEMES = ("textual-dark", "textual-light", "nord", "gruvbox", "tokyo-night", "catppuccin-mocha", "ansi-dark")
"""What the key for it goes through; the command palette has all."""

CSS = """
Screen { layout: vertical; }
#summary, #keys, #tabs, #state { height: 1; }
#summary { background: $panel; color: $foreground; text-style: bold; padding: 0 1; text-wrap: nowrap; }
#tabs, #keys, .dialog Static { link-style: none; link-background: transparent; }
#keys { background: $panel; color: $foreground; padding: 0 1; text-wrap: nowrap; }
#body { height: 1fr; layout: vertical; }
#side { height: 1fr; border-top: solid $primary; }
#table { height: 1fr; }
#bar { height: 1; background: $panel; }
#tabs { width: auto; padding: 0 1; }
#state { width: 1fr; text-align: right; padding: 0 1; text-wrap: nowrap; text-style: dim; }
#entry { height: 1; display: none; }
#entry.-open { display: block; }
.-wide #body { layout: horizontal; }
.-wide #table { width: 5fr; height: 1fr; }
.-wide #side { width: 4fr; height: 1fr; border-top: none; border-left: solid $primary; }
.-list #side { display: none; }
.-pane #table { display: none; }
.-pane #side, .-pane.-wide #side { border: none; width: 1fr; }
LinesPane { height: 1fr; display: none; scrollbar-size-horizontal: 0; }
LinesPane.-open { display: block; }
ScrollView { scrollbar-size-vertical: 1; background: $surface; }
InstanceTable { overflow-x: hidden; }
.table--head { text-style: bold; color: $text-primary; background: $panel; }
.table--group { text-style: bold; color: $text-accent; }
.table--cursor { background: $primary; color: $text; text-style: bold; }
.table--away { background: $panel; text-style: bold; }
.table--mark { color: $text-warning; text-style: bold; }
.table--good { color: $text-success; }
.table--busy { color: $text-accent; }
.table--warn { color: $text-warning; }
.table--held { color: $text-secondary; }
.table--bad { color: $text-error; text-style: bold; }
.table--dim { color: $text-muted; }
.table--line { color: $text-primary; }
.pane--head { text-style: bold; color: $text-primary; }
.pane--failure { color: $text-error; text-style: bold; }
.pane--error { color: $text-warning; }
.pane--note { text-style: italic; color: $text-muted; }
.pane--plot { color: $text-primary; }
.pane--match { text-style: reverse; }
InstanceTable:nocolor .table--cursor { text-style: bold reverse; }
InstanceTable:nocolor .table--away { text-style: bold underline; }
ModalScreen { align: center middle; }
.dialog { width: auto; max-width: 90%; height: auto; max-height: 90%; padding: 1 2; border: thick $primary;
  background: $surface; }
.dialog Static { width: auto; max-width: 100%; }
.dialog .question { margin-bottom: 1; }
.dialog Input { width: 50; max-width: 100%; }
.help { width: 78; }
"""
