"""``pypm apply``: what it compares, shows and orders, and what it refuses before anything is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from scripted_master import ScriptedMaster, make_change, make_row, make_settled

from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.cli.plan_view import plan_json, plan_lines
from pypm.config import load
from pypm.core.errors import RequestError
from pypm.core.plan import Present, make_plan
from pypm.core.probe_spec import ProbeSpec
from pypm.core.spec import AppSpec, CpuLimit, HealthSpec, LimitSpec

Capture = pytest.CaptureFixture[str]
FILE = """
[[apps]]
name = "a"
command = "sleep 1"
[[apps]]
name = "b"
command = "sleep 1"
"""
A = AppSpec("a", ("/bin/a",), "/srv")


def pypm(*words: str) -> int | None:
    return guarded(run, list(words))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ecosystem.toml").write_text(FILE)
    return tmp_path / "ecosystem.toml"


def declared(*specs: AppSpec, down: int = 0) -> list[dict[str, Any]]:
    return [{"spec": msgspec.to_builtins(spec), "down": down} for spec in specs]


def answers(present: list[dict[str, Any]]) -> dict[str, Any]:
    row = make_row(0, "a")
    return {
        "declared": present,
        "check": {},
        "apply": make_change(row, action="restarted"),
        "delete": make_change(make_row(7, "old"), action="deleted"),
        "wait": make_settled(row),
        "list": [row],
    }


def there(file: Path) -> list[AppSpec]:
    """What the file declares, as if it had been applied with another command for ``a``, and with ``old``."""
    a, b = load(str(file))
    return [replace(a, command=("/bin/other", "1")), b, replace(b, name="old", env={"X": "1"})]


def test_it_shows_the_plan_and_orders_what_the_file_declares(home: Path, file: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, **answers(declared(*there(file)))) as master:
        assert pypm("apply") == 0
    output = capfd.readouterr()
    assert "  ~ a  restart\n      command  '/bin/other 1'" not in output.out
    assert "  ~ a  restart\n      command  /bin/other 1 -> " in output.out
    assert "plan: 1 to restart, 1 unchanged\n" in output.out
    assert "not in the file any more: old; it stays (--prune removes)" in output.err
    assert [app["name"] for app in master.asked("apply")[0]["apps"]] == ["a", "b"]
    assert master.asked("delete") == []


def test_prune_removes_before_it_applies(home: Path, file: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, **answers(declared(*there(file)))) as master:
        assert pypm("apply", "ecosystem.toml", "--prune", "--no-wait") == 0
    assert master.asked("delete") == [{"targets": ["old"]}]
    assert [name for name, _ in master.calls] == ["declared", "check", "delete", "apply"]
    assert "  - old  remove: stop it" in capfd.readouterr().out


def test_an_app_of_the_file_does_not_depend_on_what_is_pruned(home: Path, file: Path, capfd: Capture) -> None:
    present = declared(*there(file))
    file.write_text(FILE + 'depends_on = ["old"]\n')
    with ScriptedMaster(home, **answers(present)) as master:
        assert pypm("apply", "--prune") == 1
        assert 'there is no app "old"' in capfd.readouterr().err
        assert {name for name, _ in master.calls} == {"declared"}
        assert pypm("apply", "--dry-run") == 0


@pytest.mark.parametrize(("words", "status"), [([], 0), (["--exit-code"], 5)])
def test_a_dry_run_changes_nothing(
    home: Path, file: Path, capfd: Capture, words: list[str], status: int
) -> None:
    with ScriptedMaster(home, **answers(declared(*there(file)))) as master:
        assert pypm("apply", "--dry-run", *words) == status
    assert [name for name, _ in master.calls] == ["declared", "check"]
    assert "~ a  restart" in capfd.readouterr().out


def test_nothing_is_removed_where_the_master_would_refuse_the_rest(
    home: Path, file: Path, capfd: Capture
) -> None:
    refusal = {"check": RequestError("a: this machine cannot hold it to its limits")}
    with ScriptedMaster(home, **answers(declared(*there(file))) | refusal) as master:
        assert pypm("apply", "--prune") == 1
        assert pypm("apply", "--dry-run") == 1
    assert "cannot hold it" in capfd.readouterr().err
    assert {name for name, _ in master.calls} == {"declared", "check"}


def test_exit_code_0_says_that_all_is_as_declared(home: Path, file: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, **answers(declared(*load(str(file))))):
        assert pypm("apply", "--dry-run", "--exit-code") == 0
    assert capfd.readouterr().out == "plan: 2 unchanged\n"


def test_without_a_master_a_dry_run_starts_none(home: Path, file: Path, capfd: Capture) -> None:
    assert pypm("apply", "--dry-run") == 0
    output = capfd.readouterr()
    assert "plan: 2 to add" in output.out
    assert "no master runs" in output.err
    assert list(home.iterdir()) == []


def test_the_plan_as_json_has_each_change_and_no_secret(home: Path, file: Path, capfd: Capture) -> None:
    a, b = load(str(file))
    file.write_text(FILE + 'env = { API_KEY = "new-key", LEVEL = "info" }\nkill_timeout = "30s"\n')
    present = declared(a, replace(b, env={"API_KEY": "old-key"}), down=0)
    with ScriptedMaster(home, **answers(present)):
        assert pypm("apply", "--dry-run", "--json") == 0
    output = capfd.readouterr().out
    assert "-key" not in output
    plan = json.loads(output)
    assert plan["apps"][1] == {
        "app": "b",
        "action": "restart",
        "instances": {"old": 1, "new": 1},
        "changes": [
            {"key": "env.API_KEY", "old": "****", "new": "****", "restart": True},
            {"key": "env.LEVEL", "old": None, "new": "info", "restart": True},
            {"key": "kill_timeout", "old": 10.0, "new": 30.0, "restart": False},
        ],
        "renamed_from": None,
    }


def test_with_json_the_order_tells_the_plan_too(home: Path, file: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, **answers(declared(*there(file)))):
        assert pypm("apply", "--json") == 0
    answer = json.loads(capfd.readouterr().out)
    assert [app["action"] for app in answer["plan"]["apps"]] == ["restart", "keep"]
    assert (answer["plan"]["left"], answer["rows"][0]["name"]) == (["old"], "a")


def test_a_bad_file_changes_nothing(home: Path, file: Path, capfd: Capture) -> None:
    present = declared(*there(file))
    file.write_text(FILE + "kill_timout = 1\n")
    with ScriptedMaster(home, **answers(present)) as master:
        assert pypm("apply", "--prune") == 1
    assert 'apps[1].kill_timout (b): unknown key; did you mean "kill_timeout"?' in capfd.readouterr().err
    assert {name for name, _ in master.calls} == {"declared"}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--exit-code"], 2, "goes with --dry-run"),
        (["--prune", "--only", "a"], 2, "--prune takes the whole file"),
        (["nothing.toml"], 1, "there is no such file"),
        (["script.py"], 1, "is no ecosystem file"),
        (["."], 1, "is a folder"),
    ],
)
def test_what_it_refuses(
    home: Path, file: Path, capfd: Capture, words: list[str], status: int, said: str
) -> None:
    (file.parent / "script.py").write_text("")
    assert pypm("apply", *words) == status
    assert said in capfd.readouterr().err
    assert list(home.iterdir()) == []


def test_without_a_file_the_next_step_is_said(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pypm("apply") == 2
    assert "pypm init" in capfd.readouterr().err


# --- in words ---


def words(old: AppSpec, new: AppSpec, down: int = 0) -> list[str]:
    return plan_lines(make_plan([new], {old.name: Present(old, down)}))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_memory": 1024**3}, "max_memory_restart  - -> 1G"),
        ({"treekill": False}, "treekill  true -> false"),
        ({"kill_timeout": 90.0}, "kill_timeout  10s -> 1m 30s"),
        ({"limits": LimitSpec(file_size=-1)}, "limits.file_size  - -> unlimited  (restart)"),
        ({"limits": LimitSpec(open_files=64)}, "limits.open_files  - -> 64  (restart)"),
        ({"limits": LimitSpec(cpu=CpuLimit(200.0))}, 'limits.cpu  - -> {"percent":200.0}'),
        ({"env": {"N": "a\nb"}}, "env.N  - -> a b  (restart)"),
        ({"env": {"URL": "http://me:word@host/"}}, "env.URL  - -> http://me:****@host/  (restart)"),
    ],
)
def test_values_are_shown_as_people_write_them(fields: dict[str, Any], expected: str) -> None:
    assert words(A, replace(A, **fields))[1].strip() == expected


def test_a_part_of_a_limit_has_its_own_unit() -> None:
    old, new = (replace(A, limits=LimitSpec(cpu=CpuLimit(each))) for each in (200.0, 150.0))
    assert words(old, new)[1].strip() == "limits.cpu.percent  200 -> 150"


def test_headers_of_probes_are_masked() -> None:
    probe = ProbeSpec(http="http://h/", headers={"Authorization": "Bearer abc", "Accept": "text/plain"})
    new = replace(A, health=HealthSpec(liveness=probe))
    plan = make_plan([new], {"a": Present(A)})
    (change,) = plan_json(plan)["apps"][0]["changes"]
    assert change["new"]["headers"] == {"Authorization": "****", "Accept": "text/plain"}
    assert "abc" not in "".join(plan_lines(plan))


def test_lines_for_each_kind_of_step() -> None:
    b, c = replace(A, name="bb"), replace(A, name="c", source="/f")
    present = {
        "a": Present(A),
        "bb": Present(b, 1),
        "c": Present(c),
        "gone": Present(replace(c, name="gone", cwd="/x")),
    }
    new = [replace(A, instances=3), b, replace(c, name="after"), replace(A, name="d")]
    assert plan_lines(make_plan(new, present, "/f", prune=True)) == [
        "  ~ a      scale 1 -> 3 instances",
        "  ^ bb     start",
        "  > after  rename of c: that is stopped, then this one started",
        "  + d      add, 1 instance",
        "  - gone   remove: stop it and forget it; its logs stay",
        "plan: 1 to add, 1 to rename, 1 to scale, 1 to start, 1 to remove",
    ]


def test_signs_have_colours_on_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan([A], {})
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert plan_lines(plan)[0] == "  \033[32m+\033[0m a  add, 1 instance"
    monkeypatch.setenv("NO_COLOR", "1")
    assert plan_lines(plan)[0] == "  + a  add, 1 instance"


def test_an_address_where_another_app_listens_is_told_before_anything_begins(
    file: Path, home: Path, capfd: Capture
) -> None:
    file.write_text(FILE.replace('"sleep 1"', '"sleep 1"\nsockets = ["tcp://localhost:8080"]'))
    assert pypm("validate") == 1
    assert 'apps[1].sockets (b): "a" listens at tcp://localhost:8080 too' in capfd.readouterr().err
    file.write_text(FILE.replace('"sleep 1"', '"sleep 1"\nsockets = ["tcp://localhost:8080"]', 1))
    other = replace(A, name="other", sockets=("tcp://127.0.0.1:8080",))
    with ScriptedMaster(home, **answers(declared(other))) as master:
        assert pypm("apply", "--dry-run") == 1
        assert pypm("apply") == 1
        told = capfd.readouterr().err
        assert told.count("a: other listens at tcp://localhost:8080 too") == 2
        assert "`pypm stop other`" in told
        assert not master.asked("apply")
        # It rests: its socket is closed.
        master.answers["declared"] = declared(other, down=1)
        assert pypm("apply", "--dry-run") == 0


def test_apps_that_are_not_started_together_may_have_one_address(file: Path) -> None:
    lines = '"sleep 1"\nautostart = false\nsockets = ["tcp://localhost:8080"]'
    file.write_text(FILE.replace('"sleep 1"', lines))
    assert pypm("validate") == 0
