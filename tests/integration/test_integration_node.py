"""Node's channel with the real node, and readiness on a descriptor as in s6."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from real_pypm import RealPypm, lives, python, shell

from pypm.testing import wait_until

LISTENING = (
    'process.on("message", (m) => { console.log("got " + m); if (m === "shutdown") process.exit(7); });\n'
)
ALIVE = "setInterval(() => {}, 1000);\n"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def node(pypm: RealPypm, name: str, script: str, **keys: Any) -> dict[str, Any]:
    pypm.write(f"{name}.js", script)
    return {"name": name, "script": f"{name}.js", **keys}


def last_run(pypm: RealPypm, name: str) -> dict[str, Any]:
    run: dict[str, Any] = pypm.json("describe", name)[0]["runs"][0]
    return run


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


# --- node ---


@needs_node
def test_send_ready_ends_starting(pypm: RealPypm) -> None:
    wait = 'setInterval(() => { if (require("fs").existsSync("flag")) process.send("ready"); }, 20);\n'
    pypm.begin(
        node(pypm, "a", 'process.send({ type: "other" });\nconsole.log("up");\n' + wait, wait_ready=True)
    )
    wait_until(lambda: pypm.log("a") == b"up\n", 20.0)
    assert pypm.row("a")["status"] == "starting"
    pypm.write("flag", "")
    assert pypm.wait_status("a", "online")["ready"]


@needs_node
def test_the_variables_are_nodes_own(pypm: RealPypm) -> None:
    """Neither the program nor its children see them."""
    script = (
        "console.log(process.env.NODE_CHANNEL_FD, process.connected);\n"
        'require("child_process").execFileSync(process.execPath, ["-e", "console.log(process.send)"],'
        ' { stdio: "inherit" });\n' + ALIVE
    )
    pypm.start(node(pypm, "a", script))
    wait_until(lambda: pypm.log("a") == b"undefined true\nundefined\n", 20.0)


@needs_node
def test_a_script_that_just_ends_still_does(pypm: RealPypm) -> None:
    pypm.start(node(pypm, "a", 'process.send("ready");\n', wait_ready=True, autorestart=False))
    pypm.wait_status("a", "exited")
    assert last_run(pypm, "a")["code"] == 0


@needs_node
def test_shutdown_with_message(pypm: RealPypm) -> None:
    pypm.start(
        node(pypm, "a", LISTENING + 'process.send("ready");\n', wait_ready=True, shutdown_with_message=True)
    )
    pypm.ok("stop", "a")
    assert pypm.log("a") == b"got shutdown\n"
    assert last_run(pypm, "a")["code"] == 7


@needs_node
def test_who_does_not_listen_gets_the_signal_after_all(pypm: RealPypm) -> None:
    pypm.start(node(pypm, "a", ALIVE, shutdown_with_message=True, kill_timeout="300ms"))
    pypm.ok("stop", "a")
    assert last_run(pypm, "a")["signal"] == "SIGTERM"


@needs_node
def test_who_has_disconnected_gets_the_signal_at_once(pypm: RealPypm) -> None:
    script = (
        LISTENING + 'process.send("ready", () => { process.disconnect(); console.log("left"); });\n' + ALIVE
    )
    pypm.start(node(pypm, "a", script, wait_ready=True, shutdown_with_message=True, kill_timeout="1h"))
    wait_until(lambda: pypm.log("a") == b"left\n", 20.0)
    pypm.ok("stop", "a")
    assert "NotAsked" in [step["event"] for step in pypm.call("describe", targets=["a"])[0]["history"]]
    assert last_run(pypm, "a")["signal"] == "SIGTERM"


@needs_node
def test_no_disconnect_when_the_master_is_replaced(pypm: RealPypm) -> None:
    script = LISTENING + 'process.on("disconnect", () => process.exit(9));\nprocess.send("ready");\n'
    pypm.start(node(pypm, "a", script, wait_ready=True, shutdown_with_message=True))
    pid = pypm.pid("a")
    pypm.kill_master()
    pypm.ok("update")
    assert pypm.pid("a") == pid
    pypm.ok("stop", "a")
    assert pypm.log("a") == b"got shutdown\n"
    assert last_run(pypm, "a")["code"] == 7


@needs_node
def test_ready_without_a_master_is_heard_by_the_next(pypm: RealPypm) -> None:
    script = (
        'const fs = require("fs");\nconst timer = setInterval(() => { if (fs.existsSync("flag")) {\n'
        'clearInterval(timer); process.send("ready", () => fs.writeFileSync("said", "")); } }, 20);\n'
        + LISTENING
    )
    pypm.begin(node(pypm, "a", script, wait_ready=True))
    pypm.wait_status("a", "starting")
    with pypm.without_master():
        pypm.write("flag", "")
        wait_until((pypm.folder / "said").exists, 20.0)
    pypm.wait_status("a", "online")


@needs_node
def test_a_shell_around_node_needs_the_key(pypm: RealPypm) -> None:
    pypm.write("a.js", 'process.send("ready");\n' + ALIVE)
    pypm.start(shell("a", "exec node a.js", wait_ready=True, node_channel=True))
    pypm.write("b.js", "console.log(typeof process.send);\n" + ALIVE)
    pypm.start(node(pypm, "b", "console.log(typeof process.send);\n" + ALIVE, node_channel=False))
    wait_until(lambda: pypm.log("b") == b"undefined\n", 20.0)


@needs_node
def test_a_flood_of_messages_harms_nobody(pypm: RealPypm) -> None:
    script = (
        'for (let i = 0; i < 2000; i++) process.send({ type: "axm:monitor", data: "x".repeat(5000) });\n'
        'process.send("x".repeat(20_000_000), () => process.send("ready"));\n' + ALIVE
    )
    pypm.start(node(pypm, "a", script, wait_ready=True))
    master = pypm.master_pid()
    pages = int(Path(f"/proc/{master}/statm").read_text().split()[1])
    assert pages * os.sysconf("SC_PAGESIZE") < 120 * 2**20


@needs_node
def test_runs_leave_no_descriptors(pypm: RealPypm) -> None:
    pypm.start(node(pypm, "a", ALIVE), shell("b", "echo >&4; exec sleep 1000", ready_fd=4, wait_ready=True))
    master, guardian = pypm.master_pid(), pypm.guardian_pid()
    pypm.ok("restart", "all")
    before = descriptors(master), descriptors(guardian)
    for _ in range(3):
        pypm.ok("restart", "all")
    wait_until(lambda: (descriptors(master), descriptors(guardian)) <= before, 20.0)


# --- a newline on a descriptor ---


def test_a_newline_says_it(pypm: RealPypm) -> None:
    script = "printf up; while [ ! -e flag ]; do sleep 0.02; done; echo >&3; exec 3>&-; exec sleep 1000"
    pypm.begin(shell("a", script, ready_fd=3, wait_ready=True))
    wait_until(lambda: pypm.log("a") == b"up", 20.0)
    assert pypm.row("a")["status"] == "starting"
    pypm.write("flag", "")
    assert pypm.wait_status("a", "online")["ready"]


def test_the_end_without_a_newline_says_nothing(pypm: RealPypm) -> None:
    script = "printf no >&9; exec 9>&-; echo closed; exec sleep 1000"
    pypm.begin(shell("a", script, ready_fd=9, wait_ready=True, listen_timeout="3s", max_restarts=0))
    row = pypm.wait_status("a", "errored")
    assert row["reason"].startswith("not ready within 3s")
    assert pypm.log("a") == b"closed\n"


def test_nothing_else_is_open(pypm: RealPypm) -> None:
    """At its number it finds the pipe, and none of pypm's own descriptors; 3 is what it lists them with."""
    listed = "import os, time\nprint(sorted(map(int, os.listdir('/proc/self/fd'))))\n"
    app = python("a", listed + "os.write(7, b'\\n')\ntime.sleep(1000)\n", ready_fd=7, wait_ready=True)
    pypm.start(app, python("b", listed + "time.sleep(1000)\n"))
    wait_until(lambda: pypm.log("a") == b"[0, 1, 2, 3, 7]\n", 20.0)
    wait_until(lambda: pypm.log("b") == b"[0, 1, 2, 3]\n", 20.0)


def test_a_newline_without_a_master_is_heard_by_the_next(pypm: RealPypm) -> None:
    script = "while [ ! -e flag ]; do sleep 0.02; done; echo >&3; touch said; exec sleep 1000"
    pypm.begin(shell("a", script, ready_fd=3, wait_ready=True))
    pypm.wait_status("a", "starting")
    with pypm.without_master():
        pypm.write("flag", "")
        wait_until((pypm.folder / "said").exists, 20.0)
    pypm.wait_status("a", "online")


def test_what_follows_the_newline_is_for_nobody(pypm: RealPypm) -> None:
    script = (
        "import os, signal, time\nsignal.signal(signal.SIGPIPE, signal.SIG_IGN)\nos.write(3, b'\\n')\n"
        "try:\n    while True: os.write(3, b'x' * 65536)\nexcept BrokenPipeError: print('nobody')\n"
        "time.sleep(1000)\n"
    )
    pypm.start(python("a", script, ready_fd=3, wait_ready=True))
    wait_until(lambda: pypm.log("a") == b"nobody\n", 20.0)
    assert lives(pypm.pid("a"))
