"""A full disk: agents run on, somebody is told, and all is well again when there is room."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_pypm import RealPypm, lives, shell, sleeper

from pypm.testing import wait_until


@pytest.fixture
def small(home: Path) -> Iterator[RealPypm]:
    """A home whose state and logs are on a disk of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = home / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "small", disk],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    for name in ("state", "logs"):
        (disk / name).mkdir(mode=0o700)
        (home / name).symlink_to(disk / name)
    real = RealPypm(home)
    try:
        yield real
        real.end()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def fill(pypm: RealPypm) -> None:
    """Leave no byte."""
    with open(pypm.home / "disk" / "ballast", "wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass


def empty(pypm: RealPypm) -> None:
    (pypm.home / "disk" / "ballast").unlink()


def statuses(pypm: RealPypm) -> dict[str, str]:
    """What is saved; a status that is the default is left out of the file."""
    return {each["app"]: each.get("status", "stopped") for each in pypm.state()["instances"]}


def test_a_state_that_cannot_be_saved_is_told_and_saved_later(small: RealPypm) -> None:
    small.start(sleeper("a"), sleeper("b"))
    saved = small.state()
    fill(small)
    done = small.run("stop", "a")
    assert done.returncode == 0, "it is done all the same"
    assert "warning: cannot save the state" in done.stderr
    assert "No space left" in done.stderr
    assert small.json("stop", "a")["warnings"]
    assert small.row("a")["status"] == "stopped"
    assert lives(small.pid("b"))
    assert small.state() == saved, "the last good state is whole"
    empty(small)
    wait_until(lambda: statuses(small) == {"a": "stopped", "b": "online"}, 20.0)
    assert small.run("reset", "b").stderr == ""
    log = small.master_log()
    assert log.count("cannot save the state") == 1, "a full disk is not filled with complaints"
    assert "the state can be saved again" in log


def test_agents_are_started_and_restarted_on_a_full_disk(small: RealPypm) -> None:
    small.start(sleeper("a"))
    fill(small)
    assert small.run("start", "--name", "b", "--no-wait", "--", "sleep", "1000").returncode == 0
    pid = small.wait_status("b", "online")["pid"]
    os.kill(pid, 9)
    small.wait_row("b", lambda row: row["restarts"] == 1 and row["status"] == "online")
    empty(small)


def test_logs_on_a_full_disk_hold_nobody_up(small: RealPypm) -> None:
    script = "echo first; while ! test -e flag; do sleep 0.05; done; seq 1 100000; echo > done; "
    script += "while ! test -e room; do sleep 0.05; done; echo last; exec sleep 1000"
    small.start(shell("a", script))
    wait_until(lambda: small.log("a") == b"first\n")
    fill(small)
    small.write("flag", "")
    wait_until(lambda: (small.folder / "done").exists(), 20.0, "600 KB written, that no disk took")
    assert small.row("a")["status"] == "online"
    wait_until(lambda: "a-out.log" in small.master_log())
    assert "No space left" in small.master_log()
    empty(small)
    small.ok("flush", "a")
    small.write("room", "")
    wait_until(lambda: small.log("a").endswith(b"last\n"), 20.0)
    assert len(small.master_log()) < 20_000


def test_a_master_begins_on_a_full_disk(small: RealPypm) -> None:
    small.start(sleeper("a"))
    small.terminate_master()
    fill(small)
    small.ok("list")
    small.wait_status("a", "online")
    empty(small)
    wait_until(lambda: statuses(small) == {"a": "online"}, 20.0)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder refuses every write; needs root."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder read-only for itself")
    mounted = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a folder cannot be mounted here: {mounted.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_state_folder_that_has_become_read_only(pypm: RealPypm) -> None:
    """As a disk with errors does. Agents run on, also over a change of masters; what is not saved is told."""
    pypm.start(sleeper("a"), sleeper("b"))
    agents = [row["pid"] for row in pypm.rows()]
    with read_only(pypm.home / "state"):
        assert "Read-only file system" in pypm.run("reset", "a").stderr
        pypm.kill_master()
        assert [row["pid"] for row in pypm.rows()] == agents
        done = pypm.run("stop", "a")
        assert done.returncode == 0, "it is done all the same"
        assert "Read-only file system" in done.stderr
        assert not lives(agents[0])
        assert pypm.row("a")["status"] == "stopped"
    wait_until(lambda: statuses(pypm) == {"a": "stopped", "b": "online"}, 20.0)
    assert pypm.pid("b") == agents[1]
