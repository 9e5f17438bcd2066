"""Logs on a disk that takes nothing: agents run on or wait as they were told, and what is missing is told."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_pypm import RealPypm, lives, shell

from pypm.testing import wait_until

KIB = 1024
MARKER = re.compile(rb"(?m)^\[pypm\] [-0-9]{10}T[:0-9]{8}\.\d{3}Z (\d+) bytes of output were dropped: (.*)\n")


@pytest.fixture
def disk(home: Path) -> Iterator[Path]:
    """A folder on a disk of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = home / "disk"
    folder.mkdir()
    order = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "small", str(folder)]
    mounted = subprocess.run(order, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def small(home: Path, disk: Path) -> Iterator[RealPypm]:
    """A home whose logs are on the small disk."""
    (disk / "logs").mkdir(mode=0o700)
    (home / "logs").symlink_to(disk / "logs")
    real = RealPypm(home)
    yield real
    real.end()


def fill(disk: Path, left: int = 0) -> None:
    """Leave ``left`` bytes."""
    room = os.statvfs(disk)
    with open(disk / "ballast", "wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, max(1, room.f_bavail * room.f_bsize - left))


def events(pypm: RealPypm) -> list[dict[str, Any]]:
    path = pypm.home / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def named(pypm: RealPypm, name: str) -> list[dict[str, Any]]:
    return [event for event in events(pypm) if event["event"] == name]


def in_steps(name: str, **logs: object) -> dict[str, Any]:
    """An app that prints 4,000 numbered lines of 100 bytes when the file ``go`` is there, then waits on."""
    script = (
        "echo first; while ! test -e go; do sleep 0.02; done; "
        "seq -f '%099.0f' 1 4000; touch printed; "
        "while ! test -e room; do sleep 0.02; done; echo last; exec sleep 1000"
    )
    return shell(name, script, logs=logs)


def everything(pypm: RealPypm, name: str) -> bytes:
    """The whole log of an instance, oldest file first."""
    found = [path for path in (pypm.home / "logs").glob(f"{name}-out.log.*") if path.suffix[1:].isdecimal()]
    rotated = sorted(found, key=lambda path: -int(path.suffix[1:]))
    return b"".join(path.read_bytes() for path in rotated) + pypm.log(name)


def test_output_that_no_disk_takes_is_dropped_counted_and_marked(small: RealPypm, disk: Path) -> None:
    small.start(in_steps("a"))
    wait_until(lambda: small.log("a") == b"first\n")
    fill(disk, left=64 * KIB)
    small.write("go", "")
    wait_until((small.folder / "printed").exists, 20.0, "400 KB printed, that no disk took")
    wait_until(lambda: named(small, "log.dropping"))
    (disk / "ballast").unlink()
    small.write("room", "")
    wait_until(lambda: small.log("a").endswith(b"last\n"), 20.0)
    text = small.log("a")
    (found,) = MARKER.finditer(text)
    assert found[2] == b"No space left on device"
    kept = MARKER.sub(b"", text)
    cut = text[found.start() - 101 : found.start()].split(b"\n")[-2]
    assert len(kept) + int(found[1]) == 6 + 400_000 + 5 + (0 if len(cut) in (99, 5) else 1)
    assert kept.startswith(b"first\n" + b"%099d\n" % 1)
    (dropped,) = wait_until(lambda: named(small, "log.dropped"))
    assert (dropped["dropped_bytes"], dropped["path"]) == (
        int(found[1]),
        str(small.home / "logs" / "a-out.log"),
    )
    assert small.row("a")["restarts"] == 0


def test_rotated_logs_make_room_before_a_byte_is_dropped(small: RealPypm, disk: Path) -> None:
    small.start(in_steps("a", max_size=32 * KIB, retain=100))
    wait_until(lambda: small.log("a") == b"first\n")
    for number in (7, 8):
        (small.home / "logs" / f"a-out.log.{number}").write_bytes(bytes(100 * KIB))
        os.utime(small.home / "logs" / f"a-out.log.{number}", (number, -number + 1000))
    (small.home / "logs" / "other-out.log.1").write_bytes(b"not ours\n")
    fill(disk, left=16 * KIB)
    small.write("go", "")
    small.write("room", "")
    wait_until(lambda: small.log("a").endswith(b"last\n"), 20.0)
    text = everything(small, "a")
    assert not MARKER.search(text)
    assert text.endswith(b"%099d\n" % 4000 + b"last\n")
    made_room = wait_until(lambda: named(small, "log.made_room"))
    assert made_room[0]["deleted"][0].endswith("a-out.log.8")
    assert not named(small, "log.dropping")
    assert (small.home / "logs" / "other-out.log.1").read_bytes() == b"not ours\n"


def test_an_agent_that_may_lose_nothing_waits_and_can_be_stopped(small: RealPypm, disk: Path) -> None:
    small.start(in_steps("a", on_full="block"), shell("b", "exec sleep 1000"))
    wait_until(lambda: small.log("a") == b"first\n")
    fill(disk, left=64 * KIB)
    small.write("go", "")
    wait_until(lambda: named(small, "log.blocked"))
    pid = small.pid("a")
    assert not (small.folder / "printed").exists()
    assert lives(pid)
    small.ok("stop", "a")
    assert not lives(pid)
    (disk / "ballast").unlink()
    wait_until(lambda: named(small, "log.unblocked"), 20.0)
    text = small.log("a")
    numbers = [int(line) for line in text[: text.rindex(b"\n")].splitlines()[1:]]
    assert numbers == list(range(1, len(numbers) + 1)), "what was in the pipe has come, once"
    assert len(text) > 64 * KIB + 60_000
    assert not MARKER.search(text)


BEATS_AND_PRINTS = """
import os, time
from pypm import agent
agent.heartbeat()
while not os.path.exists("go"):
    agent.heartbeat()
    time.sleep(0.1)
for number in range(1, 4001):
    print(f"{number:099d}", flush=True)
    agent.heartbeat()
while True:
    agent.heartbeat()
    time.sleep(0.1)
"""


def test_an_agent_that_waits_for_its_disk_is_not_judged_by_its_silence(small: RealPypm, disk: Path) -> None:
    file = small.write("beats.py", BEATS_AND_PRINTS)
    health = {"heartbeat_timeout": "4s"}
    keys = {"interpreter": sys.executable, "health": health, "logs": {"on_full": "block"}}
    small.start({"name": "a", "script": str(file), "cwd": str(small.folder)} | keys)
    wait_until(lambda: small.row("a")["health"] == "healthy")
    pid = small.pid("a")
    fill(disk, left=64 * KIB)
    small.write("go", "")
    row = small.wait_row("a", lambda row: row["waiting_for"] == "the disk of its log")
    small.wait_row("a", lambda row: row["heartbeat_age_seconds"] > 8.0)
    assert (small.row("a")["pid"], row["restarts"]) == (pid, 0)
    (disk / "ballast").unlink()
    wait_until(lambda: small.log("a").endswith(b"%099d\n" % 4000), 20.0)
    small.wait_row("a", lambda row: row["heartbeat_age_seconds"] < 4.0)
    assert (small.row("a")["pid"], small.row("a")["restarts"]) == (pid, 0)


@pytest.mark.parametrize("max_size", [0, 64 * KIB], ids=["spliced", "rotated"])
def test_nothing_is_lost_by_an_agent_that_waits(small: RealPypm, disk: Path, max_size: int) -> None:
    small.start(in_steps("a", on_full="block", max_size=max_size))
    wait_until(lambda: small.log("a") == b"first\n")
    fill(disk, left=100 * KIB)
    small.write("go", "")
    wait_until(lambda: named(small, "log.blocked"))
    small.write("room", "")
    (disk / "ballast").unlink()
    wait_until(lambda: small.log("a").endswith(b"last\n"), 20.0)
    said = b"".join(b"%099d\n" % number for number in range(1, 4001))
    assert everything(small, "a") == b"first\n" + said + b"last\n"
    assert not named(small, "log.dropping")


def test_a_blocked_log_is_still_whole_after_a_kill_of_the_master(small: RealPypm, disk: Path) -> None:
    small.start(in_steps("a", on_full="block"))
    wait_until(lambda: small.log("a") == b"first\n")
    fill(disk, left=100 * KIB)
    small.write("go", "")
    wait_until(lambda: named(small, "log.blocked"))
    pid = small.pid("a")
    small.kill_master()
    assert small.pid("a") == pid
    small.write("room", "")
    (disk / "ballast").unlink()
    wait_until(lambda: small.log("a").endswith(b"last\n"), 20.0)
    said = b"".join(b"%099d\n" % number for number in range(1, 4001))
    assert small.log("a") == b"first\n" + said + b"last\n"


def take_away(folder: Path, instead: Path | None = None) -> None:
    """Remove a folder in one step, so that nobody makes anew what is in it meanwhile.

    ``instead`` is what has its name then.
    """
    while True:
        gone = folder.with_name("gone")
        folder.rename(gone)
        shutil.rmtree(gone)
        if instead is None:
            return
        try:
            os.link(instead, folder)
        except FileExistsError:  # it has come back already
            continue
        return


def test_a_folder_of_logs_that_vanishes_comes_back(pypm: RealPypm) -> None:
    path = pypm.folder / "logs" / "a.log"
    script = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.02; done"
    pypm.start(shell("a", script, out_file=str(path)))
    wait_until(lambda: path.exists() and b"line 3\n" in path.read_bytes())
    take_away(path.parent)
    wait_until(
        lambda: path.exists() and path.read_bytes().count(b"\n") > 3, 20.0, "a new file in a new folder"
    )
    first = int(path.read_bytes().split()[1])
    (pypm.folder / "file").write_text("no folder")
    take_away(path.parent, pypm.folder / "file")
    wait_until(lambda: named(pypm, "log.dropping"), 20.0)
    path.parent.unlink()
    wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") > 3, 20.0, "a file with a marker")
    text = path.read_bytes()
    assert MARKER.match(text)
    assert MARKER.match(text)[2] == b"Not a directory"
    numbers = [int(line.split()[1]) for line in MARKER.sub(b"", text).splitlines()]
    assert numbers[0] > first
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert pypm.row("a")["restarts"] == 0
