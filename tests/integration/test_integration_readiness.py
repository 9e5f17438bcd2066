"""What agents say over ZeroMQ: readiness, status, heartbeat, the end; with ``pypm.agent`` and by hand."""

from __future__ import annotations

from real_pypm import RealPypm, lives, python, sleeper

from pypm.testing import wait_until

HEAD = "import os, time\nfrom pypm import agent\n"
UNTIL_FLAG = "while not os.path.exists('flag'): time.sleep(0.02)\n"
BY_HAND = (
    "import json, os, time, zmq\nsocket = zmq.Context().socket(zmq.DEALER)\n"
    "socket.connect(os.environ['PYPM_AGENT_ENDPOINT'])\n"
    "def send(kind, token=os.environ['PYPM_AGENT_TOKEN'], **more):\n"
    "    socket.send(json.dumps({'v': 1, 'token': token, 'type': kind, **more}).encode())\n"
)


def test_wait_ready_holds_starting_until_the_agent_says_so(pypm: RealPypm) -> None:
    script = HEAD + "print('up')\n" + UNTIL_FLAG + "agent.ready()\ntime.sleep(1000)\n"
    file = pypm.ecosystem(python("a", script, wait_ready=True))
    with pypm.popen("start", file) as start:
        wait_until(lambda: pypm.log("a") == b"up\n", 20.0)
        row = pypm.row("a")
        assert (row["status"], row["ready"]) == ("starting", False)
        assert start.poll() is None, "start waits for it"
        pypm.write("flag", "")
        stdout, stderr = start.communicate(timeout=30)
    assert start.returncode == 0, stderr
    row = pypm.row("a")
    assert (row["status"], row["ready"]) == ("online", True)
    assert b"online" in stdout


def test_never_ready_is_a_failure_with_its_reason(pypm: RealPypm) -> None:
    keys = {"wait_ready": True, "listen_timeout": "200ms", "max_restarts": 1, "restart_delay": 0}
    done = pypm.run("start", pypm.ecosystem(sleeper("a", **keys)))
    assert done.returncode == 1
    assert "a is " in done.stderr
    assert "not ready within 200ms" in done.stderr
    row = pypm.wait_status("a", "errored")
    assert row["reason"].startswith("not ready within 200ms")
    assert row["restarts"] == 1
    assert row["pid"] is None


def test_an_agent_that_dies_before_it_is_ready_is_a_failure(pypm: RealPypm) -> None:
    file = pypm.ecosystem(python("a", "raise SystemExit('no model')", wait_ready=True, max_restarts=0))
    done = pypm.run("start", file)
    assert done.returncode == 1
    assert "exit code 1" in done.stderr
    assert "| no model" in done.stderr


def test_the_status_text_is_shown(pypm: RealPypm) -> None:
    script = HEAD + "agent.ready()\nagent.status('question 3 of 12 \\u2713')\n"
    script += UNTIL_FLAG + "agent.status('x' * 5000)\ntime.sleep(1000)\n"
    pypm.start(python("a", script, wait_ready=True))
    pypm.wait_row("a", lambda row: row["status_text"] == "question 3 of 12 \u2713")
    [row] = pypm.json("list")
    assert row["status_text"] == "question 3 of 12 \u2713"
    assert "question 3 of 12" in pypm.ok("list")
    assert "question 3 of 12" in pypm.ok("describe", "a")
    pypm.write("flag", "")
    pypm.wait_row("a", lambda row: row["status_text"] == "x" * 200)
    pypm.ok("restart", "a", "--no-wait")
    pypm.wait_row("a", lambda row: row["status_text"].startswith("question") or row["status_text"][:1] == "x")


def test_stopping_is_told_as_the_reason(pypm: RealPypm) -> None:
    pypm.begin(python("a", HEAD + UNTIL_FLAG + "agent.stopping()\ntime.sleep(1000)\n"))
    pypm.wait_status("a", "online")
    pypm.write("flag", "")
    pypm.wait_row("a", lambda row: row["reason"] == "the agent is ending by itself")


def test_heartbeats_are_taken_and_say_again_what_was_said(pypm: RealPypm) -> None:
    """A heartbeat repeats readiness and status, so that a lost message or master costs nothing."""
    script = BY_HAND + "send('heartbeat', ready=True, status='from a beat')\ntime.sleep(1000)\n"
    pypm.start(python("a", script, wait_ready=True))
    assert pypm.row("a")["status_text"] == "from a beat"


