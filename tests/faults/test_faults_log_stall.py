"""A log that takes nothing for a while: no other agent and no command waits for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from real_pypm import RealPypm, lives, shell
from stalling_files import StallingFiles, stalling

from pypm.testing import wait_until

__all__ = ["stalling"]

COUNTING = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.02; done"


def grows(read: Callable[[], bytes], lines: int = 10) -> None:
    """Wait until there are so many lines more."""
    before = read().count(b"\n")
    wait_until(lambda: read().count(b"\n") >= before + lines, 20.0)


def numbers(text: bytes) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines()]


@pytest.mark.parametrize("form", ["raw", "text"])
def test_a_stalled_log_delays_no_other_agent_and_no_command(
    stalling: StallingFiles, pypm: RealPypm, form: str
) -> None:
    slow = str(stalling.folder / "slow.log")
    pypm.start(
        shell("slow", COUNTING, out_file=slow, error_file=slow, logs={"format": form}),
        shell("quick", COUNTING),
    )
    grows(lambda: stalling.content("slow.log"))
    stalling.stall()
    try:
        grows(lambda: pypm.log("quick"), 50)
        assert {row["name"]: row["status"] for row in pypm.json("list")} == {
            "slow": "online",
            "quick": "online",
        }
        pypm.ok("describe", "slow")
        pid = pypm.pid("slow")
        pypm.ok("restart", "slow")
        assert not lives(pid)
        pypm.ok("stop", "slow")
        pypm.ok("start", "slow")
        grows(lambda: pypm.log("quick"))
        pypm.ok("stop", "slow")
        stalled = stalling.content("slow.log")
    finally:
        stalling.go_on()
    wait_until(lambda: stalling.content("slow.log").count(b"line 1\n") == 3, 20.0, "what was in the pipe")
    text = stalling.content("slow.log")
    assert len(text) > len(stalled)
    if form == "text":
        text = b"".join(line.split(b" ", 3)[3] for line in text.splitlines(keepends=True))
    runs = [numbers(b"line 1\n" + run) for run in text.split(b"line 1\n")[1:]]
    assert [run == list(range(1, len(run) + 1)) for run in runs] == [True] * 3


def test_a_flood_into_a_stalled_log_waits_in_its_pipe_and_all_of_it_comes(
    stalling: StallingFiles, pypm: RealPypm
) -> None:
    script = "while ! test -e go; do sleep 0.02; done; seq -f '%099.0f' 1 20000; echo last; exec sleep 1000"
    pypm.start(shell("slow", f"echo first; {script}", out_file=str(stalling.folder / "slow.log")))
    wait_until(lambda: stalling.content("slow.log") == b"first\n", 20.0)
    stalling.stall()
    try:
        pypm.write("go", "")
        pypm.start(shell("quick", COUNTING))
        grows(lambda: pypm.log("quick"))
        assert stalling.content("slow.log") == b"first\n"
    finally:
        stalling.go_on()
    wait_until(lambda: stalling.content("slow.log").endswith(b"last\n"), 20.0)
    assert stalling.content("slow.log").split()[1:-1] == [b"%099d" % number for number in range(1, 20001)]


def test_a_master_can_end_while_a_log_is_stalled(stalling: StallingFiles, pypm: RealPypm) -> None:
    pypm.start(shell("slow", COUNTING, out_file=str(stalling.folder / "slow.log")))
    grows(lambda: stalling.content("slow.log"))
    stalling.stall()
    try:
        pypm.end()
    finally:
        stalling.go_on()


def test_the_next_master_goes_on_with_a_log_that_was_stalled(stalling: StallingFiles, pypm: RealPypm) -> None:
    pypm.start(shell("slow", COUNTING, out_file=str(stalling.folder / "slow.log")))
    grows(lambda: stalling.content("slow.log"))
    pid = pypm.pid("slow")
    stalling.stall()
    try:
        pypm.kill_master()
        assert pypm.pid("slow") == pid
    finally:
        stalling.go_on()
    grows(lambda: stalling.content("slow.log"), 30)
    found = numbers(stalling.content("slow.log"))
    assert found == list(range(1, len(found) + 1))


def test_a_fifo_that_nobody_empties_delays_nobody(pypm: RealPypm) -> None:
    path = pypm.folder / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        pypm.start(
            shell("flood", "seq -f '%099.0f' 1 20000; touch printed; exec sleep 1000", out_file=str(path)),
            shell("quick", COUNTING),
        )
        wait_until(Path(pypm.folder / "printed").exists, 20.0, "2 MB printed, that nobody has taken")
        grows(lambda: pypm.log("quick"))
        assert pypm.row("flood")["status"] == "online"
        assert os.read(reader, 200).startswith(b"%099d\n" % 1)
    finally:
        os.close(reader)
