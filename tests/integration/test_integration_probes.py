"""Probes against real servers, commands, files and logs, also over the death of the master."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from real_pypm import RealPypm, free_port

from pypm.testing import wait_until

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        healthy = not os.path.exists(os.environ["SICK"])
        self.send_response(200 if healthy else 503)
        self.end_headers()
        self.wfile.write(b"fine" if healthy else b"the database is away")
    def log_message(self, *words):
        pass
port = int(os.environ["PORT"]) if len(sys.argv) < 2 else 0
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
SLEEP = "import time\ntime.sleep(1000)"
QUICK = {"period": "200ms", "timeout": "20s"}


def app(pypm: RealPypm, program: str, **health: Any) -> dict[str, Any]:
    """An app that is a program of ours, with this health."""
    file = pypm.write("agent.py", program)
    env = {"SICK": str(pypm.folder / "sick"), "PYTHONUNBUFFERED": "1"}
    return {
        "name": "a",
        "script": str(file),
        "interpreter": sys.executable,
        "env": env,
        "health": health,
        "restart_delay": 0,
    }


def server(pypm: RealPypm, **health: Any) -> dict[str, Any]:
    """An app that is an HTTP server at $PORT, healthy unless the file ``sick`` is there."""
    declared = app(pypm, SERVER, **health)
    declared["env"]["PORT"] = str(free_port())
    return declared


def detail(pypm: RealPypm) -> dict[str, Any]:
    found: dict[str, Any] = pypm.call("describe", targets=["a"])[0]
    return found


def events(pypm: RealPypm) -> list[dict[str, Any]]:
    lines = (Path(pypm.home) / "events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_readiness_tells_whether_it_can_be_used_and_restarts_nothing(pypm: RealPypm) -> None:
    http = "http://127.0.0.1:$PORT/healthz"
    pypm.start(server(pypm, readiness={"http": http, "failure_threshold": 2, **QUICK}))
    row = pypm.row("a")
    assert (row["status"], row["ready"]) == ("online", True)
    sick = pypm.write("sick", "")
    row = pypm.wait_row("a", lambda row: not row["ready"])
    assert (row["status"], row["restarts"]) == ("online", 0)
    assert "HTTP 503 Service Unavailable: the database is away" in row["reason"]
    sick.unlink()
    row = pypm.wait_row("a", lambda row: bool(row["ready"]))
    assert (row["reason"], row["restarts"]) == ("", 0)
    assert pypm.log("a", "error") == b"", "the server was not cut off while it answered"


def test_a_failing_liveness_probe_restarts_with_the_cause(pypm: RealPypm) -> None:
    probe = {"http": "http://127.0.0.1:$PORT/healthz", "failure_threshold": 2, **QUICK}
    pypm.start(server(pypm, liveness=probe))
    pypm.wait_row("a", lambda row: row["health"] == "healthy")
    pypm.write("sick", "")
    row = pypm.wait_row("a", lambda row: row["restarts"] >= 1)
    assert row["last_exit"]["cause"] == "probe"
    assert "the liveness probe failed 2 times: HTTP 503" in row["last_exit"]["reason"]
    (pypm.folder / "sick").unlink()
    pypm.wait_row("a", lambda row: row["health"] == "healthy")


def test_an_app_is_starting_until_its_startup_probe_succeeds(pypm: RealPypm) -> None:
    """The others are not asked before: liveness would have ended it."""
    up = pypm.folder / "up"
    startup = {"file": str(up), "failure_threshold": 1000, **QUICK}
    liveness = {"file": str(up), "failure_threshold": 1, **QUICK}
    pypm.begin(app(pypm, SLEEP, startup=startup, liveness=liveness))
    wait_until(lambda: detail(pypm)["probes"]["startup"]["failures"] >= 3, 20.0)
    assert detail(pypm)["status"] == "starting"
    assert detail(pypm)["probes"]["liveness"]["result"] is None
    up.write_text("")
    row = pypm.wait_row("a", lambda row: row["health"] == "healthy")
    assert (row["status"], row["restarts"]) == ("online", 0)


def test_a_startup_probe_that_never_succeeds_is_not_ready_in_time(pypm: RealPypm) -> None:
    startup = {"file": "never", "failure_threshold": 2, **QUICK}
    declared = app(pypm, SLEEP, startup=startup) | {"max_restarts": 1}
    pypm.begin(declared)
    row = pypm.wait_status("a", "errored")
    assert row["last_exit"]["cause"] == "not-ready"
    assert "the startup probe failed 2 times: No such file" in row["last_exit"]["reason"]


def test_a_command_that_hangs_is_killed_with_all_that_it_has_started(pypm: RealPypm) -> None:
    """Also what has left its session and lost its parents."""
    script = (
        "echo $$ >> pids; (setsid sleep 1000 & echo $! >> pids); sleep 1000 & echo $! >> pids; sleep 1000"
    )
    readiness = {"exec": ["sh", "-c", script], "failure_threshold": 1, "period": "200ms", "timeout": "300ms"}
    pypm.begin(app(pypm, SLEEP, readiness=readiness))
    wait_until(lambda: "no answer within 300ms" in detail(pypm)["probes"]["readiness"]["output"], 20.0)
    written = pypm.folder / "pids"
    wait_until(lambda: written.exists() and written.read_text().count("\n") >= 3, 20.0)
    pypm.ok("stop", "a")
    pids = [int(line) for line in written.read_text().split()]
    wait_until(lambda: not any(alive(pid) for pid in pids), 20.0)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_command_runs_as_the_app_does_and_its_words_are_shown(pypm: RealPypm) -> None:
    script = 'echo "$PWD $SICK $PYPM_NAME $PYPM_PROBE ${PYPM_AGENT_TOKEN-none} $0"; exit 3'
    readiness = {"exec": ["sh", "-c", script, "$PYPM_APP"], **QUICK}
    pypm.begin(app(pypm, SLEEP, readiness=readiness))
    words = f"exit code 3: {pypm.folder} {pypm.folder / 'sick'} a readiness none $PYPM_APP"
    wait_until(lambda: detail(pypm)["probes"]["readiness"]["output"] == words, 20.0)


def test_commands_in_flight_do_not_outlive_their_master(pypm: RealPypm) -> None:
    readiness = {"exec": ["sh", "-c", "echo $$ >> pids; sleep 1000"], "period": "200ms", "timeout": "10m"}
    pypm.begin(app(pypm, SLEEP, readiness=readiness) | {"listen_timeout": 600_000})
    pids = pypm.folder / "pids"
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), 20.0)
    pid = pypm.pid("a")
    pypm.kill_master()
    wait_until(lambda: len(pids.read_text().split()) == 2, 20.0, "the probe in flight is made again")
    first = int(pids.read_text().split()[0])
    wait_until(lambda: not alive(first), 20.0)
    assert pypm.pid("a") == pid
    pypm.ok("delete", "a")
    wait_until(lambda: not alive(int(pids.read_text().split()[1])), 20.0)


def test_the_death_of_the_master_is_no_failure(pypm: RealPypm) -> None:
    probe = {"http": "http://127.0.0.1:$PORT/", "failure_threshold": 1, **QUICK}
    pypm.start(server(pypm, readiness=probe, liveness=probe))
    pid = pypm.pid("a")
    pypm.wait_row("a", lambda row: row["health"] == "healthy")
    for _ in range(3):
        pypm.kill_master()
        row = pypm.row("a")
        assert (row["pid"], row["ready"], row["restarts"]) == (pid, True, 0)
    pypm.write("sick", "")
    pypm.wait_row("a", lambda row: row["restarts"] >= 1)


def test_what_was_counted_before_the_master_died_counts(pypm: RealPypm) -> None:
    readiness = {"file": "up", **QUICK}
    pypm.write("up", "")
    pypm.start(app(pypm, SLEEP, readiness=readiness))
    (pypm.folder / "up").unlink()
    pypm.wait_row("a", lambda row: not row["ready"])
    # What a row tells of may still be on its way to the disk; an order is answered when all is there.
    pypm.ok("reset", "a")
    pypm.kill_master()
    row = pypm.row("a")
    assert (row["status"], row["ready"], row["restarts"]) == ("online", False, 0)
    assert "readiness probe" in row["reason"]
    pypm.write("up", "")
    pypm.wait_row("a", lambda row: bool(row["ready"]))


@pytest.mark.parametrize("form", ["raw", "json"])
def test_a_line_of_the_log_says_ready_and_another_one_says_sick(pypm: RealPypm, form: str) -> None:
    program = """
