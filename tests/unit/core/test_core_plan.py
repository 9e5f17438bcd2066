"""What a declaration means for what is there; and that the table of keys is complete."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from pypm.core.differences import KEYS, Difference, differences, key_of
from pypm.core.plan import (
    AppPlan,
    Plan,
    Present,
    changed_keys,
    fault_of_declaration,
    is_down,
    make_plan,
    needs_restart,
)
from pypm.core.probe_spec import ProbeSpec
from pypm.core.spec import AppSpec, HealthSpec, LimitSpec, LogSpec, ScheduleSpec, WatchSpec

FILE = "/srv/ecosystem.toml"
A = AppSpec("a", ("/bin/a",), "/srv", source=FILE)
PAGE = (Path(__file__).parents[3] / "docs" / "ecosystem.md").read_text()


def fields_of(structure: Any, path: str = "") -> list[str]:
    """The fields that the table has to have: those of a structure one by one, where it has not the whole."""
    found = []
    hints = typing.get_type_hints(structure)
    for field in msgspec.structs.fields(structure):
        name = f"{path}.{field.name}" if path else field.name
        kinds = [hints[field.name], *typing.get_args(hints[field.name])]
        inner = next(
            (each for each in kinds if isinstance(each, type) and issubclass(each, msgspec.Struct)), None
        )
        found += fields_of(inner, name) if inner is not None and name not in KEYS else [name]
    return found


@pytest.mark.parametrize("field", fields_of(AppSpec))
def test_every_field_of_a_spec_is_in_the_table(field: str) -> None:
    assert field in KEYS, "say in pypm/core/differences.py whether a change of it needs a new run"


def test_the_table_has_no_field_that_is_none() -> None:
    known = set(fields_of(AppSpec))
    assert {name for name in KEYS if name not in known and name.rpartition(".")[0] not in known} == set()


def listed(heading: str) -> set[str]:
    """The keys that docs/ecosystem.md lists behind a bold word of the section on changes."""
    section = PAGE.split("\n## What a change does\n")[1].split("\n## ")[0]
    (words,) = re.findall(rf"^- \*\*{heading}\*\*(.*?)(?=^- |^$)", section, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([a-z_.]+)`", words))


def test_the_page_lists_what_needs_a_new_run() -> None:
    assert listed("A new run") == {key.written for key in KEYS.values() if key.restart} - {"name"}


def test_the_page_lists_what_is_live() -> None:
    of_no_row = {"file", "limits.cpu.percent"}
    assert listed("No new run") == {key.written for key in KEYS.values() if not key.restart} - of_no_row


# --- differences ---


def test_what_differs_is_told_with_the_key_of_the_file_and_both_values() -> None:
    new = replace(A, env={"X": "1"}, kill_timeout=3.0, max_memory=5)
    assert differences(replace(A, env={"X": "0", "Y": "y"}), new) == [
        Difference("env.X", "env.X", "0", "1", True),
        Difference("env.Y", "env.Y", "y", None, True),
        Difference("kill_timeout", "kill_timeout", 10.0, 3.0, False),
        Difference("max_memory", "max_memory_restart", None, 5, False, unit="bytes"),
    ]
    assert differences(A, replace(A)) == []


def test_parts_of_tables_are_told_one_by_one() -> None:
    old = replace(A, health=HealthSpec(liveness=ProbeSpec(tcp="a:1")), watch=WatchSpec(("/srv",)))
    new = replace(A, health=HealthSpec(liveness=ProbeSpec(tcp="a:2")), watch=WatchSpec(("/srv",), delay=1.0))
    assert [(each.key, each.old, each.new) for each in differences(old, new)] == [
        ("health.liveness.tcp", "a:1", "a:2"),
        ("watch_delay", 0.0, 1.0),
    ]


def test_the_words_of_a_command_are_not_told_beside_the_command() -> None:
    new = replace(A, script="b.py", command=("/bin/b",))
    assert changed_keys(A, new) == ["command"]
    assert needs_restart(A, replace(A, script="./a.py")) == []


def test_what_a_change_needs() -> None:
    new = replace(A, env={"A": "1", "B": "2"}, kill_timeout=3.0, command=("/bin/other",), max_memory=5)
    assert changed_keys(A, new) == ["command", "env", "kill_timeout", "max_memory_restart"]
    assert needs_restart(A, new) == ["command", "env"]
    live = replace(A, max_memory=1, health=HealthSpec(max_extension=1.0), logs=LogSpec(retain=1), instances=9)
    assert needs_restart(A, live) == []
    assert needs_restart(A, replace(A, limits=LimitSpec(open_files=9))) == ["limits.open_files"]


def test_a_field_that_nobody_has_classified_takes_a_new_run() -> None:
    written, key = key_of("not_there.yet")
    assert (written, key.restart) == ("not_there.yet", True)


# --- the plan ---


def plan(*declared: AppSpec, present: dict[str, Present], prune: bool = False) -> Plan:
    return make_plan(declared, present, FILE, prune=prune)


@pytest.mark.parametrize(
    ("new", "down", "expected"),
    [
        (A, 0, "keep"),
        (A, 1, "start"),
        (replace(A, autostart=False), 0, "change"),
        (replace(A, env={"X": "1"}), 0, "restart"),
        (replace(A, env={"X": "1"}), 1, "change"),
        (replace(A, env={"X": "1"}, schedule=ScheduleSpec(every=9.0)), 0, "change"),
        (replace(A, kill_timeout=1.0), 0, "change"),
        (replace(A, instances=3), 0, "scale"),
        (replace(A, instances=3, env={"X": "1"}), 0, "restart"),
    ],
)
def test_what_becomes_of_an_app_that_is_there(new: AppSpec, down: int, expected: str) -> None:
    (app,) = plan(new, present={"a": Present(A, down)}).apps
    assert (app.app, app.action, app.before, app.after) == ("a", expected, 1, new.instances)
    assert "instances" not in [each.path for each in app.differences]


def test_a_new_app_is_added() -> None:
    assert plan(A, present={}).apps == (AppPlan("a", "add", 0, 1),)


def test_what_rests_by_its_declaration_is_not_started() -> None:
    lazy = replace(A, autostart=False)
    assert plan(lazy, present={"a": Present(lazy, 1)}).is_empty


def test_only_with_prune_what_the_file_declares_no_more_goes() -> None:
    others = {
        "gone": Present(replace(A, name="gone", env={"X": "1"})),
        "elsewhere": Present(replace(A, name="elsewhere", source="/other.toml")),
        "typed": Present(replace(A, name="typed", source=None)),
    }
    kept = plan(A, present=others)
    assert ([each.action for each in kept.apps], kept.left, kept.gone) == (["add"], ("gone",), [])
    pruned = plan(A, present=others, prune=True)
    assert pruned.apps[1] == AppPlan("gone", "remove", 1, 0)
    assert (pruned.left, pruned.gone) == ((), ["gone"])


def test_the_same_app_under_another_name_was_renamed() -> None:
    there = {"old": Present(replace(A, name="old")), "other": Present(replace(A, name="other", cwd="/tmp"))}
    new = replace(A, name="new")
    found = plan(new, replace(new, name="third"), present=there, prune=True)
    assert [(each.app, each.action, each.renamed_from) for each in found.apps] == [
        ("new", "rename", "old"),
        ("third", "add", ""),
        ("other", "remove", ""),
    ]
    assert found.gone == ["old", "other"]
    assert [each.action for each in plan(new, present=there).apps] == ["add"], "without prune it stays"


@pytest.mark.parametrize(
    ("status", "desired", "is_job", "expected"),
    [
        ("online", "up", False, False),
        ("backoff", "up", False, False),
        ("stopping", "down", False, True),
        ("stopping", "up", False, False),
        ("exited", "up", False, True),
        ("exited", "up", True, False),
        ("exited", "down", True, True),
        ("held", "up", False, True),
    ],
)
def test_what_takes_a_start(status: str, desired: str, is_job: bool, expected: bool) -> None:
    assert is_down(status, desired, is_job=is_job) is expected


@pytest.mark.parametrize(
    ("declared", "present", "expected"),
    [
        ((A,), {"a": A}, None),
        ((A, A), {}, "declared twice: a"),
        ((replace(A, instances=0),), {}, "a: 0 instances"),
        ((replace(A, depends_on={"b": "ready"}),), {}, "a depends on b, and there is no such app"),
        ((replace(A, depends_on={"b": "ready"}),), {"b": A}, None),
        (
            (replace(A, depends_on={"b": "ready"}),),
            {"b": replace(A, name="b", depends_on={"a": "ready"})},
            "in a circle: ",
        ),
    ],
)
def test_what_cannot_be_declared(
    declared: tuple[AppSpec, ...], present: dict[str, AppSpec], expected: str | None
) -> None:
    fault = fault_of_declaration(declared, present)
    assert fault is None if expected is None else expected in str(fault)
