"""Which words of ``pypm start`` mean what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scripted_master import ScriptedMaster, make_change, make_row

from pypm.cli.start_plan import Plan, StartWords, order, resolve
from pypm.client.launch import connect
from pypm.core.errors import ConfigError, NotFoundError, PypmError, RequestError, UsageError

ROWS = [make_row(0, "worker"), make_row(1, "api:0", namespace="web"), make_row(2, "known.py")]
APPS = """
[[apps]]
name = "one"
command = "sleep 1"
[[apps]]
name = "two"
command = "sleep 2"
env_test = { MODE = "test" }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agent.py").write_text("print()")
    (tmp_path / "known.py").write_text("print()")
    (tmp_path / "apps.toml").write_text(APPS)
    return tmp_path


def plan(folder: Path, *words: str, **given: object) -> Plan:
    return resolve(StartWords(words, **given), ROWS, str(folder))  # type: ignore[arg-type]


def names(found: Plan) -> list[str]:
    return [spec.name for spec in found.specs]


@pytest.mark.parametrize("word", ["worker", "api", "api:0", "all", "0", "web", "work*", "/^wor/", "known.py"])
def test_what_the_master_knows_is_started(folder: Path, word: str) -> None:
    assert plan(folder, word) == Plan(targets=(word,))


def test_a_file_of_the_name_of_an_app_is_reached_by_its_path(folder: Path) -> None:
    found = plan(folder, "./known.py", options={"name": "other"})
    assert names(found) == ["other"]


def test_an_ecosystem_file_declares_its_apps(folder: Path) -> None:
    assert names(plan(folder, "apps.toml")) == ["one", "two"]


def test_only_some_apps_of_a_file(folder: Path) -> None:
    assert names(plan(folder, "apps.toml", only=("two",))) == ["two"]


def test_the_named_environment_of_a_file(folder: Path) -> None:
    found = plan(folder, "apps.toml", env_name="test")
    assert [spec.env.get("MODE") for spec in found.specs] == [None, "test"]


def test_a_script_is_an_app(folder: Path) -> None:
    (spec,) = plan(folder, "agent.py").specs
    assert spec.name == "agent"
    assert spec.command[-1] == str(folder / "agent.py")
    assert spec.cwd == str(folder)


def test_what_is_behind_the_dashes_are_arguments(folder: Path) -> None:
    (spec,) = plan(folder, "agent.py", rest=("--port", "8000")).specs
    assert spec.command[-2:] == ("--port", "8000")


def test_a_command_behind_the_dashes(folder: Path) -> None:
    (spec,) = plan(folder, rest=("sleep", "5"), options={"name": "s"}).specs
    assert (spec.name, spec.command[1:]) == ("s", ("5",))
    assert os.path.basename(spec.command[0]) == "sleep"


def test_a_command_line_in_one_word(folder: Path) -> None:
    (spec,) = plan(folder, "sleep 5").specs
    assert spec.command[1:] == ("5",)


def test_a_program_of_the_search_path(folder: Path) -> None:
    (spec,) = plan(folder, "sleep").specs
    assert os.path.basename(spec.command[0]) == "sleep"


def test_options_are_keys_of_the_app(folder: Path) -> None:
    options = {"name": "a", "instances": "3", "kill_timeout": "2s", "autorestart": False}
    (spec,) = plan(folder, "agent.py", options=options).specs
    assert (spec.name, spec.instances, spec.kill_timeout, spec.restart.autorestart) == ("a", 3, 2.0, "never")


def test_several_words_are_taken_one_by_one(folder: Path) -> None:
    found = plan(folder, "worker", "agent.py", "apps.toml", "api")
    assert names(found) == ["agent", "one", "two"]
    assert found.targets == ("worker", "api")


def test_without_words_the_file_of_the_folder_is_taken(folder: Path) -> None:
    (folder / "apps.toml").rename(folder / "ecosystem.toml")
    assert names(plan(folder)) == ["one", "two"]


@pytest.mark.parametrize(
    ("words", "given", "error", "said"),
    [
        ([], {}, UsageError, "no ecosystem file in this folder"),
        ([], {"rest": ()}, UsageError, "no command"),
        (["agnet.py"], {}, RequestError, "no such file"),
        (["sub/agent.py"], {}, RequestError, "no such file"),
        (["wroker"], {}, NotFoundError, "no app, file or program 'wroker'"),
        (["worker"], {"options": {"cwd": "/"}}, UsageError, "known already"),
        (["apps.toml"], {"options": {"max_restarts": "3"}}, UsageError, "--max-restarts"),
        (["apps.toml"], {"only": ("three",)}, ConfigError, "three"),
        (["agent.py"], {"env_name": "test"}, UsageError, "--env"),
        (["agent.py"], {"only": ("one",)}, UsageError, "--only"),
        (["agent.py", "sleep"], {"options": {"name": "a"}}, UsageError, "one program at a time"),
        (["agent.py", "sleep"], {"rest": ("1",)}, UsageError, "one program at a time"),
        (["apps.toml", "apps.toml"], {}, UsageError, "two of these apps have the name 'one'"),
        (["agent.py"], {"options": {"cron_restart": "0 0 30 2 *"}}, ConfigError, "--cron-restart"),
        (["agent.py"], {"options": {"port": 80}}, ConfigError, "not supported yet"),
    ],
)
def test_what_fits_nothing_or_does_not_go_together_is_refused(
    folder: Path, words: list[str], given: dict[str, object], error: type[PypmError], said: str
) -> None:
    with pytest.raises(error) as raised:
        plan(folder, *words, **given)
    assert said in raised.value.message


@pytest.mark.parametrize(("word", "nearest"), [("agnet.py", "agent.py"), ("wroker", "worker")])
def test_the_nearest_right_name_is_said(folder: Path, word: str, nearest: str) -> None:
    with pytest.raises(PypmError) as raised:
        plan(folder, word)
    assert nearest in str(raised.value.hint)


def test_specs_are_declared_and_targets_started(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "k")
    applied = make_change(make_row(5, "agent"), action="added", warnings=("mind this",))
    answers = {"apply": applied, "start": make_change(ROWS[0])}
    with ScriptedMaster(home, **answers) as master, connect(str(home)) as connection:
        change = order(connection, plan(folder, "worker", "agent.py"))
    (asked,) = master.asked("apply")
    assert [app["name"] for app in asked["apps"]] == ["agent"]
    assert asked["origin"]["env"]["API_KEY"] == "k"
    assert not [name for name in asked["origin"]["env"] if name.startswith("PYPM_")]
    assert isinstance(asked["origin"]["umask"], int)
    assert master.asked("start") == [{"targets": ["worker"]}]
    assert [entry["action"] for entry in change["instances"]] == ["added", "started"]
    assert change["warnings"] == ["mind this"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (".", "is a folder"),
        ("folder.toml", "is a folder"),
        ("pipe.toml", "is no regular file"),
        ("loop.toml", "is a link that leads nowhere"),
    ],
)
def test_what_is_no_file_is_called_what_it_is(folder: Path, word: str, expected: str) -> None:
    (folder / "folder.toml").mkdir()
    os.mkfifo(folder / "pipe.toml")
    (folder / "loop.toml").symlink_to("loop.toml")
    with pytest.raises(RequestError, match=expected):
        plan(folder, word)