import os, sys, time
done = set()
print("connected to nothing", flush=True)
while True:
    for name, words in (("up", "serving on port 80"), ("lost", "lost the model"), ("again", "serving")):
        if name not in done and os.path.exists(name):
            done.add(name)
            print(words, file=sys.stderr, flush=True)
    time.sleep(0.02)
"""
    readiness = {"log": "^serving", "log_sick": r"lost the \w+$", **QUICK}
    declared = app(pypm, program, readiness=readiness) | {"logs": {"format": form}}
    pypm.begin(declared)
    wait_until(lambda: detail(pypm)["probes"]["readiness"]["output"] == "there was no such line yet", 20.0)
    pypm.kill_master()
    pypm.write("up", "")
    pypm.wait_status("a", "online")
    assert detail(pypm)["probes"]["readiness"]["output"] == "serving on port 80"
    pypm.write("lost", "")
    pypm.wait_row("a", lambda row: not row["ready"])
    pypm.kill_master()
    # It is sick until it says otherwise: what was not saved is read again.
    pypm.wait_row("a", lambda row: not row["ready"])
    pypm.write("again", "")
    row = pypm.wait_row("a", lambda row: bool(row["ready"]))
    assert row["restarts"] == 0


def test_the_words_of_the_run_before_are_not_those_of_this_one(pypm: RealPypm) -> None:
    """The first run said that it was ready; the second one says nothing."""
    program = """
