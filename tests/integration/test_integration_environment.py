"""What an agent finds in its environment, and what does not leak into it."""

from __future__ import annotations

import os
import sys
from typing import Any

from real_pypm import RealPypm, sleeper

from pypm.testing import wait_until


def environment(pypm: RealPypm, name: str) -> dict[str, str]:
    """The environment of a running instance, as the kernel has it."""
    with open(f"/proc/{pypm.pid(name)}/environ", "rb") as file:
        entries = file.read().split(b"\0")
    return dict(os.fsdecode(entry).split("=", 1) for entry in entries if entry)


def shell_with(**more: str) -> dict[str, str]:
    return {**os.environ, **more}


def start_with(pypm: RealPypm, *apps: dict[str, Any], words: tuple[str, ...] = (), **more: str) -> None:
    pypm.ok("start", pypm.ecosystem(*apps), *words, env=shell_with(**more))


def test_pypms_own_names(pypm: RealPypm) -> None:
    start_with(pypm, sleeper("a"), sleeper("w", instances=2))
    env = environment(pypm, "w:1")
    assert {name: env[name] for name in env if name.startswith("PYPM_") and "AGENT" not in name} == {
        "PYPM_HOME": str(pypm.home),
        "PYPM_APP": "w",
        "PYPM_NAME": "w:1",
        "PYPM_INSTANCE": "1",
        "PYPM_ID": "2",
        "PYPM_RUN_ID": pypm.json("describe", "w:1")[0]["run_id"],
        "PYPM_STATE_DIR": f"{pypm.home}/agents/w-1",
        "PYPM_RESTARTS": "0",
    }
    assert env["PYPM_AGENT_ENDPOINT"] == f"ipc://{pypm.home}/agents.sock"
    assert len(env["PYPM_AGENT_TOKEN"]) >= 32
    assert env["PYPM_AGENT_TOKEN"] != environment(pypm, "w:0")["PYPM_AGENT_TOKEN"]
    assert environment(pypm, "a")["PYPM_NAME"] == "a"


def test_the_shells_environment_is_inherited_and_kept(pypm: RealPypm) -> None:
    start_with(pypm, sleeper("a"), COLOUR="red", EMPTY="", ODD="a=b c\nd")
    pypm.ok("restart", "a", env=shell_with(COLOUR="blue"))
    pypm.terminate_master()
    pypm.ok("list", env=shell_with(COLOUR="green"))
    pypm.wait_status("a", "online")
    env = environment(pypm, "a")
    assert (env["COLOUR"], env["EMPTY"], env["ODD"]) == ("red", "", "a=b c\nd")


def test_nothing_of_an_outer_pypm_leaks_in(pypm: RealPypm) -> None:
    outer = {
        "PYPM_NAME": "outer", "PYPM_AGENT_TOKEN": "stolen", "PYPM_AGENT_ENDPOINT": "ipc:///nowhere",
        "PYPM_SECRET": "x", "NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": "1000000",
    }  # fmt: skip
    start_with(pypm, sleeper("a"), sleeper("silent", notify_access="none"), **outer)
    env = environment(pypm, "a")
    assert env["PYPM_NAME"] == "a"
    assert env["PYPM_AGENT_TOKEN"] != "stolen"
    assert env["NOTIFY_SOCKET"] == f"{pypm.home}/notify.sock"
    assert not {"PYPM_SECRET", "WATCHDOG_USEC"} & set(env)
    assert "NOTIFY_SOCKET" not in environment(pypm, "silent")


def test_an_agent_can_run_a_pypm_of_its_own(pypm: RealPypm) -> None:
    """The inner one starts its master and its agents as if it had been called from a shell."""
    inner = pypm.folder / "inner"
    inner.mkdir()
    start = f"{sys.executable} -m pypm start --name in --no-wait -- sleep 1000"
    script = f"PYPM_HOME={inner}/h {start} && exec sleep 1000"
    pypm.start({"name": "out", "command": ["/bin/sh", "-c", script], "treekill": False})
    nested = RealPypm(inner / "h", inner)
    try:
        wait_until(lambda: nested.lock_holder(), 20.0)
        wait_until(lambda: (inner / "h" / "pypm.sock").exists(), 20.0)
        env = environment_of_only(nested)
        assert (env["PYPM_NAME"], env["PYPM_HOME"]) == ("in", str(inner / "h"))
    finally:
        nested.end()


