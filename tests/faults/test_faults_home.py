"""Homes that cannot be used, homes with long paths, and files that cannot be read: told, never guessed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_pypm import RealPypm, python, shell, sleeper

from pypm.testing import wait_until

root_only = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give a folder away or become another user"
)


def home_at(path: Path | str) -> dict[str, str]:
    return {**os.environ, "PYPM_HOME": str(path)}


def refused(pypm: RealPypm, path: Path | str, *expected: str) -> None:
    """Every way to a master says why it cannot be."""
    for words in (["list"], ["start", "--name", "x", "--", "sleep", "1000"]):
        done = pypm.run(*words, env=home_at(path))
        assert done.returncode in (1, 4)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert str(path) in done.stderr
        assert all(each in done.stderr for each in expected), done.stderr


@root_only
def test_a_home_that_belongs_to_somebody_else(pypm: RealPypm) -> None:
    other = pypm.folder / "other"
    other.mkdir()
    os.chown(other, 65534, 65534)
    refused(pypm, other, "65534")
    assert os.listdir(other) == [], "nothing is written there"


def test_a_home_that_is_a_file(pypm: RealPypm) -> None:
    refused(pypm, pypm.write("file", "precious"))
    assert (pypm.folder / "file").read_text() == "precious"


def test_a_home_below_a_file(pypm: RealPypm) -> None:
    refused(pypm, pypm.write("file", "") / "home")


def test_a_home_whose_state_is_no_folder(pypm: RealPypm) -> None:
    other = pypm.folder / "h"
    other.mkdir()
    (other / "state").write_text("")
    refused(pypm, other, "not a folder")


def test_a_home_that_others_may_enter_is_narrowed(pypm: RealPypm) -> None:
    pypm.home.chmod(0o755)
    pypm.ok("list")
    assert pypm.home.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def far(pypm: RealPypm) -> Iterator[RealPypm]:
    """A home with a path of more than 200 characters."""
    folder = pypm.folder / ("d" * 90) / ("e" * 90) / ("f" * 40)
    folder.mkdir(parents=True)
    real = RealPypm(folder / "home", folder)
    yield real
    real.end()
    shutil.rmtree(folder)


def test_a_home_with_a_long_path_has_its_sockets_elsewhere(
    far: RealPypm, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="pr-", dir="/tmp") as runtime:
        os.chmod(runtime, 0o700)
        monkeypatch.setenv("PYPM_HOME", str(far.home))
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        assert len(str(far.home)) > 200
        script = "import time\nfrom pypm import agent\nagent.ready()\ntime.sleep(1000)\n"
        far.start(python("a", script, wait_ready=True))
        assert far.row("a")["ready"], "its agents reach their channel too"
        assert far.json("ping")["home"] == str(far.home)
        assert not (far.home / "pypm.sock").exists()
        sockets = [Path(path) for path in listening(far.master_pid())]
        assert {path.name for path in sockets} == {"pypm.sock", "agents.sock"}
        assert all(path.parent.stat().st_mode & 0o777 == 0o700 for path in sockets)
        far.ok("kill")
        wait_until(lambda: far.lock_holder() is None)
        assert not any(path.exists() for path in sockets)


def listening(pid: int) -> list[str]:
    """The paths of the Unix sockets that a process listens on."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    with open("/proc/net/unix") as file:
        rows = [line.split() for line in file][1:]
    return [
        row[7] for row in rows if len(row) > 7 and f"socket:[{row[6]}]" in inodes and row[3] == "00010000"
    ]


def test_two_long_homes_do_not_share_sockets(far: RealPypm) -> None:
    second = RealPypm(far.folder / "emoh", far.folder)
    try:
        for real in (far, second):
            name = real.home.name
            real.ok("start", "--name", name, "--no-wait", "--", "sleep", "1000", env=home_at(real.home))
        for real in (far, second):
            [row] = real.json("list", env=home_at(real.home))
            assert row["name"] == real.home.name
    finally:
        for real in (far, second):
            real.ok("kill", env=home_at(real.home))
            wait_until(lambda real=real: real.lock_holder() is None)


def test_an_ecosystem_file_that_cannot_be_read(pypm: RealPypm) -> None:
    (pypm.folder / "folder.toml").mkdir()
    assert "folder.toml" in pypm.fails(1, "start", "folder.toml")
    (pypm.folder / "loop.toml").symlink_to("loop.toml")
    assert "loop.toml" in pypm.fails(1, "start", "loop.toml")
    (pypm.folder / "latin.toml").write_bytes(b'[[apps]]\ncommand = "caf\xe9"\n')
    assert "latin.toml" in pypm.fails(1, "start", "latin.toml")
    (pypm.folder / "nul.toml").write_bytes(bytes(100))
    assert "nul.toml" in pypm.fails(1, "start", "nul.toml")
    assert pypm.lock_holder() is None


@root_only
def test_an_ecosystem_file_without_permission() -> None:
    """Root may read everything, so this is tried by somebody else, in a folder of theirs."""
    with tempfile.TemporaryDirectory(prefix="pq-", dir="/tmp") as folder:
        path = Path(folder) / "ecosystem.toml"
        path.write_text('[[apps]]\ncommand = "sleep 1000"\n')
        path.chmod(0)
        os.chmod(folder, 0o755)
        child = os.fork()
        if child == 0:
            status = 9
            try:
                os.setuid(65534)
                from pypm.config import load
                from pypm.core.errors import ConfigError

                try:
                    load(str(path))
                except ConfigError as error:
                    status = 0 if "ermission" in error.message and str(path) in error.message else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("name", ["a/b", "../up", "/abs", "all", "-x", "a\nb", "a:0", "", "x" * 300])
def test_a_name_that_is_none_is_refused_everywhere(pypm: RealPypm, name: str) -> None:
    file = pypm.ecosystem(sleeper(name))
    assert "name" in pypm.fails(1, "start", file)
    done = pypm.run("start", f"--name={name}", "--", "sleep", "1000")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert pypm.lock_holder() is None


def test_a_folder_that_is_deleted_under_the_master(pypm: RealPypm) -> None:
    """The logs folder comes back with the next line; the agents notice nothing."""
    pypm.start(shell("a", "while :; do echo tick; sleep 0.05; done"))
    wait_until(lambda: pypm.log("a"))
    pid = pypm.pid("a")
    # In one step: what is made anew in it meanwhile would be in the way of its removal.
    (pypm.home / "logs").rename(pypm.folder / "gone")
    shutil.rmtree(pypm.folder / "gone")
    wait_until(lambda: pypm.log("a"), 20.0)
    assert pypm.pid("a") == pid
    shutil.rmtree(pypm.home / "state")
    done = pypm.run("reset", "a")
    assert "state" in done.stderr, "it is told that nothing could be saved"
    (pypm.home / "state").mkdir(mode=0o700)
    wait_until(lambda: (pypm.home / "state" / "state.json").exists(), 20.0)
    assert pypm.run("reset", "a").stderr == ""
