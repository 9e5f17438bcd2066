"""The processes of a sandbox, and how the agent within has ended."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from pypm.system.kinship import read_kinship
from pypm.system.reap import Death
from pypm.system.sandbox import availability
from pypm.system.sandboxed import agent_within, keepers, pid_outside, unwrapped
from pypm.testing import wait_until


@pytest.mark.parametrize(
    ("death", "expected"),
    [
        (Death(7, 0, None, False), (0, None)),
        (Death(7, 128, None, False), (128, None)),
        (Death(7, 137, None, False), (None, 9)),
        (Death(7, 143, None, False), (None, 15)),
        (Death(7, 255, None, False), (255, None)),
        (Death(7, None, 9, False), (None, 9)),
    ],
)
def test_how_the_agent_has_ended(death, expected):
    assert unwrapped(death)[1:3] == expected


@pytest.fixture(params=["--unshare-pid", "--unshare-ipc"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[int]:
    """The first process of a sandbox in which two processes run, with pids of its own and without."""
    if reason := availability():
        pytest.skip(f"no sandbox here: {reason}")
    words = ["bwrap", "--dev-bind", "/", "/", request.param, "--", "sh", "-c", "sleep 31 & exec sleep 32"]
    process = subprocess.Popen(words, start_new_session=True)
    yield process.pid
    os.killpg(process.pid, 9)
    process.wait()


def _command(pid: int | None) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _of_session(number: int) -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return [pid for pid in pids if (kinship := read_kinship(pid)) is not None and kinship.session == number]


def test_which_process_is_the_agent(sandbox):
    wait_until(lambda: _command(agent_within(sandbox)) == b"sleep\x0032\0", 20.0, "the agent is there")
    child = b"sleep\x0031\0"
    wait_until(lambda: child in {_command(pid) for pid in _of_session(sandbox)}, 20.0, "so is its child")
    own = keepers(sandbox)
    assert sandbox in own
    assert all(b"bwrap" in _command(pid) for pid in own)
    has_own = b"--unshare-pid" in _command(sandbox)
    assert len(own) == (2 if has_own else 1)
    agent = agent_within(sandbox)
    assert agent is not None
    assert pid_outside(sandbox, 2) == (agent if has_own else 2), "the agent comes after its init"
    assert (_command(pid_outside(sandbox, 3)) == child) is has_own
    assert pid_outside(sandbox, 99) == (0 if has_own else 99)


def test_a_process_that_has_no_child_has_no_agent():
    assert agent_within(os.getpid()) is None or os.path.exists(f"/proc/{agent_within(os.getpid())}")
    assert agent_within(2**22 + 1) is None