def environment_of_only(nested: RealPypm) -> dict[str, str]:
    wait_until(lambda: [row["pid"] for row in nested.rows() if row["pid"]], 20.0)
    return environment(nested, "in")


def test_declared_over_inherited_and_the_named_table_over_both(pypm: RealPypm) -> None:
    app = sleeper("a", env={"A": "declared", "B": "declared"}, env_production={"B": "production", "C": 3})
    start_with(pypm, app, A="shell", D="shell")
    env = environment(pypm, "a")
    assert (env["A"], env["B"], env["D"], env.get("C")) == ("declared", "declared", "shell", None)
    start_with(pypm, app, words=("--env", "production"))
    env = environment(pypm, "a")
    assert (env["A"], env["B"], env["C"]) == ("declared", "production", "3")


def test_instance_var_and_increment_var(pypm: RealPypm) -> None:
    app = sleeper("w", instances=3, instance_var="WORKER", increment_var="PORT", env={"PORT": 8000})
    start_with(pypm, app)
    found = [environment(pypm, f"w:{index}") for index in range(3)]
    assert [(env["WORKER"], env["PORT"]) for env in found] == [("0", "8000"), ("1", "8001"), ("2", "8002")]


def test_env_file_is_read_anew_at_each_start(pypm: RealPypm) -> None:
    pypm.write("my.env", "# comment\nA=file\nexport B='two words'\nC=file\n")
    start_with(pypm, sleeper("a", env_file="my.env", env={"C": "declared"}), A="shell")
    env = environment(pypm, "a")
    assert (env["A"], env["B"], env["C"]) == ("file", "two words", "declared")
    pypm.write("my.env", "A=changed\n")
    pypm.ok("restart", "a")
    env = environment(pypm, "a")
    assert (env["A"], env.get("B")) == ("changed", None)
    (pypm.folder / "my.env").unlink()
    done = pypm.run("restart", "a")
    assert done.returncode == 1
    assert "my.env" in done.stderr


def test_filter_env_drops_names(pypm: RealPypm) -> None:
    app = sleeper("a", filter_env=["SECRET_"], env={"SECRET_DECLARED": "kept"})
    start_with(pypm, app, sleeper("b", filter_env=True), SECRET_ONE="1", MY_SECRET_TWO="2", PLAIN="3")
    env = environment(pypm, "a")
    assert "PLAIN" in env
    assert env["SECRET_DECLARED"] == "kept"
    assert not {"SECRET_ONE", "MY_SECRET_TWO"} & set(env)
    left = {name for name in environment(pypm, "b") if not name.startswith("PYPM_")}
    assert left == {"NOTIFY_SOCKET"}


def test_the_callers_umask_is_the_agents(pypm: RealPypm) -> None:
    app = {"name": "a", "command": ["/bin/sh", "-c", "umask; exec sleep 1000"]}
    file = pypm.ecosystem(app)
    pypm.ok("start", file, preexec_fn=lambda: os.umask(0o027) and None)
    wait_until(lambda: pypm.log("a") == b"0027\n")
    assert pypm.json("describe", "a")[0]["origin_umask"] == 0o027


def test_pypm_home_is_the_folder_in_the_home_by_default(pypm: RealPypm) -> None:
    """Without PYPM_HOME it is ~/.pypm."""
    env = {name: value for name, value in os.environ.items() if name != "PYPM_HOME"}
    person = pypm.folder / "person"
    person.mkdir()
    default = RealPypm(person / ".pypm", person)
    try:
        assert pypm.json("list", env={**env, "HOME": str(person)}) == []
        assert (person / ".pypm" / "pypm.sock").exists()
    finally:
        default.end()
