"""The examples of the documentation are right: files load, programs compile, commands and options exist."""

from __future__ import annotations

import ast
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from documentation import WRITTEN, blocks, name_of

from pypm import agent
from pypm.cli.main import group
from pypm.cli.verbs import ALIASES, VERBS
from pypm.config import load
from pypm.config.schema import ecosystem_schema


def examples(language: str) -> list[Any]:
    return [
        pytest.param(block, id=f"{name_of(page)}-{number}")
        for page in WRITTEN
        for number, block in enumerate(blocks(page, language))
    ]


# -- ecosystem files

SCHEMA = jsonschema.Draft7Validator(ecosystem_schema())


def make_executable(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)


def make_what_it_names(app: dict[str, Any], folder: Path) -> None:
    """The files that an app of an example needs, so that only the example itself can be wrong."""
    cwd = folder / app.get("cwd", ".")
    cwd.mkdir(parents=True, exist_ok=True)
    if venv := app.get("venv"):
        (folder / venv / "bin").mkdir(parents=True)
        (folder / venv / "pyvenv.cfg").touch()
        (folder / venv / "bin" / "python").symlink_to(sys.executable)
    if script := app.get("script"):
        make_executable(cwd / script)
    if command := app.get("command"):
        program = (command if isinstance(command, list) else shlex.split(command))[0]
        make_executable(folder / "bin" / program)
        if venv:
            make_executable(folder / venv / "bin" / program)


@pytest.mark.parametrize("block", examples("toml"))
def test_ecosystem_files_load(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [error.message for error in SCHEMA.iter_errors(tomllib.loads(block))] == []
    text = block.replace('"/srv/', f'"{tmp_path}/srv/')
    apps = tomllib.loads(text)["apps"]  # a piece of a file is written as an indented block
    for app in apps:
        make_what_it_names(app, tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (tmp_path / "ecosystem.toml").write_text(text)
    assert [spec.name for spec in load(str(tmp_path / "ecosystem.toml"))] == [app["name"] for app in apps]


# -- programs


def words_of_the_agent_module(tree: ast.AST) -> set[str]:
    """What a program says of ``pypm.agent``: ``checkpoint`` in ``agent.checkpoint.load()``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "agent"
    }


@pytest.mark.parametrize("block", examples("python"))
def test_programs_compile_and_say_what_there_is(block: str) -> None:
    tree = compile(block, "<example>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    compile(block, "<example>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert [word for word in words_of_the_agent_module(tree) if not hasattr(agent, word)] == []


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_what_pages_say_of_the_agent_module_is_there(page: Path) -> None:
    words = re.findall(r"`agent\.(\w+)", page.read_text(encoding="utf-8"))
    assert [word for word in words if not hasattr(agent, word)] == []


# -- commands

IN_CODE = re.compile(r"`pypm ([^`\n]+)`|^(?: {4,}|\$ )pypm ([^\n]+)$", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
OF_ALL = {"-h", "--help", "-v", "--version"}
PLACEHOLDER = re.compile(r"[A-Z…]+|-.*")


def commands(page: Path) -> list[str]:
    """What a page says after ``pypm``, in blocks of code and in sentences, without a program's own words."""
    found = (match[1] or match[2] for match in IN_CODE.finditer(page.read_text(encoding="utf-8")))
    alone = (re.split(r"\s#|\s--(?:\s|$)|[|;&>]\s|\s{3}", each)[0] for each in found)
    return [re.sub(r"'[^']*'|\"[^\"]*\"", "''", each) for each in alone]


def options_of(command: click.Command) -> set[str]:
    return OF_ALL | {
        name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
    }


def faults_of(words: str) -> Iterator[str]:
    """What is wrong with a command: its verb, or an option."""
    verb, *rest = words.removeprefix("help ").split()
    if PLACEHOLDER.fullmatch(verb):
        return
    if verb not in VERBS and verb not in ALIASES:
        yield f"pypm {words}: no such verb"
        return
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    known = options_of(command)
    for option in OPTION.findall(" ".join(rest)):
        letters = [f"-{letter}" for letter in option[1:]] if not option.startswith("--") else [option]
        if option not in known and not known.issuperset(letters):
            yield f"pypm {words}: no such option {option}"


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    assert [fault for words in commands(page) for fault in faults_of(words)] == []


def test_commands_are_found_and_looked_at() -> None:
    page = next(page for page in WRITTEN if page.name == "README.md" and page.parent.name != "benchmarks")
    assert "start ecosystem.toml" in [words.strip() for words in commands(page)]
    assert list(faults_of("begin x")) == ["pypm begin x: no such verb"]
    assert list(faults_of("stop x --hard")) == ["pypm stop x --hard: no such option --hard"]
    assert list(faults_of("logs x -fn 5 --no-follow")) == []
