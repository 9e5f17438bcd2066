"""Sandboxes of real agents: what they cannot do there, and that all else works inside as outside."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_pypm import RealPypm, command_line, lives, python, shell, sleeper

from pypm.system.sandbox import availability
from pypm.system.sandboxed import agent_within
from pypm.testing import wait_until

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

STRICT: dict[str, Any] = {"protect_system": "strict"}
ALONE = {**STRICT, "private_pids": True}
BOTH = pytest.mark.parametrize("sandbox", [STRICT, ALONE], ids=["pids of all", "pids of its own"])
GRACEFUL = """
import os, signal, sys, time
def end(number, frame):
    print("asked by", signal.Signals(number).name, flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGUSR1, lambda number, frame: print("usr1", flush=True))
print("began", flush=True)
while True:
    time.sleep(1000)
"""


@pytest.fixture(autouse=True, scope="module")
def sandboxes() -> None:
    """What this file needs of the machine."""
    if reason := availability():
        pytest.skip(f"no sandbox can be made here: {reason}")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody can enter."""
    with tempfile.TemporaryDirectory(prefix="pps-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def said(pypm: RealPypm, name: str = "a") -> list[str]:
    """All that it has said, once that ends with the line "done"."""
    wait_until(lambda: pypm.log(name).endswith(b"done\n"), 30.0, "it has said all")
    return pypm.log(name).decode().splitlines()[:-1]


def boxed(script: str, sandbox: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """An app in a sandbox, which goes on after its script."""
    return shell("a", f"{{ {script}; }} 2>&1; echo done; exec sleep 1000", sandbox=sandbox, cwd="/", **keys)


def program(script: str, sandbox: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return python("a", script, sandbox=sandbox, cwd="/", **keys)


def agent(pypm: RealPypm) -> int:
    """The pid of the agent in the sandbox of ``a``."""
    pids: list[int] = []

    def is_there() -> bool:
        found = agent_within(pypm.pid("a"))
        pids[:] = [] if found is None else [found]
        return found is not None and b"bwrap" not in command_line(found).split(b"\0")[0]

    wait_until(is_there, 20.0, "there is an agent in the sandbox")
    return pids[0]


def last_end(pypm: RealPypm) -> dict[str, Any]:
    """How the last run has ended."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = pypm.call("describe", targets=["a"])[0]["runs"]
        return bool(found)

    wait_until(is_there, 30.0, "a run has ended")
    return found[0]


# --- what it cannot do ---


@BOTH
def test_it_writes_only_where_it_may(pypm: RealPypm, tmp_path: Path, sandbox: dict[str, Any]) -> None:
    for name in ("open", "open/closed", "other"):
        (tmp_path / name).mkdir()
    script = f"cd {tmp_path}; for each in open/x open/closed/x other/x /etc/pypm-x; do echo hi > $each; done"
    paths = {"read_write_paths": [f"{tmp_path}/open"], "read_only_paths": [f"{tmp_path}/open/closed"]}
    pypm.start(boxed(script, {**sandbox, **paths}))
    refused = ("open/closed/x", "other/x", "/etc/pypm-x")
    assert len(said(pypm)) == len(refused)
    for path, line in zip(refused, said(pypm), strict=True):
        assert path in line
        assert "Read-only file system" in line
    assert (tmp_path / "open" / "x").read_text() == "hi\n"
    assert not Path("/etc/pypm-x").exists()
    assert "sandbox" in pypm.ok("describe", "a")
    assert f"protect_system strict; read_write_paths {tmp_path}/open" in pypm.ok("describe", "a")


def test_it_does_not_see_what_is_hidden(pypm: RealPypm, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "one").write_text("secret")
    hidden = {"inaccessible_paths": [f"{tmp_path}/key", f"{tmp_path}/keys"], "protect_home": True}
    script = f"cat {tmp_path}/key; ls -A {tmp_path}/keys /root /home; cat {tmp_path}/keys/one"
    pypm.start(boxed(script, hidden))
    assert "secret" not in "".join(said(pypm))
    shown = {line for line in said(pypm) if line and ":" not in line}
    assert shown == set(), "the folders are empty"


def test_temporary_folders_of_its_own(pypm: RealPypm, tmp_path: Path) -> None:
    path = Path("/tmp") / f"pypm-sandbox-{os.getpid()}"
    script = f"ls /tmp | wc -l; echo mine > {path}; cat {path}; stat -c %a /tmp"
    own = int(str(pypm.home).startswith("/tmp/"))
    pypm.start(boxed(script, {"private_tmp": True}))
    assert said(pypm) == [str(own), "mine", "1777"]
    assert not path.exists()


def test_it_sees_and_signals_no_others(pypm: RealPypm) -> None:
    pypm.start(sleeper("other"))
    script = f"kill -0 {pypm.pid('other')} 2>/dev/null || echo unseen; echo /proc/[0-9]* | wc -w"
    pypm.start(boxed(script, {"private_pids": True}))
    unseen, count = said(pypm)
    assert unseen == "unseen"
    assert int(count) <= 4
    assert lives(pypm.pid("other"))


def test_it_has_no_network(pypm: RealPypm, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    script = f"""
import os, socket, time
try:
    socket.create_connection(("127.0.0.1", {port}), 5)
    print("reached")
except OSError as error:
    print(error.strerror)
print(sorted(name for _, name in socket.if_nameindex()))
print("done", flush=True)
time.sleep(1000)
"""
    pypm.start(program(script, {"private_network": True}))
    refused, interfaces = said(pypm)
    assert refused == "Connection refused"
    assert "lo" in interfaces
    assert "eth" not in interfaces


def test_pypms_folder_is_hidden_and_its_own_folder_stays(pypm: RealPypm) -> None:
    script = "ls $PYPM_HOME; ls $PYPM_STATE_DIR; touch $PYPM_STATE_DIR/kept; touch $PYPM_HOME/x"
    pypm.start(boxed(script, STRICT))
    seen = said(pypm)
    assert seen[:3] == ["agents", "agents.sock", "notify.sock"]
    assert "Read-only file system" in seen[3]
    pypm.ok("restart", "a")
    wait_until(lambda: pypm.log("a").count(b"done\n") == 2, 30.0, "the second run has said all")
    assert "kept" in said(pypm)[5:]
    folder = pypm.home / "agents"
    assert [each.name for each in folder.rglob("kept")] == ["kept"]


def test_who_may_control_pypm_sees_its_socket(pypm: RealPypm) -> None:
    pypm.start(boxed("test -S $PYPM_HOME/pypm.sock && echo there", STRICT, allow_control=True))
    assert said(pypm) == ["there"]


# --- what works inside ---


@BOTH
def test_stop_asks_the_agent_and_its_children(pypm: RealPypm, sandbox: dict[str, Any]) -> None:
    child = "trap 'echo child; exit' TERM; echo up; while :; do sleep 0.1; done"
    main = "trap 'echo main; exit 3' TERM; echo done; while :; do sleep 0.1; done"
    script = f'sh -c "{child}" & {main}'
    pypm.start(shell("a", script, sandbox=sandbox, cwd="/"))
    wait_until(lambda: {b"up", b"done"} <= set(pypm.log("a").split()), 30.0, "both are up")
    pids = [pypm.pid("a"), agent(pypm)]
    pypm.ok("stop", "a")
    assert not any(map(lives, pids))
    assert {b"main", b"child"} <= set(pypm.log("a").split())
    assert last_end(pypm)["code"] == 3


@BOTH
def test_a_signal_is_for_the_agent(pypm: RealPypm, sandbox: dict[str, Any]) -> None:
    pypm.start(program(GRACEFUL, sandbox))
    wait_until(lambda: b"began" in pypm.log("a"), 30.0, "it is up")
    before = pypm.pid("a")
    for options in ([], ["--group"]):
        pypm.ok("signal", "SIGUSR1", "a", *options)
    wait_until(lambda: pypm.log("a").count(b"usr1") == 2, 30.0, "it has got both")
    assert pypm.pid("a") == before


@BOTH
@pytest.mark.parametrize(
    ("ending", "expected"),
    [("exit 5", (5, None)), ("kill -SEGV $$", (None, signal.SIGSEGV)), ("exit 0", (0, None))],
)
def test_how_the_agent_ends_is_how_the_run_ends(
    pypm: RealPypm, sandbox: dict[str, Any], ending: str, expected: tuple[int | None, int | None]
) -> None:
    pypm.begin(shell("a", ending, sandbox=sandbox, cwd="/", autorestart=False, limits={"core": 0}))
    end = last_end(pypm)
    code, number = expected
    assert (end["code"], end["signal"]) == (
        code,
        None if number is None else signal.Signals(number).name,
    )


@BOTH
@pytest.mark.parametrize("victim", ["bwrap", "agent"])
def test_the_agent_and_its_sandbox_die_together(pypm: RealPypm, sandbox: dict[str, Any], victim: str) -> None:
    pypm.start(shell("a", "sleep 7301 & sleep 7302", sandbox=sandbox, cwd="/", kill_timeout="200ms"))
    inside = agent(pypm)
    outside = pypm.pid("a")
    os.kill(outside if victim == "bwrap" else inside, signal.SIGKILL)
    wait_until(lambda: not lives(outside) and not lives(inside), 30.0, "both are gone")
    pypm.wait_row("a", lambda row: row["pid"] not in (None, outside), 30.0)
    assert agent(pypm) != inside
    assert last_end(pypm)["signal"] == "SIGKILL"


@BOTH
def test_it_outlives_its_master_and_is_told_to_end_by_the_next(
    pypm: RealPypm, sandbox: dict[str, Any]
) -> None:
    pypm.start(program(GRACEFUL, sandbox))
    wait_until(lambda: b"began" in pypm.log("a"), 30.0, "it is up")
    pids = (pypm.pid("a"), agent(pypm))
    pypm.kill_master()
    assert (pypm.pid("a"), agent(pypm)) == pids
    pypm.kill_both()
    pypm.ok("list")
    assert (pypm.pid("a"), agent(pypm)) == pids
    pypm.ok("signal", "SIGUSR1", "a")
    wait_until(lambda: b"usr1" in pypm.log("a"), 30.0, "what it says is in its log")
    pypm.ok("stop", "a")
    assert not any(map(lives, pids))
    assert b"asked by SIGTERM" in pypm.log("a")


def test_its_end_without_a_master_is_known_to_the_next(pypm: RealPypm) -> None:
    pypm.start(program(GRACEFUL, ALONE, autorestart=False))
    wait_until(lambda: b"began" in pypm.log("a"), 30.0, "it is up")
    inside, master = agent(pypm), pypm.master_pid()
    os.kill(master, signal.SIGSTOP)
    os.kill(inside, signal.SIGKILL)
    wait_until(lambda: not lives(inside), 30.0, "the end of the agent")
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: not lives(master), 30.0, "the end of the master")
    assert last_end(pypm)["signal"] == "SIGKILL"


@BOTH
def test_it_says_that_it_is_ready_over_the_agent_channel(pypm: RealPypm, sandbox: dict[str, Any]) -> None:
    script = "import pypm.agent, time\npypm.agent.ready()\ntime.sleep(1000)\n"
    checkout = str(Path(__file__).parents[2])
    pypm.start(program(script, sandbox, wait_ready=True, env={"PYTHONPATH": checkout}))
    assert pypm.row("a")["ready"] is True


@BOTH
@pytest.mark.parametrize("access", ["all", "main"])
def test_it_says_that_it_is_ready_as_to_systemd(pypm: RealPypm, sandbox: dict[str, Any], access: str) -> None:
    script = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
    speaker.connect(os.environ["NOTIFY_SOCKET"])
    speaker.send(f"MAINPID={os.getpid()}\\nREADY=1\\nSTATUS=well".encode())
time.sleep(1000)
"""
    network = {**sandbox, "private_network": True}
    pypm.start(program(script, network, wait_ready=True, notify_access=access))
    row = pypm.wait_row("a", lambda row: row["status_text"] == "well")
    assert row["ready"] is True
    assert agent_within(row["pid"]) is not None, "it is still the sandbox that is the run's first process"


@BOTH
def test_it_may_name_another_main_process(pypm: RealPypm, sandbox: dict[str, Any]) -> None:
    script = """
import os, socket, subprocess, time
child = subprocess.Popen(["sleep", "7311"])
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
    speaker.connect(os.environ["NOTIFY_SOCKET"])
    speaker.send(f"MAINPID={child.pid}\\nREADY=1".encode())
time.sleep(1000)
"""
    pypm.start(program(script, sandbox, wait_ready=True))
    row = pypm.wait_row("a", lambda row: b"7311" in command_line(row["pid"] or 0))
    pypm.ok("stop", "a")
    assert not lives(row["pid"])


def test_descriptors_reach_the_agent(pypm: RealPypm) -> None:
    ready = shell("a", "echo >&5; exec sleep 1000", sandbox=ALONE, cwd="/", wait_ready=True, ready_fd=5)
    script = """
import json, os, time
os.write(int(os.environ["NODE_CHANNEL_FD"]), json.dumps("ready").encode() + b"\\n")
time.sleep(1000)
"""
    node = python("b", script, sandbox=ALONE, cwd="/", wait_ready=True, node_channel=True)
    pypm.start(ready, node)
    assert [row["ready"] for row in pypm.rows()] == [True, True]


def test_the_memory_of_the_whole_tree_counts(pypm: RealPypm) -> None:
    child = "import time; hold = bytearray(150 << 20); print('grown', flush=True); time.sleep(1000)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    pypm.start(program(script, ALONE, max_memory_restart="100M", max_restarts=0, kill_timeout="1s"))
    assert last_end(pypm)["cause"] == "memory"


def test_hooks_and_probes_are_in_a_sandbox_too(pypm: RealPypm, tmp_path: Path) -> None:
    hook = {"command": ["sh", "-c", f"touch {tmp_path}/x; echo hook $?"]}
    probe = {"exec": ["sh", "-c", f"test ! -w {tmp_path} && kill -9 $$"], "period": "100ms"}
    keys: dict[str, Any] = {"post_start": hook, "health": {"liveness": {**probe, "failure_threshold": 1000}}}
    pypm.start(boxed("true", STRICT, **keys))
    wait_until(lambda: b"hook 1" in pypm.log("a"), 30.0, "the hook could not write")

    def answer() -> str:
        return str(pypm.call("describe", targets=["a"])[0]["probes"])

    wait_until(lambda: "killed by SIGKILL" in answer(), 30.0, "the probe could not write")


@only_root
def test_as_another_user(pypm: RealPypm, public: Path) -> None:
    for name in ("own", "roots"):
        (public / name).mkdir()
    os.chown(public / "own", pwd.getpwnam("nobody").pw_uid, -1)
    script = f"id -un; touch {public}/own/x && echo own; touch {public}/roots/x || echo not"
    script += "; touch $PYPM_STATE_DIR/x && echo kept; ls -A /root; grep -h CapEff /proc/self/status"
    table = {**ALONE, "protect_home": True, "read_write_paths": [f"{public}/own", f"{public}/roots"]}
    pypm.start(boxed(script, table, user="nobody"))
    user, own, refused, *rest = said(pypm)
    assert (user, own) == ("nobody", "own")
    assert "Permission denied" in refused
    assert rest[:2] == ["not", "kept"]
    assert "'/root': Permission denied" in rest[2]
    assert rest[3:] == [f"CapEff:\t{'0' * 16}"]
    pids = (pypm.pid("a"), agent(pypm))
    pypm.ok("stop", "a")
    assert not any(map(lives, pids))


# --- what is refused ---


def test_a_path_that_is_gone_fails_the_start_and_says_so(pypm: RealPypm, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    app = sleeper("a", sandbox={**STRICT, "read_write_paths": [str(data)]}, cwd="/", max_restarts=0)
    pypm.start(app)
    data.rmdir()
    done = pypm.run("restart", "a")
    assert done.returncode == 1
    assert f"sandbox.read_write_paths: {data} is not there" in done.stderr
    assert pypm.row("a")["pid"] in (0, None)
    done = pypm.run("start", pypm.ecosystem(app))
    assert done.returncode == 1
    assert f"apps[0].sandbox.read_write_paths (a): {data} is not there" in done.stderr


def test_a_folder_that_would_be_hidden_fails_the_start(pypm: RealPypm, tmp_path: Path) -> None:
    hidden = {"inaccessible_paths": [str(tmp_path)]}
    path = pypm.ecosystem(sleeper("a", sandbox=hidden, cwd=str(tmp_path), max_restarts=0))
    done = pypm.run("start", path)
    assert done.returncode == 1
    assert f"sandbox: its folder {tmp_path} is hidden by inaccessible_paths" in done.stderr


def test_a_changed_sandbox_needs_a_new_run(pypm: RealPypm) -> None:
    pypm.start(program(GRACEFUL, ALONE))
    wait_until(lambda: b"began" in pypm.log("a"), 30.0, "it is up")
    before = pypm.pid("a")
    pypm.start(python("a", GRACEFUL, cwd="/"))
    wait_until(lambda: not lives(before), 30.0, "the sandbox has ended")
    assert b"asked by SIGTERM" in pypm.log("a")
    wait_until(lambda: agent_within(pypm.pid("a")) is None, 30.0, "the new run has none")
    assert last_end(pypm)["code"] == 7
    assert sys.executable.encode() in command_line(pypm.pid("a"))
