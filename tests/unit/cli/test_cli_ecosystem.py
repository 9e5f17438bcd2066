"""``pypm ecosystem``, ``pypm validate`` and ``pypm schema``."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import click
import jsonschema
import pytest

from pypm.cli import ecosystem
from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.config import load
from pypm.config.schema import ecosystem_schema

Capture = pytest.CaptureFixture[str]


def pypm(*words: str) -> int | None:
    return guarded(run, list(words))


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Sit at a terminal and type these lines."""
    rest = iter(lines)
    monkeypatch.setattr(ecosystem, "_is_terminal", lambda: True)
    monkeypatch.setattr(click.termui, "visible_prompt_func", lambda _: next(rest))


# --- ecosystem ---


def test_it_writes_a_file_that_loads_and_is_valid(folder: Path, capfd: Capture) -> None:
    (folder / "worker.py").write_text("")
    (folder / "api_server.py").write_text("")
    assert pypm("init") == 0
    output = capfd.readouterr()
    assert output.out == "wrote ecosystem.toml: api_server, worker\nnext: pypm start\n"
    assert output.err == ""
    text = (folder / "ecosystem.toml").read_text()
    assert [spec.name for spec in load("ecosystem.toml")] == ["api_server", "worker"]
    assert list(jsonschema.Draft7Validator(ecosystem_schema()).iter_errors(tomllib.loads(text))) == []


def test_in_an_empty_folder_there_is_an_example_that_starts(folder: Path) -> None:
    assert pypm("ecosystem") == 0
    (spec,) = load("ecosystem.toml")
    assert spec.name == "example"


def test_what_it_suggests_in_comments_is_valid_too(folder: Path) -> None:
    (folder / "worker.py").write_text("")
    (folder / ".env").write_text("")
    suggested = "\n".join(ecosystem.MORE).replace("[apps.schedule]", "[apps.schedule]\n#")
    text = (
        f'[[apps]]\nname = "model-server"\ncommand = "sleep 1"\n[[apps]]\nscript = "worker.py"\n{suggested}\n'
    )
    (folder / "e.toml").write_text(text)
    assert [spec.name for spec in load("e.toml")] == ["model-server", "worker"]


def test_it_leaves_a_file_that_is_there_alone(folder: Path, capfd: Capture) -> None:
    (folder / "ecosystem.toml").write_text("mine")
    assert pypm("ecosystem") == 1
    assert "hint: --force replaces it" in capfd.readouterr().err
    assert pypm("ecosystem", "--dry-run") == 0
    assert "[[apps]]" in capfd.readouterr().out
    assert (folder / "ecosystem.toml").read_text() == "mine"
    assert pypm("ecosystem", "--force") == 0
    assert "[[apps]]" in (folder / "ecosystem.toml").read_text()


def test_on_a_terminal_it_asks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "worker.py").write_text("")
    (folder / "main.py").write_text("")
    answer(monkeypatch, "n", "y", "lots", "500M", "y")
    assert pypm("ecosystem") == 0
    (spec,) = load("ecosystem.toml")
    assert (spec.name, spec.max_memory, spec.watch is not None) == ("worker", 500 * 1024**2, True)


def test_where_nothing_is_found_it_asks_for_a_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "sleep 1000", "", "n")
    assert pypm("ecosystem", "agents.toml") == 0
    (spec,) = load("agents.toml")
    assert (spec.name, spec.command[1:], spec.max_memory, spec.watch) == ("sleep", ("1000",), None, None)


def test_a_file_that_would_not_start_is_said_to_be_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    answer(monkeypatch, "no-such-program", "", "n")
    assert pypm("ecosystem") == 1
    output = capfd.readouterr()
    assert "'no-such-program' is not found" in output.err
    assert "pypm validate ecosystem.toml" in output.err


def test_a_file_of_pm2_beside_it_is_named(folder: Path, capfd: Capture) -> None:
    (folder / "ecosystem.config.js").write_text("")
    assert pypm("ecosystem") == 0
    assert "pypm start ecosystem.config.js" in capfd.readouterr().err


@pytest.mark.parametrize(("words", "status"), [(["plain"], 2), (["no/where.toml"], 1)])
def test_where_it_cannot_write(folder: Path, words: list[str], status: int) -> None:
    assert pypm("ecosystem", *words) == status


def test_its_json(folder: Path, capfd: Capture) -> None:
    assert pypm("ecosystem", "--json") == 0
    expected = {"file": "ecosystem.toml", "apps": ["example"], "written": True, "fault": ""}
    assert json.loads(capfd.readouterr().out) == expected


# --- validate ---


def test_a_right_file(folder: Path, capfd: Capture) -> None:
    (folder / "ecosystem.toml").write_text('[[apps]]\nname = "a"\ncommand = "sleep 1"\n')
    assert pypm("validate") == 0
    assert capfd.readouterr().out == "ecosystem.toml: ok, 1 app: a\n"


def test_all_faults_of_all_files_are_told(folder: Path, capfd: Capture) -> None:
    (folder / "a.toml").write_text('[[apps]]\ncommand = "sleep 1"\nkill_timout = 1\nautostart = "no"\n')
    (folder / "b.json").write_text("{")
    (folder / "c.toml").write_text('[[apps]]\ncommand = "sleep 1"\n')
    assert pypm("validate", "a.toml", "b.json", "c.toml") == 1
    output = capfd.readouterr()
    assert output.out == "c.toml: ok, 1 app: sleep\n"
    assert 'a.toml: apps[0].kill_timout: unknown key; did you mean "kill_timeout"?' in output.err
    assert "a.toml: apps[0].autostart: " in output.err
    assert "b.json: " in output.err
    assert pypm("validate", "a.toml", "b.json", "c.toml", "--json") == 1
    answer = json.loads(capfd.readouterr().out)
    assert (answer["ok"], [file["ok"] for file in answer["files"]]) == (False, [False, False, True])
    fault = answer["files"][0]["faults"][0]
    assert (fault["place"], fault["nearest"]) == ("apps[0].kill_timout", "kill_timeout")
    assert answer["files"][1]["faults"][0]["place"] == ""


def test_a_missing_file_is_a_fault_and_not_wrong_usage(folder: Path, capfd: Capture) -> None:
    assert pypm("validate", "x.toml") == 1
    assert "x.toml: there is no such file" in capfd.readouterr().err
    assert pypm("validate") == 2


# --- schema ---


def test_the_schema_is_printed_for_people_and_on_one_line(capfd: Capture) -> None:
    assert pypm("schema") == 0
    text = capfd.readouterr().out
    assert pypm("schema", "--json") == 0
    assert json.loads(text) == json.loads(capfd.readouterr().out) == ecosystem_schema()
    assert text.count("\n") > 100
