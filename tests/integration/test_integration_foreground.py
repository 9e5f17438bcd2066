"""``pypm start --foreground``: the agents' output here, their end with it, their failure its status."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from real_pypm import COMMAND, RealPypm, lives, shell, sleeper, with_command

from pypm.testing import wait_until


def foreground(pypm: RealPypm, *apps: dict[str, object]) -> subprocess.Popen[bytes]:
    return pypm.popen("start", pypm.ecosystem(*apps), "--foreground")


def read_until(process: subprocess.Popen[bytes], *wanted: bytes) -> list[bytes]:
    """Read lines of stdout until all of ``wanted`` have come."""
    assert process.stdout is not None
    lines: list[bytes] = []
    while not all(each in b"".join(lines) for each in wanted):
        line = process.stdout.readline()
        assert line, f"it ended after {lines}"
        lines.append(line)
    return lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_output_is_prefixed_and_the_end_ends_everything(pypm: RealPypm, number: int) -> None:
    talker = shell("talker", "echo hello; echo 'to stderr' >&2; sleep 1008.25 & exec sleep 1008.25")
    process = foreground(pypm, talker, sleeper("w", instances=2))
    lines = read_until(process, b"hello", b"to stderr")
    assert b"talker | hello\n" in lines
    assert b"talker | to stderr\n" in lines
    master = pypm.master_pid()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in stderr
    assert with_command("sleep", "1008.25") == []
    wait_until(lambda: not lives(master), what="the end of the master that it began")


def test_an_agents_failure_is_the_commands(pypm: RealPypm) -> None:
    process = foreground(pypm, shell("a", "echo last words; exit 7", autorestart=False))
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 7
    assert stdout == b"a | last words\n"
    assert b"exit code 7" in stderr
    wait_until(lambda: pypm.lock_holder() is None)


def test_an_agents_death_by_a_signal_is_told_as_a_shell_does(pypm: RealPypm) -> None:
    process = foreground(pypm, shell("a", "kill -KILL $$", max_restarts=0))
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL


def test_when_all_have_ended_well_it_ends_well(pypm: RealPypm) -> None:
    apps = [shell(name, f"echo {name}; printf tail", autorestart=False) for name in ("one", "two")]
    process = foreground(pypm, *apps)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert sorted(stdout.splitlines()) == [b"one | one", b"one | tail", b"two | tail", b"two | two"]


def test_a_master_that_was_there_stays_with_its_other_apps(pypm: RealPypm) -> None:
    pypm.start(sleeper("other"))
    master = pypm.master_pid()
    process = pypm.popen(
        "start", pypm.ecosystem(shell("a", "echo up; exec sleep 1000"), name="b.toml"), "--foreground"
    )
    read_until(process, b"up")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert pypm.master_pid() == master
    assert [(row["name"], row["status"]) for row in pypm.rows()] == [("other", "online")]


def test_a_second_signal_kills_what_does_not_end(pypm: RealPypm) -> None:
    deaf = shell("deaf", "trap 'echo no' TERM; echo up; while :; do sleep 0.05; done", kill_timeout="1h")
    process = foreground(pypm, sleeper("quick"), deaf)
    read_until(process, b"up")
    pid = pypm.pid("deaf")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: [row["name"] for row in pypm.rows()] == ["deaf"], what="the end of the other one")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert not lives(pid)
    assert process.returncode == 130


def test_on_a_terminal_ctrl_c_ends_it_and_names_are_coloured(pypm: RealPypm) -> None:
    """The terminal signals its foreground group only: agents have their own, and are stopped properly."""
    file = pypm.ecosystem(shell("a", "trap 'echo asked; exit' TERM; echo up; while :; do sleep 0.05; done"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(pypm.folder)
        os.environ.pop("NO_COLOR", None)
        os.execv(COMMAND[0], [*COMMAND, "start", file, "--foreground"])
    seen = b""
    try:
        while b"up" not in seen:
            seen += os.read(terminal, 4096)
        os.write(terminal, b"\x03")
        while True:
            try:
                chunk = os.read(terminal, 4096)
            except OSError:  # EIO: the other side has gone
                break
            if not chunk:
                break
            seen += chunk
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert b"\x1b[" in seen
    assert b"asked" in seen


def test_as_json_stdout_is_one_object_a_line(pypm: RealPypm) -> None:
    app = shell("a", "echo one; echo 'to stderr' >&2; printf 'no \\377 end'", autorestart=False)
    process = pypm.popen("start", pypm.ecosystem(app), "--foreground", "--json")
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    entries = [json.loads(line) for line in stdout.splitlines()]
    told = {(entry["name"], entry["stream"], entry["line"]) for entry in entries}
    assert told == {("a", "out", "one"), ("a", "error", "to stderr"), ("a", "out", "no \ufffd end")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a pid namespace")
def test_as_the_first_process_it_reaps_and_forwards_a_signal(pypm: RealPypm) -> None:
    """A process that somebody brings into the container leaves its children to the first one there."""
    file = pypm.ecosystem(shell("a", "trap 'echo asked; exit' TERM; echo up; while :; do sleep 0.05; done"))
    words = ["unshare", "--pid", "--fork", "--mount-proc", *COMMAND, "start", file, "--foreground"]
    process = subprocess.Popen(words, cwd=pypm.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    read_until(process, b"up")
    [first] = children(process.pid)
    before = set(children(first))
    entered = ["nsenter", "--target", str(first), "--pid", "--mount", "sh", "-c"]
    subprocess.run([*entered, "sleep 0.2 & exit 0"], check=True)
    wait_until(lambda: set(children(first)) == before, what="the end of the orphan")
    os.kill(first, signal.SIGTERM)
    stdout, _ = process.communicate(timeout=30)
    assert b"a | asked\n" in stdout
    assert process.returncode == 128 + signal.SIGTERM


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
