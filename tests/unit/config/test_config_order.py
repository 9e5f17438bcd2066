"""depends_on and the hooks as a person writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pypm.config import load
from pypm.core.errors import ConfigError
from pypm.core.spec import AppSpec


def file_of(folder: Path, *apps: dict[str, object]) -> str:
    (folder / "app.py").write_text("print(1)\n")
    path = folder / "one.json"
    path.write_text(json.dumps({"apps": [{"script": "app.py", **app} for app in apps]}))
    return str(path)


def faults_of(folder: Path, *apps: dict[str, object], **options: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file_of(folder, *apps), **options)
    return [line.partition(": ")[2] for line in caught.value.message.splitlines()]


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("b", {"b": "ready"}),
        (["b", "c"], {"b": "ready", "c": "ready"}),
        ({"b": "healthy", "c": "started"}, {"b": "healthy", "c": "started"}),
        ([], {}),
    ],
)
def test_the_forms_of_depends_on(tmp_path: Path, written: object, means: dict[str, str]) -> None:
    specs = load(file_of(tmp_path, {"name": "a", "depends_on": written}, {"name": "b"}, {"name": "c"}))
    assert specs[0].depends_on == means


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        (
            {"b": "redy"},
            "b: 'redy' is no condition: expected started, ready, healthy, completed; did you mean \"ready\"?",
        ),
        ({"b": ["ready"]}, "b: ['ready'] is no condition: expected started, ready, healthy, completed"),
        (7, "7 is a number: expected text"),
        (["c"], 'there is no app "c"'),
        (["bb"], 'there is no app "bb"; did you mean "b"?'),
        (["a"], "apps depend on each other in a circle: a -> a"),
    ],
)
def test_what_depends_on_cannot_be(tmp_path: Path, written: object, fault: str) -> None:
    found = faults_of(tmp_path, {"name": "a", "depends_on": written}, {"name": "b"})
    assert found == [f"apps[0].depends_on (a): {fault}"]


def test_a_circle_is_named_wherever_it_is(tmp_path: Path) -> None:
    apps = [
        {"name": "first", "depends_on": ["a"]},
        {"name": "a", "depends_on": ["b"]},
        {"name": "b", "depends_on": ["c"]},
        {"name": "c", "depends_on": ["a"]},
    ]
    [fault] = faults_of(tmp_path, *apps)
    assert fault.endswith("in a circle: a -> b -> c -> a")


def test_what_is_known_elsewhere_may_be_depended_on(tmp_path: Path) -> None:
    path = file_of(tmp_path, {"name": "a", "depends_on": ["model"]})
    assert load(path, known={"model"})[0].depends_on == {"model": "ready"}
    assert load(path, known=None)[0].depends_on == {"model": "ready"}
    with pytest.raises(ConfigError):
        load(path)


def test_nobody_waits_for_what_never_completes(tmp_path: Path) -> None:
    job: dict[str, object] = {"name": "job"}
    worker = {"name": "worker", "depends_on": {"job": "completed"}}
    [fault] = faults_of(tmp_path, worker, job)
    assert "never completes" in fault
    for key in ({"autorestart": False}, {"autorestart": "on-failure"}, {"stop_exit_codes": [0]}):
        assert load(file_of(tmp_path, worker, job | key))[0].depends_on == {"job": "completed"}


def test_only_takes_along_what_is_depended_on(tmp_path: Path) -> None:
    apps = [{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["b"]}]
    path = file_of(tmp_path, *apps, {"name": "other", "cwd": "/nowhere"})
    assert [spec.name for spec in load(path, only=["c"])] == ["a", "b", "c"]
    assert [spec.name for spec in load(path, only=["a"])] == ["a"]


def spec_with(folder: Path, **keys: object) -> AppSpec:
    return load(file_of(folder, {"name": "a", **keys}))[0]


def test_a_hook_is_found_as_a_command_is(tmp_path: Path) -> None:
    script = tmp_path / "tell.py"
    script.write_text("print(1)\n")
    hook = spec_with(tmp_path, pre_stop="tell.py --loud").hooks.pre_stop
    assert hook is not None
    assert hook.command[0].startswith("/")
    assert hook.command[1:] == (str(script), "--loud")
    assert hook.timeout == 30.0
    table = {"command": ["sh", "-c", "exit 0"], "timeout": "1500ms"}
    hook = spec_with(tmp_path, on_failure=table).hooks.on_failure
    assert hook is not None
    assert (hook.command[1:], hook.timeout) == (("-c", "exit 0"), 1.5)


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("nowhere-at-all", "nowhere-at-all"),
        ("sh -c a && b", 'write ["sh", "-c", "…"]'),
        ({"timeout": "1s"}, "there is no command"),
        ({"command": "sh", "timeoutt": 1}, "unknown key 'timeoutt'"),
        ({"command": "sh", "timeout": 0}, "leaves no time"),
        ({"command": "sh", "timeout": "soon"}, "'soon' is not a duration"),
        ([], "the list has no first word"),
        (True, "expected text"),
    ],
)
def test_what_a_hook_cannot_be(tmp_path: Path, written: object, fault: str) -> None:
    [found] = faults_of(tmp_path, {"name": "a", "post_start": written})
    assert found.startswith("apps[0].post_start (a): ")
    assert fault in found