import os, time
if os.environ["PYPM_RESTARTS"] == "0":
    print("serving", flush=True)
time.sleep(1000)
"""
    pypm.start(app(pypm, program, readiness={"log": "serving", **QUICK}))
    pypm.ok("restart", "a", "--no-wait")
    wait_until(lambda: (detail(pypm)["probes"]["readiness"] or {}).get("failures", 0) >= 2, 20.0)
    assert detail(pypm)["status"] == "starting"


def test_a_bad_line_is_a_sign_against_life(pypm: RealPypm) -> None:
    program = "import time\nprint('CUDA error: 3', flush=True)\ntime.sleep(1000)"
    pypm.begin(app(pypm, program, liveness={"log_sick": "CUDA", **QUICK}))
    row = pypm.wait_row("a", lambda row: row["restarts"] >= 1)
    assert "the liveness probe failed once: CUDA error: 3" in row["last_exit"]["reason"]


def test_a_heartbeat_file_that_grows_old(pypm: RealPypm) -> None:
    file = pypm.write("alive", "")
    pypm.start(app(pypm, SLEEP, readiness={"file": {"path": "alive", "max_age": "1m"}, **QUICK}))
    os.utime(file, (1.0, 1.0))
    row = pypm.wait_row("a", lambda row: not row["ready"])
    assert "written to" in row["reason"]


def test_an_unknown_answer_counts_as_neither(pypm: RealPypm) -> None:
    declared = app(pypm, SLEEP, liveness={"tcp": "127.0.0.1:$NOT_THERE", "failure_threshold": 1, **QUICK})
    pypm.start(declared)
    wait_until(lambda: detail(pypm)["probes"]["liveness"]["result"] == "unknown", 20.0)
    found = detail(pypm)["probes"]["liveness"]
    assert (found["output"], found["failures"]) == ("there is no variable NOT_THERE", 0)
    assert pypm.row("a")["restarts"] == 0


def test_each_instance_is_asked_at_its_own_port(pypm: RealPypm) -> None:
    """Instances 0 and 1 have ports; only the second one is there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = int(listener.getsockname()[1])
        declared = app(pypm, SLEEP, readiness={"tcp": "127.0.0.1:$PORT", **QUICK})
        declared |= {"instances": 2, "increment_var": "PORT"}
        declared["env"]["PORT"] = str(port - 1)
        pypm.begin(declared)
        pypm.wait_status("a:1", "online")
        assert pypm.row("a:0")["status"] == "starting"


def test_the_story_and_the_description_tell_of_probes(pypm: RealPypm) -> None:
    http = "http://127.0.0.1:$PORT/healthz"
    pypm.start(server(pypm, readiness={"http": http, "failure_threshold": 1, **QUICK}))
    assert "readiness probe" in pypm.ok("describe", "a")
    pypm.write("sick", "")
    pypm.wait_row("a", lambda row: not row["ready"])
    wait_until(lambda: any(each["event"] == "health.unready" for each in events(pypm)), 20.0)
    assert "HTTP 503" in pypm.ok("describe", "a")
