"""docs/cli.md has every verb, every alias and every option, each in the verb's own section."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pypm.cli.main import group
from pypm.cli.verbs import ALIASES, VERBS
from pypm.protocol.shapes import Detail, Row

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def section(verb: str) -> str:
    match = re.search(rf"^## {verb}\n(.*?)(?=^## )", TEXT, re.MULTILINE | re.DOTALL)
    assert match, f"docs/cli.md has no section {verb}"
    return match[1]


def command_of(verb: str) -> click.Command:
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    return command


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_in_the_section_of_its_verb(verb: str) -> None:
    words = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", section(verb)))
    for parameter in command_of(verb).params:
        # Hidden ones are PM2's; docs/from-pm2.md has them.
        if isinstance(parameter, click.Option) and not parameter.hidden:
            names = {name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--")}
            names -= {"--follow"}  # said by -f
            assert names <= words | {"--json", "--format"}, f"{verb}: {names - words}"


@pytest.mark.parametrize("verb", VERBS)
def test_a_section_names_no_option_that_there_is_not(verb: str) -> None:
    real = {
        name
        for other in VERBS
        for parameter in command_of(other).params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section(verb))) <= real


@pytest.mark.parametrize(("alias", "verb"), ALIASES.items())
def test_every_alias_is_in_the_table(alias: str, verb: str) -> None:
    (line,) = re.findall(rf"^\| \[`{verb}`\].*$", TEXT, re.MULTILINE)
    assert f"`{alias}`" in line


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_prints_json_and_lines_of_a_template(verb: str) -> None:
    options = {name for parameter in command_of(verb).params for name in parameter.opts}
    assert {"--json", "--format"} <= options


def test_every_field_of_rows_and_details_is_named() -> None:
    rows = set(re.findall(r"`(\w+)`", TEXT.partition("### Rows")[2]))
    assert set(Row.__annotations__) <= rows
    assert set(Detail.__annotations__) <= rows | set(re.findall(r"`(\w+)`", section("describe")))
