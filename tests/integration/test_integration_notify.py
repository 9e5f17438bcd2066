"""sd_notify: what agents, their helpers and programs of others say over NOTIFY_SOCKET."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest
from real_pypm import RealPypm, lives, python, shell

from pypm.testing import wait_until

HEAD = """
import array, os, signal, socket, sys, time
def connected():
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.connect(os.environ['NOTIFY_SOCKET'])
    return sender
def say(*lines, fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
    connected().sendmsg(['\\n'.join(lines).encode()], rights)
def barrier():
    ours, theirs = os.pipe()
    say('BARRIER=1', fds=[theirs])
    os.close(theirs)
    os.read(ours, 1)
def wait_for(name):
    while not os.path.exists(name): time.sleep(0.01)
def is_first():
    if os.path.exists('first'): return False
    open('first', 'w').close()
    return True
def sleep():
    while True: time.sleep(1000)
"""


def speaker(name: str, script: str, **keys: object) -> dict[str, object]:
    return python(name, HEAD + script, **keys)


# --- what is said ---


def test_ready_ends_starting(pypm: RealPypm) -> None:
    script = (
        "say('STATUS=loading')\nwait_for('flag')\nsay('READY=1', 'STATUS=at work', 'X_OTHER=1')\nsleep()\n"
    )
    pypm.begin(speaker("a", script, wait_ready=True))
    row = pypm.wait_row("a", lambda row: row["status_text"] == "loading")
    assert (row["status"], row["ready"]) == ("starting", False)
    pypm.write("flag", "")
    row = pypm.wait_status("a", "online")
    assert (row["ready"], row["status_text"]) == (True, "at work")


def test_a_status_with_an_error_says_what_it_is(pypm: RealPypm) -> None:
    pypm.begin(speaker("a", "say('STATUS=cannot bind', 'ERRNO=98')\nsleep()\n"))
    pypm.wait_row("a", lambda row: row["status_text"] == "cannot bind (Address already in use)")


def test_stopping_and_reloading(pypm: RealPypm) -> None:
    script = (
        "say('READY=1')\nsay('RELOADING=1', f'MONOTONIC_USEC={time.monotonic_ns() // 1000}')\n"
        "wait_for('flag')\nsay('READY=1')\nwait_for('end')\nsay('STOPPING=1')\nsleep()\n"
    )
    pypm.begin(speaker("a", script, wait_ready=True))
    pypm.wait_row("a", lambda row: row["status"] == "online" and not row["ready"])
    pypm.write("flag", "")
    pypm.wait_row("a", lambda row: row["ready"])
    pypm.write("end", "")
    pypm.wait_row("a", lambda row: row["reason"] == "the agent is ending by itself")


def test_a_barrier_is_closed_when_what_came_before_is_done(pypm: RealPypm) -> None:
    script = "say('STATUS=first')\nbarrier()\nopen('passed', 'w').close()\nsleep()\n"
    pypm.begin(speaker("a", script))
    wait_until((pypm.folder / "passed").exists, 20.0)
    assert pypm.row("a")["status_text"] == "first"


# --- who says it ---


def test_a_helper_of_a_helper_may_say_it(pypm: RealPypm) -> None:
    """One that has left the session, with no parent left that could tell whose it is."""
    script = (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        wait_for('flag')\n        say('READY=1')\n        sleep()\n    os._exit(0)\n"
        "os.wait()\nopen('flag', 'w').close()\nsleep()\n"
    )
    pypm.start(speaker("a", script, wait_ready=True))
    assert pypm.row("a")["ready"]


def test_with_main_only_the_main_process_is_heard(pypm: RealPypm) -> None:
    script = (
        "if os.fork() == 0:\n    say('READY=1', 'STATUS=child')\n    barrier()\n    os._exit(0)\n"
        "os.wait()\nopen('said', 'w').close()\nwait_for('flag')\nsay('READY=1')\nsleep()\n"
    )
    pypm.begin(speaker("a", script, wait_ready=True, notify_access="main"))
    wait_until((pypm.folder / "said").exists, 20.0)
    row = pypm.row("a")
    assert (row["status"], row["status_text"]) == ("starting", "")
    pypm.write("flag", "")
    pypm.wait_status("a", "online")
    wait_until(lambda: "messages dropped so far: access" in pypm.master_log())


def test_a_stranger_is_not_heard(pypm: RealPypm) -> None:
    pypm.begin(speaker("a", "sleep()\n", wait_ready=True))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(pypm.home / "notify.sock"))
        sender.send(b"READY=1\nSTATUS=mine\nMAINPID=1")
    wait_until(lambda: "messages dropped so far: sender" in pypm.master_log(), 20.0)
    row = pypm.row("a")
    assert (row["status"], row["status_text"]) == ("starting", "")


def test_one_that_has_ended_is_known_by_what_it_said_before(pypm: RealPypm) -> None:
    """Its message is read when there is neither a process nor a zombie of that pid any more."""
    script = (
        "child = os.fork()\nif child == 0:\n    say('STATUS=one')\n    wait_for('flag')\n"
        "    say('STATUS=two')\n    os._exit(0)\n"
        "os.waitpid(child, 0)\nopen('reaped', 'w').close()\nsleep()\n"
    )
    pypm.begin(speaker("a", script))
    pypm.wait_row("a", lambda row: row["status_text"] == "one")
    master = pypm.master_pid()
    os.kill(master, signal.SIGSTOP)
    try:
        pypm.write("flag", "")
        wait_until((pypm.folder / "reaped").exists, 20.0)
    finally:
        os.kill(master, signal.SIGCONT)
    pypm.wait_row("a", lambda row: row["status_text"] == "two")


def test_the_last_words_of_a_run_are_heard(pypm: RealPypm) -> None:
    pypm.begin(
        speaker("a", "say('READY=1')\nos._exit(3)\n", wait_ready=True, autorestart=False, min_uptime="1h")
    )
    pypm.wait_status("a", "errored", "exited")
    assert "a: online" in pypm.master_log(), "it was ready before it ended"
    assert pypm.json("describe", "a")[0]["runs"][0]["code"] == 3


# --- another main process ---

DAEMON = (
    "if os.fork() == 0:\n    os.setsid()\n    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
    "    say('READY=1', f'MAINPID={os.getpid()}', 'STATUS=daemon')\n    barrier()\n"
    "    open('pid', 'w').write(str(os.getpid()))\n"
    "    wait_for('end')\n    os._exit(7)\n"
    "wait_for('pid')\nos._exit(0)\n"
)


def daemon_pid(pypm: RealPypm) -> int:
    path = pypm.folder / "pid"
    wait_until(lambda: path.exists() and path.read_text() != "", 20.0)
    return int(path.read_text())


def test_a_program_that_daemonizes_goes_on_as_the_one_it_names(pypm: RealPypm) -> None:
    pypm.start(speaker("a", DAEMON, wait_ready=True, autorestart=False))
    pid = daemon_pid(pypm)
    row = pypm.wait_row("a", lambda row: row["pid"] == pid)
    assert (row["status"], row["status_text"], row["restarts"]) == ("online", "daemon", 0)
    pypm.wait_row("a", lambda row: row["memory_bytes"] > 0)
    pypm.write("end", "")
    row = pypm.wait_status("a", "errored")
    assert row["reason"].startswith("exit code 7")


def test_the_named_process_is_stopped_politely_wherever_it_is(pypm: RealPypm) -> None:
    pypm.start(speaker("a", DAEMON, wait_ready=True))
    pid = daemon_pid(pypm)
    pypm.wait_row("a", lambda row: row["pid"] == pid)
    pypm.ok("stop", "a")
    assert not lives(pid)
    assert pypm.json("describe", "a")[0]["runs"][0]["code"] == 5


def test_its_workers_are_stopped_politely_too(pypm: RealPypm) -> None:
    worker = (
        "    if os.fork() == 0:\n"
        "        signal.signal(signal.SIGTERM, lambda *_: (open('told', 'w').close(), os._exit(0)))\n"
        "        open('up', 'w').close()\n        sleep()\n    wait_for('up')\n"
    )
    script = DAEMON.replace("    signal.signal(", f"{worker}    signal.signal(", 1)
    pypm.start(speaker("a", script, wait_ready=True))
    pid = daemon_pid(pypm)
    pypm.wait_row("a", lambda row: row["pid"] == pid)
    pypm.ok("stop", "a")
    assert (pypm.folder / "told").exists()


def is_saved_as_main(pypm: RealPypm, pid: int) -> bool:
    """Whether a master that is killed now leaves word of it: a commit comes some milliseconds later."""
    return any((each.get("run") or {}).get("named_pid") == pid for each in pypm.state()["instances"])


def test_the_named_process_is_adopted_after_the_death_of_both(pypm: RealPypm) -> None:
    pypm.start(speaker("a", DAEMON, wait_ready=True))
    pid = daemon_pid(pypm)
    wait_until(lambda: is_saved_as_main(pypm, pid), 20.0, "what it has named is on the disk")
    pypm.kill_both()
    pypm.ok("list")
    assert pypm.row("a")["pid"] == pid
    pypm.ok("stop", "a")
    assert not lives(pid)


def test_the_named_process_is_adopted_with_its_end(pypm: RealPypm) -> None:
    pypm.start(speaker("a", DAEMON, wait_ready=True, autorestart=False))
    pid = daemon_pid(pypm)
    wait_until(lambda: is_saved_as_main(pypm, pid), 20.0, "what it has named is on the disk")
    pypm.kill_master()
    assert pypm.row("a")["pid"] == pid
    pypm.write("end", "")
    assert pypm.wait_status("a", "errored")["reason"].startswith("exit code 7")


def test_a_named_process_that_ended_without_a_master(pypm: RealPypm) -> None:
    pypm.start(speaker("a", DAEMON, wait_ready=True, autorestart=False))
    pid = daemon_pid(pypm)
    wait_until(lambda: is_saved_as_main(pypm, pid), 20.0, "what it has named is on the disk")
    with pypm.without_master():
        pypm.write("end", "")
        wait_until(lambda: not lives(pid), 20.0)
    assert pypm.wait_status("a", "errored")["reason"].startswith("exit code 7")


def test_the_end_of_a_named_child_is_the_runs(pypm: RealPypm) -> None:
    """Its parent, which the run was started as, lives and does not reap it; it is ended with its run."""
    script = (
        "if os.fork() == 0:\n    say(f'MAINPID={os.getpid()}')\n    sleep()\n"
        "open('pid', 'w').write(str(os.getpid()))\nsleep()\n"
    )
    pypm.begin(speaker("a", script, autorestart=False))
    first = daemon_pid(pypm)
    row = pypm.wait_row("a", lambda row: row["pid"] not in (None, first))
    os.kill(row["pid"], signal.SIGUSR1)
    assert pypm.wait_status("a", "errored")["reason"].startswith("killed by SIGUSR1")
    assert not lives(first)


def test_a_foreign_main_process_is_refused(pypm: RealPypm) -> None:
    script = f"say('MAINPID=1', 'STATUS=one')\nsay('MAINPID={os.getpid()}', 'STATUS=two')\nsleep()\n"
    pypm.begin(speaker("a", script))
    row = pypm.wait_row("a", lambda row: row["status_text"] == "two")
    assert row["pid"] not in (1, os.getpid())
    assert "messages dropped so far: main pid (pid 1)" in pypm.master_log()


# --- the watchdog ---


def test_a_watchdog_that_asks_for_it(pypm: RealPypm) -> None:
    pypm.begin(speaker("a", "if is_first():\n    say('WATCHDOG=trigger')\nsleep()\n"))
    row = pypm.wait_row("a", lambda row: row["restarts"] == 1 and row["status"] == "online")
    assert "watchdog" in row["reason"]


def test_heartbeats_that_stay_away(pypm: RealPypm) -> None:
    script = (
        "if is_first():\n    assert 'WATCHDOG_PID' not in os.environ\n"
        "    open('asked', 'w').write(os.environ['WATCHDOG_USEC'])\n    say('WATCHDOG=1')\nsleep()\n"
    )
    pypm.begin(speaker("a", script, health={"heartbeat_timeout": "500ms"}))
    pypm.wait_row("a", lambda row: row["restarts"] == 1 and row["status"] == "online")
    assert (pypm.folder / "asked").read_text() == "500000"


def test_a_watchdog_time_of_its_own_and_more_time_to_start(pypm: RealPypm) -> None:
    script = (
        "end = time.monotonic() + 4.0\n"
        "while time.monotonic() < end:\n    say('EXTEND_TIMEOUT_USEC=3000000')\n    time.sleep(0.1)\n"
        "say('READY=1', 'WATCHDOG_USEC=300000')\nsleep()\n"
    )
    pypm.begin(speaker("a", script, wait_ready=True, listen_timeout="3s", max_restarts=0))
    row = pypm.wait_status("a", "errored")
    assert "heartbeat" in row["reason"]
    assert pypm.json("describe", "a")[0]["runs"][0]["uptime_seconds"] > 4.0


# --- masters and sockets that come and go ---


def test_what_is_said_while_there_is_no_master_is_heard_by_the_next(pypm: RealPypm) -> None:
    script = "wait_for('flag')\nsay('READY=1', 'STATUS=still here')\nopen('said', 'w').close()\nsleep()\n"
    pypm.begin(speaker("a", script, wait_ready=True))
    pypm.wait_status("a", "starting")
    with pypm.without_master():
        pypm.write("flag", "")
        wait_until((pypm.folder / "said").exists, 20.0)
    assert pypm.wait_status("a", "online")["status_text"] == "still here"


def test_the_next_guardian_is_heard_of_by_the_same_path(pypm: RealPypm) -> None:
    pypm.start(speaker("a", "wait_for('flag')\nsay('STATUS=still here')\nsleep()\n"))
    pypm.kill_both()
    pypm.ok("list")
    pypm.write("flag", "")
    pypm.wait_row("a", lambda row: row["status_text"] == "still here")


def test_a_socket_that_was_removed_is_made_anew_and_the_old_one_is_heard(pypm: RealPypm) -> None:
    script = (
        "sender = connected()\nsender.send(b'STATUS=connected')\nwait_for('flag')\n"
        "sender.send(b'STATUS=by the old socket')\nwait_for('new')\nsay('STATUS=by the new one')\n"
        "wait_for('again')\nsender.send(b'STATUS=by the old one, under another master')\nsleep()\n"
    )
    pypm.begin(speaker("a", script))
    pypm.wait_row("a", lambda row: row["status_text"] == "connected")
    path = pypm.home / "notify.sock"
    path.unlink()
    wait_until(path.exists, 20.0)
    pypm.write("flag", "")
    pypm.wait_row("a", lambda row: row["status_text"] == "by the old socket")
    pypm.write("new", "")
    pypm.wait_row("a", lambda row: row["status_text"] == "by the new one")
    pypm.kill_master()
    pypm.write("again", "")
    pypm.wait_row("a", lambda row: row["status_text"] == "by the old one, under another master")


# --- programs of others ---


def needs(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def test_redis_is_ready_when_it_says_so(pypm: RealPypm) -> None:
    needs("redis-server")
    command = "redis-server --supervised systemd --port 0 --unixsocket r.sock --save ''"
    pypm.start({"name": "redis", "command": command, "wait_ready": True, "notify_access": "main"})
    assert pypm.row("redis")["status_text"] == "Ready to accept connections"
    assert (pypm.folder / "r.sock").exists()
    pypm.ok("stop", "redis")
    assert pypm.json("describe", "redis")[0]["runs"][0]["code"] == 0


def test_systemd_notify_in_a_shell_script(pypm: RealPypm) -> None:
    needs("systemd-notify")
    script = "systemd-notify --ready --status='at work'; echo $?; wait; exec sleep 1000"
    pypm.start(shell("a", script, wait_ready=True))
    pypm.wait_row("a", lambda row: row["status_text"] == "at work")
    wait_until(lambda: pypm.log("a") == b"0\n", 20.0)


def test_systemd_notify_names_the_main_process(pypm: RealPypm) -> None:
    needs("systemd-notify")
    script = "sleep 1000 & systemd-notify --ready --pid=$! && echo $! && wait"
    pypm.start(shell("a", script, wait_ready=True))
    wait_until(lambda: pypm.log("a").endswith(b"\n"), 20.0)
    pypm.wait_row("a", lambda row: row["pid"] == int(pypm.log("a")))


def test_gunicorn(pypm: RealPypm) -> None:
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    pypm.write("hello.py", "def app(environ, respond):\n    respond('200 OK', [])\n    return [b'x']\n")
    app = {"name": "g", "module": "gunicorn", "args": ["-b", "unix:g.sock", "hello:app"], "wait_ready": True}
    pypm.start({**app, "interpreter": sys.executable, "env": {"HOME": str(pypm.folder)}})
    assert pypm.row("g")["status_text"] == "Gunicorn arbiter booted"


# --- bad input ---

FLOOD = """
import random
chaos = random.Random(7)
sender = connected()
words = [b'READY=1', b'STATUS=', b'MAINPID=', b'BARRIER=1', b'\\0', b'\\n', b'\\n', b'=', b'\\xff']
words += [b'FDSTORE=1']
words += [b'ERRNO=', b'WATCHDOG=1', b'RELOADING=1', b'EXTEND_TIMEOUT_USEC=', b'-1', b'9' * 30, b'7']
files = [os.open('/dev/null', os.O_RDONLY) for _ in range(20)]
say('READY=1')
wait_for('flag')
for turn in range(10000):
    data = b''.join(chaos.choices(words, k=chaos.randrange(12)))
    if turn % 50 == 0:
        data = chaos.randbytes(chaos.choice((1, 4096, 4097, 100000)))
    given = chaos.choices(files, k=chaos.choice((1, 3, 20, 250))) if turn % 7 == 0 else []
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', given))] if given else []
    sender.sendmsg([data], rights)
say('STATUS=done')
sleep()
"""


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_flood_of_nonsense_harms_nobody(pypm: RealPypm) -> None:
    pypm.start(speaker("quiet", "say('READY=1', 'STATUS=quiet')\nsleep()\n", wait_ready=True))
    pypm.start(speaker("flood", FLOOD, wait_ready=True, max_restarts=0))
    master = pypm.master_pid()
    pypm.rows()
    before, had = memory(master), descriptors(master)
    pypm.write("flag", "")
    answered = 0

    def is_done() -> bool:
        nonlocal answered
        row = pypm.row("flood")
        answered += 1
        return row["status_text"] == "done" or row["status"] != "online"

    wait_until(is_done, 60.0)
    assert answered > 1, "commands are answered meanwhile"
    assert pypm.row("flood")["restarts"] == 0
    assert pypm.row("quiet")["status_text"] == "quiet"
    wait_until(lambda: descriptors(master) <= had + 2, 20.0, "its descriptors closed")
    assert memory(master) < before + 20 * 2**20
    log = pypm.master_log()
    assert "messages dropped so far: malformed" in log
    assert "Traceback" not in log
    assert log.count("\n") < 100, "a flood does not flood the log"