def test_what_has_no_right_token_is_ignored(pypm: RealPypm) -> None:
    script = BY_HAND + (
        "for token in ('', 'f' * 32, os.environ['PYPM_AGENT_TOKEN'][:-1]):\n"
        "    send('ready', token=token)\n"
        "    send('status', token=token, text='forged')\n"
        "socket.send(b'{')\nsocket.send(b'\\xff' * 100)\nsocket.send_multipart([b'{}', b'{}'])\n"
        "send('ready', v=2)\n"
        "send(7)\n"
        "socket.send(b'[' * 60000)\n"
        "send('no such type')\n"
        "send('heartbeat', status='honest')\n"
        "time.sleep(1000)\n"
    )
    pypm.begin(python("a", script, wait_ready=True))
    row = pypm.wait_row("a", lambda row: row["status_text"] != "")
    assert (row["status_text"], row["status"], row["ready"]) == ("honest", "starting", False)
    assert "frames dropped so far: token" in pypm.master_log()
    assert "frames dropped so far: malformed" in pypm.master_log()
    assert "Traceback" not in pypm.master_log()


def test_a_frame_that_is_too_large_does_not_harm_the_master(pypm: RealPypm) -> None:
    script = BY_HAND + "socket.send(b'x' * 10_000_000)\ntime.sleep(0.2)\nsend('ready')\ntime.sleep(1000)\n"
    pypm.begin(python("a", script, wait_ready=True))
    pypm.wait_status("a", "online")


def test_a_token_is_of_one_run_only(pypm: RealPypm) -> None:
    """What a daemon of an earlier run says is not taken for the present one."""
    script = (
        "import os\nfirst = not os.path.exists('token')\n"
        "if first:\n    open('token', 'w').write(os.environ['PYPM_AGENT_TOKEN'])\n"
        + BY_HAND
        + "if first:\n    send('ready')\n"
        + "else:\n    send('ready', token=open('token').read())\n    send('status', text='second')\n"
        + "time.sleep(1000)\n"
    )
    pypm.start(python("a", script, wait_ready=True))
    pypm.ok("restart", "a", "--no-wait")
    row = pypm.wait_row("a", lambda row: row["status_text"] == "second")
    assert (row["status"], row["ready"]) == ("starting", False)


def test_a_child_may_speak_for_the_agent(pypm: RealPypm) -> None:
    script = HEAD + "import subprocess, sys\n"
    script += (
        "subprocess.run([sys.executable, '-c', 'from pypm import agent; agent.ready()'])\ntime.sleep(1000)\n"
    )
    pypm.start(python("a", script, wait_ready=True))
    assert pypm.row("a")["ready"]


def test_a_stop_before_it_is_ready_stops(pypm: RealPypm) -> None:
    pypm.begin(sleeper("a", wait_ready=True))
    pid = pypm.wait_row("a", lambda row: row["pid"])["pid"]
    pypm.ok("stop", "a")
    assert not lives(pid)
    assert pypm.row("a")["status"] == "stopped"


def test_memory_of_the_whole_tree_counts_and_the_restart_is_graceful(pypm: RealPypm) -> None:
    """The main process is small; what grows is an orphan that it has left in its session."""
    child = "import time; data = bytearray(120 * 2**20); print('grown'); time.sleep(1000)"
    script = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('goodbye'), sys.exit(0)))\n"
        "if not os.path.exists('grown'):\n"
        "    open('grown', 'w').close()\n"
        f"    subprocess.run(['sh', '-c', '$0 -u -c \"$1\" &', sys.executable, {child!r}])\n"
        "time.sleep(1000)\n"
    )
    pypm.start(
        python("a", script, max_memory_restart="100M"), python("free", "import time\ntime.sleep(1000)")
    )
    row = pypm.wait_row("a", lambda row: row["restarts"] == 1 and row["status"] == "online")
    reason = row["last_exit"]["reason"]
    assert reason.startswith("memory 1")
    assert reason.endswith("M > 100M")
    assert row["reason"] == f"restarted: {reason}"
    assert row["last_exit"]["code"] == 0
    assert b"goodbye\n" in pypm.log("a")
    assert pypm.row("free")["restarts"] == 0
