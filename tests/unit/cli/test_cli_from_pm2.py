"""docs/from-pm2.md: what it calls same or better is there, and what is not is answered with why."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pypm.cli.elsewhere import ELSEWHERE
from pypm.cli.main import group, run
from pypm.cli.pm2_options import AS_ALWAYS, REFUSED
from pypm.cli.verbs import ALIASES, VERBS
from pypm.core.errors import UsageError

PAGE = (Path(__file__).parents[3] / "docs" / "from-pm2.md").read_text()
VERBS_PART, OPTIONS_PART = re.split(r"^## Options$", PAGE, flags=re.MULTILINE)
ROWS = re.findall(r"^\| `([^`]+)` \| (same|better|not) \| (.*) \|$", VERBS_PART, re.MULTILINE)
OPTIONS = re.findall(r"^\| ((?:`[^`]+` ?)+) ?\| (same|better|not) \| (.*) \|$", OPTIONS_PART, re.MULTILINE)
NOT_AN_OPTION_OF_START = {
    "--silent",
    "--no-color",
    "--hp",
    "--wait-ip",
    "-s",
    "-u",
    "--user",
    "--service-name",
}


def command_of(verb: str) -> click.Command:
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    return command


def options_of(verb: str) -> set[str]:
    return {
        name
        for parameter in command_of(verb).params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }


def test_the_tables_are_read() -> None:
    assert len(ROWS) > 70
    assert len(OPTIONS) > 40
    assert len({verb for verb, _, _ in ROWS}) == len(ROWS)
    assert VERBS_PART.count("\n| `") == len(ROWS)
    assert OPTIONS_PART.count("\n| `") == len(OPTIONS)


@pytest.mark.parametrize(("verb", "kind", "text"), ROWS)
def test_a_verb_is_there_or_is_answered_with_why_not(verb: str, kind: str, text: str) -> None:
    if kind == "not":
        assert verb not in {*VERBS, *ALIASES}
        assert ELSEWHERE[verb]
        assert text
    else:
        assert verb in VERBS or verb in ALIASES
        assert f"`{verb}`" in text
        command_of(verb)


@pytest.mark.parametrize("verb", ELSEWHERE)
def test_a_verb_that_is_answered_is_in_the_table_and_none_of_ours(verb: str) -> None:
    assert verb == "help" or verb in {row[0] for row in ROWS}
    assert verb not in {*VERBS, *ALIASES}


@pytest.mark.parametrize("name", [*AS_ALWAYS, *REFUSED])
def test_an_option_that_is_only_pm2s_is_in_the_table(name: str) -> None:
    assert f"`{name}`" in OPTIONS_PART


@pytest.mark.parametrize(("names", "kind", "text"), OPTIONS)
def test_an_option_is_taken_or_refused(names: str, kind: str, text: str) -> None:
    for name in re.findall(r"`([^`]+)`", names):
        where = re.findall(r"`([a-zA-Z]+)`", text.partition(";")[0]) if text.startswith("of ") else ["start"]
        if kind == "not":
            assert text
            assert name in NOT_AN_OPTION_OF_START or name in options_of("start")
            assert name in NOT_AN_OPTION_OF_START or name in REFUSED or not name.startswith("--")
        else:
            for verb in where:
                assert name in options_of(verb), f"{verb} {name}"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["stop", "web", "--watch"], "is not watched"),
        (["restart", "web", "--max-memory-restart", "1G"], "`pypm apply`"),
        (["reload", "web", "-i", "3"], "--name NAME -i …"),
        (["restart", "web", "-s"], "/dev/null"),
        (["start", "web", "--silent"], "/dev/null"),
        (["list", "--no-color"], "NO_COLOR"),
        (["startup", "--hp", "/srv"], "PYPM_HOME"),
        (["startup", "--service-name", "x"], "--name"),
        (["startup", "--wait-ip"], "the network"),
        (["unstartup", "-u", "me"], "pypm unstartup --run-as"),
        (["restart", "web", "--foreground"], "--attach"),
        (["hlp", "start"], "help"),
    ],
)
def test_an_option_that_another_verb_has_is_answered_with_what_to_do(words: list[str], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(words)
    assert hint in (caught.value.hint or "")


def test_init_simple_writes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "simple"]) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["ecosystem.toml"]
