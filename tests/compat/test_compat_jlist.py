"""``pypm jlist`` and what ``pm2 jlist`` (7.0.3) printed for two apps: the same fields, of the same types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_master import make_exit, make_row

from pypm.cli.pm2_shape import STATUSES, inspected, pm2_process
from pypm.core.instance import Status

RECORDED = json.loads((Path(__file__).parent / "pm2" / "jlist.json").read_text())
NOT_HERE = {
    "filter_env", "vizion", "pmx", "automation", "windowsHide", "kill_retry_time", "pm_pid_path", "km_link",
    "unique_id", "_tree_pids",
}  # fmt: skip
"""What belongs to Node, to PM2's own bookkeeping or to its hosted monitoring."""
PM2_STATUSES = {"online", "launching", "stopping", "stopped", "errored", "waiting restart"}


def process(**fields: Any) -> dict[str, Any]:
    spec = {"name": "one", "command": ["/usr/bin/python3", "-u", "/srv/agents/app.py", "a", "b"]}
    spec |= {"cwd": "/srv/agents", "script": "app.py", "env": {"API_KEY": "x", "MODE": "m"}}
    given = {"spec": spec, "created_at": 1_700_000_000.5, "failures": 2, "metrics": {}}
    return pm2_process(make_row(3, "one", **{**given, **fields}), "ann")


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda each: str(each["pm_id"]))
def test_every_field_of_pm2_is_there_with_its_type(recorded: dict[str, Any]) -> None:
    ours = process(last_exit=make_exit(code=0))
    assert recorded.keys() == ours.keys()
    assert recorded["monit"].keys() == ours["monit"].keys()
    env = recorded["pm2_env"]
    assert env.keys() - NOT_HERE <= ours["pm2_env"].keys()
    for name in env.keys() - NOT_HERE:
        assert isinstance(ours["pm2_env"][name], type(env[name])), name


def test_the_values_mean_the_same() -> None:
    env = process()["pm2_env"]
    recorded = RECORDED[0]["pm2_env"]
    for name in (
        "pm_exec_path",
        "args",
        "exec_mode",
        "instances",
        "pm_cwd",
        "namespace",
        "NODE_APP_INSTANCE",
    ):
        assert env[name] == recorded[name], name
    assert (env["exec_interpreter"], env["node_args"]) == ("/usr/bin/python3", ["-u"])
    assert (env["created_at"], env["pm_uptime"]) == (1_700_000_000_500, 1_700_000_000_000)
    assert (env["unstable_restarts"], env["username"], env["pm_id"]) == (2, "ann", 3)
    assert (env["MODE"], env["env"]["API_KEY"]) == ("m", "****")


def test_every_status_is_one_of_pm2s() -> None:
    assert STATUSES.keys() == {str(each) for each in Status}
    assert set(STATUSES.values()) == PM2_STATUSES
    assert process(status="held", held_until=None)["pm2_env"]["status"] == "stopped"
    assert process(status="held", held_until=1.0)["pm2_env"]["status"] == "waiting restart"


def test_what_is_down_has_pid_0_and_its_exit_code() -> None:
    down = process(status="stopped", last_exit=make_exit(signal="SIGKILL"))
    assert (down["pid"], down["monit"]) == (0, {"memory": 0, "cpu": 0})
    assert down["pm2_env"]["exit_code"] == 137
    assert process(last_exit=make_exit(code=3))["pm2_env"]["exit_code"] == 3


def test_a_program_without_interpreter() -> None:
    spec = {"name": "one", "command": ["/bin/sleep", "5"], "cwd": "/", "script": "sleep"}
    env = process(spec=spec)["pm2_env"]
    assert (env["exec_interpreter"], env["pm_exec_path"], env["args"]) == ("none", "/bin/sleep", ["5"])


def test_prettylist_is_laid_out_as_node_does() -> None:
    value = [{"pid": 0, "name": "it's", "pm2_env": {"args": ["a"], "axm": {}, "on": True, "a-b": None}}]
    value[0]["pm2_env"] |= {"status": "online", "pm_cwd": "/srv/agents/that/is/long"}  # type: ignore[operator]
    assert inspected(value).splitlines() == [
        "[",
        "  {",
        "    pid: 0,",
        '    name: "it\'s",',
        "    pm2_env: {",
        "      args: [ 'a' ],",
        "      axm: {},",
        "      on: true,",
        "      'a-b': null,",
        "      status: 'online',",
        "      pm_cwd: '/srv/agents/that/is/long'",
        "    }",
        "  }",
        "]",
    ]
    assert inspected({"monit": {"memory": 0, "cpu": 1.5}}) == "{ monit: { memory: 0, cpu: 1.5 } }"
