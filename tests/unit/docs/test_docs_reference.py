"""The pages that are made from the code have all of it, and docs/events.md knows every event."""

from __future__ import annotations

import re

import click
import pytest
from documentation import DOCS, made, reference

from pypm.cli.main import group
from pypm.cli.verbs import ALIASES, VERBS
from pypm.config import keys
from pypm.protocol.names import KEYED, METHODS

EVENTS = (DOCS / "events.md").read_text(encoding="utf-8")


def section(text: str, title: str, level: str = "##") -> str:
    ends = rf"^#{{2,{len(level)}}} |\Z"
    match = re.search(rf"^{level} {re.escape(title)}\n(.*?)(?={ends})", text, re.MULTILINE | re.DOTALL)
    assert match, f"there is no section {title}"
    return match[1]


@pytest.mark.parametrize("verb", dict.fromkeys(VERBS))
def test_every_verb_is_there_with_its_options_and_other_names(verb: str) -> None:
    text = section(made("reference/commands.md"), verb)
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert max(option.opts, key=len) in text
    assert all(f"`{alias}`" in text for alias, real in ALIASES.items() if real == verb)


@pytest.mark.parametrize(
    ("title", "of_table"),
    [
        ("The app", keys.KEYS),
        ("`[apps.logs]`", keys.LOG_KEYS),
        ("`[apps.health]`", keys.HEALTH_KEYS),
        ("`[apps.limits]`", keys.LIMIT_KEYS),
        ("`[apps.restart]`", keys.RESTART_KEYS),
        ("`[apps.sandbox]`", keys.SANDBOX_KEYS),
        ("`[apps.schedule]`", keys.SCHEDULE_KEYS),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_every_key_is_there_with_its_other_names(title: str, of_table: tuple[keys.Key, ...]) -> None:
    text = section(made("reference/options.md"), title)
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\([^)]*\) (.*)$", text, re.MULTILINE))
    assert list(rows) == [key.name for key in of_table]
    assert all(f"`{alias}`" in rows[key.name] for key in of_table for alias in key.aliases)


@pytest.mark.parametrize(
    ("key", "row"),
    [
        ("kill_timeout", "| duration | `10s` |  |"),
        ("max_size", "| size | `50M` |  |"),
        ("cwd", "| text |  | restart |"),
        ("max_restarts", '| `"unlimited"` or 0 or more | `16` |  |'),
        ("on_stall", "| ladder | `restart` |  |"),
    ],
)
def test_a_key_says_what_it_takes_its_default_and_what_a_change_takes(key: str, row: str) -> None:
    (found,) = re.findall(rf"^\| \[`{key}`\].*$", made("reference/options.md"), re.MULTILINE)
    assert found.endswith(row)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_there(method: str) -> None:
    text = section(made("reference/protocol.md"), method, "###")
    assert ("Takes a `key`" in text) == (method in KEYED)


def test_a_method_says_its_parameters() -> None:
    text = section(made("reference/protocol.md"), "restart", "###")
    assert "| `targets` | `list[str]` | needed |" in text
    assert "| `parallel` | `int` | `32` |" in text


def test_what_is_told_has_a_row_in_the_table_of_events() -> None:
    told = {name for name in reference().event_names() if not name.endswith("*")}
    assert {"run.ended", "hook.failed", "schedule.missed", "log.dropped"} <= told
    assert {name for name in told if f"`{name}`" not in EVENTS} == set()


def test_no_row_is_about_an_event_that_is_not_told() -> None:
    rows = re.findall(r"^\| (`[a-z]+\.[^|]*) \|", EVENTS, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([a-z]+\.[a-z_]+)`", row)}
    assert "run.ended" in documented
    told = reference().event_names()
    families = tuple(name.removesuffix("*") for name in told if name.endswith("*"))
    assert {name for name in documented if name not in told and not name.startswith(families)} == set()
