"""Lines for the stdin of agents: `pypm send` and `pypm attach`, over runs and masters."""

from __future__ import annotations

import os
import signal
import subprocess

from real_pypm import COMMAND, RealPypm, shell, sleeper

from pypm.testing import wait_until

READS = 'while read -r line; do echo "$PYPM_NAME got $line"; done; echo end; exec sleep 6631'


def said(pypm: RealPypm, name: str) -> list[str]:
    return pypm.log(name).decode().splitlines()


def test_a_line_reaches_the_stdin_of_all_that_are_named(pypm: RealPypm) -> None:
    pypm.start(shell("a", READS, instances=2, stdin=True))
    assert pypm.ok("send", "a", "hello", "--all of", "you") == "sent a:0, a:1\n"
    for name in ("a:0", "a:1"):
        wait_until(lambda name=name: said(pypm, name) == [f"{name} got hello --all of you"], 20.0)


def test_stdin_stays_open_under_the_next_master_and_is_new_for_the_next_run(pypm: RealPypm) -> None:
    pypm.start(shell("a", READS, stdin=True))
    pypm.kill_master()
    pypm.ok("send", "a", "one")
    wait_until(lambda: said(pypm, "a") == ["a got one"], 20.0)
    pypm.ok("restart", "a")
    pypm.ok("send", "a", "two")
    wait_until(lambda: said(pypm, "a") == ["a got one", "a got two"], 20.0)


def test_what_has_no_stdin_or_does_not_run_says_so(pypm: RealPypm) -> None:
    pypm.start(sleeper("plain"), shell("a", READS, stdin=True), shell("deaf", "exec sleep 6632", stdin=True))
    assert "stdin = true" in pypm.fails(1, "send", "plain", "x")
    pypm.ok("stop", "a")
    assert "a does not run" in pypm.fails(1, "send", "a", "x")
    # 16 pages, or one where the kernel gives no more: full after that many lines of almost a page.
    refused = next(done for _ in range(40) if (done := pypm.run("send", "deaf", "x" * 4000)).returncode)
    assert "deaf does not read its stdin, which is full" in refused.stderr
    assert "cannot be sent" in pypm.fails(2, "send", "deaf", "x" * 4096)


def test_attach_follows_and_sends_what_is_typed(pypm: RealPypm) -> None:
    pypm.start(shell("a", READS, stdin=True))
    process = subprocess.Popen(
        [*COMMAND, "attach", "a"],
        cwd=pypm.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write("typed\n")
        process.stdin.flush()
        assert process.stdout.readline() == "a | a got typed\n"
    finally:
        os.kill(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 0, error
    assert pypm.row("a")["status"] == "online"
