"""``pypm import pm2 --live``: from a running PM2 to here, app by app. The PM2 is a script with a list."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from real_pypm import RealPypm, sleeper

PM2 = f"""#!{sys.executable}
import json, os, sys
folder = os.path.dirname(os.path.abspath(__file__))
verb, *names = sys.argv[1:]
with open(os.path.join(folder, "calls"), "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
if verb == "jlist":
    if os.path.exists(os.path.join(folder, "chatty")):
        print("[PM2] a notice")
    print(open(os.path.join(folder, "list")).read())
"""
SLEEPER = "import time\nwhile True:\n    time.sleep(1000)\n"


@pytest.fixture
def fake_pm2(pypm: RealPypm, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = pypm.folder / "pm2"
    folder.mkdir()
    (folder / "pm2").write_text(PM2)
    (folder / "pm2").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def record(folder: Path, name: str, script: str, status: str = "online", **env: str) -> dict[str, Any]:
    path = folder / f"{name}.py"
    path.write_text(script)
    fields = {"pm_exec_path": str(path), "pm_cwd": str(folder), "exec_interpreter": sys.executable}
    return {"name": name, "pm2_env": {"name": name, "status": status, "env": env, **fields}}


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_each_app_is_stopped_there_and_started_here(pypm: RealPypm, fake_pm2: Path) -> None:
    apps = [record(fake_pm2, "a", SLEEPER, OWN="1"), record(fake_pm2, "idle", SLEEPER, "stopped")]
    (fake_pm2 / "list").write_text(json.dumps(apps))
    shown = pypm.ok("import", "pm2", "--live")
    assert "taken over: a, idle" in shown
    assert calls(fake_pm2) == ["jlist", "stop a", "delete a", "stop idle", "delete idle"]
    assert {row["name"]: row["status"] for row in pypm.rows()} == {"a": "online", "idle": "stopped"}
    file = pypm.folder / "ecosystem.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert pypm.json("describe", "a")[0]["spec"]["env"]["OWN"] == "1"
    assert pypm.json("apply", "--dry-run")["apps"][0]["action"] == "keep"


def test_one_that_does_not_start_here_goes_back_and_the_next_one_comes(
    pypm: RealPypm, fake_pm2: Path
) -> None:
    apps = [
        record(fake_pm2, "good", SLEEPER),
        record(fake_pm2, "bad", "raise SystemExit(7)\n"),
        record(fake_pm2, "later", SLEEPER),
    ]
    (fake_pm2 / "list").write_text(json.dumps(apps))
    done = pypm.run("import", "pm2", "--live", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["taken"] == ["good", "later"]
    assert "bad does not start here, and runs under PM2 again: exit code 7" in answer["fault"]
    assert calls(fake_pm2) == [
        "jlist", "stop good", "delete good", "stop bad", "start bad", "stop later", "delete later",
    ]  # fmt: skip
    assert [row["name"] for row in pypm.rows()] == ["good", "later"]


def test_one_of_several_instances_that_fails_at_once_is_no_start(pypm: RealPypm, fake_pm2: Path) -> None:
    """As of two that listen on one port, which PM2's cluster mode would let share it."""
    script = (
        "import os, time\nif os.environ['NODE_APP_INSTANCE'] == '1': raise SystemExit(7)\ntime.sleep(1000)\n"
    )
    (fake_pm2 / "list").write_text(json.dumps([record(fake_pm2, "web", script)] * 2))
    done = pypm.run("import", "pm2", "--live")
    assert done.returncode == 1
    assert "web does not start here, and runs under PM2 again: exit code 7" in done.stderr
    assert calls(fake_pm2) == ["jlist", "stop web", "start web"]
    assert pypm.rows() == []


def test_an_app_that_is_here_already_is_not_touched_on_either_side(pypm: RealPypm, fake_pm2: Path) -> None:
    pypm.ok("start", pypm.ecosystem(sleeper("a"), name="ours.toml"))
    pid = pypm.pid("a")
    (fake_pm2 / "list").write_text(json.dumps([record(fake_pm2, "a", "raise SystemExit(7)\n")]))
    done = pypm.run("import", "pm2", "--live")
    assert done.returncode == 1
    assert "a is here already" in done.stderr
    assert calls(fake_pm2) == ["jlist"]
    assert pypm.pid("a") == pid


def test_a_list_that_cannot_be_declared_takes_nothing_over(pypm: RealPypm, fake_pm2: Path) -> None:
    app = record(fake_pm2, "a", SLEEPER)
    app["pm2_env"]["pm_exec_path"] = "/nowhere/a.py"
    (fake_pm2 / "list").write_text(json.dumps([app]))
    done = pypm.run("import", "pm2", "--live")
    assert done.returncode == 1
    assert "/nowhere/a.py" in done.stderr
    assert calls(fake_pm2) == ["jlist"]


def test_notices_of_pm2_before_its_list_do_not_matter(pypm: RealPypm, fake_pm2: Path) -> None:
    (fake_pm2 / "list").write_text("[]")
    (fake_pm2 / "chatty").touch()
    assert "nothing that could be an app" in pypm.fails(1, "import", "pm2", "--live")


def test_without_pm2_the_next_step_is_said(pypm: RealPypm) -> None:
    environment = {**os.environ, "PATH": os.path.dirname(sys.executable)}
    if os.path.exists(os.path.join(environment["PATH"], "pm2")):
        pytest.skip("there is a pm2 beside this Python")
    assert "dump.pm2" in pypm.fails(1, "import", "pm2", "--live", env=environment)


def test_live_goes_with_pm2_alone(pypm: RealPypm) -> None:
    assert "--live" in pypm.fails(2, "import", "procfile", "--live")
