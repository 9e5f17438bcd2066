"""Commands of probes: what they answer, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pypm.system.probe_process import PROBE_VARIABLE, Command, CommandEnd, end_left_probes, run_command
from pypm.system.spawn import SpawnError
from pypm.testing import wait_until


class Family:
    """Knows which children are somebody's."""

    def __init__(self) -> None:
        self.kept: set[int] = set()
        self.all: set[int] = set()

    def keep(self, pid: int) -> None:
        self.kept.add(pid)
        self.all.add(pid)

    def let_go(self, pid: int) -> None:
        self.kept.remove(pid)


def run(folder: Path, *words: str, family: Family | None = None, timeout: float = 20.0) -> CommandEnd:
    command = Command(words, str(folder), {"PATH": os.environ["PATH"]}, 0o077)

    async def whole() -> CommandEnd:
        async with asyncio.timeout(timeout):
            return await run_command(command, family or Family())

    return asyncio.run(whole())


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_how_it_ended_and_what_it_said(tmp_path: Path) -> None:
    family = Family()
    end = run(tmp_path, "sh", "-c", "echo out; pwd; umask; echo err >&2; exit 3", family=family)
    assert (end.death.code, end.death.signal) == (3, None)
    assert end.output == f"out\n{tmp_path}\n0077\nerr\n"
    assert family.all
    assert family.kept == set()
    assert run(tmp_path, "sh", "-c", "kill -TERM $$").death.signal == 15


def test_of_endless_output_the_beginning_is_kept(tmp_path: Path) -> None:
    end = run(tmp_path, "sh", "-c", "echo first; head -c 3000000 /dev/zero")
    assert end.death.code == 0
    assert end.output.startswith("first\n")
    assert len(end.output) <= 4096


def test_what_cannot_be_started(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(SpawnError, match="no such file"):
        run(tmp_path, "no-such-program-anywhere")
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("how", ["sleep 1000", "exit 0"])
def test_nothing_is_left_whether_it_hangs_or_ends(tmp_path: Path, how: str) -> None:
    """Neither its children, nor what has left its session and lost its parents."""
    family = Family()
    script = f"sleep 1000 & echo $! > a; (setsid sleep 1000 & echo $! > b); {how}"
    try:
        run(tmp_path, "sh", "-c", script, family=family, timeout=20.0 if how == "exit 0" else 3.0)
    except TimeoutError:
        assert how != "exit 0"
    pids = [int((tmp_path / name).read_text()) for name in ("a", "b")]
    wait_until(lambda: not any(lives(pid) for pid in pids), 20.0)
    assert family.all
    assert family.kept == set()
    with pytest.raises(ProcessLookupError):
        os.kill(next(iter(family.all)), 0)


def test_an_earlier_masters_probes_are_found_by_their_marks(tmp_path: Path) -> None:
    def begin(**env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], env=env)

    home = str(tmp_path)
    ours = begin(PYPM_HOME=home, **{PROBE_VARIABLE: "liveness"})
    others = [begin(PYPM_HOME=home), begin(PYPM_HOME=f"{home}x", **{PROBE_VARIABLE: "liveness"})]
    try:
        assert end_left_probes(home) == 1
        assert ours.wait(20) == -9
        assert [each.poll() for each in others] == [None, None]
    finally:
        for each in (ours, *others):
            each.kill()
            each.wait()
