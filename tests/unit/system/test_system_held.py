"""A process that is held before its program: who holds it decides what becomes of it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pypm.system import held
from pypm.system.held import CannotHoldError, Start, spawn_held
from pypm.system.sweep import child_pids
from pypm.testing import wait_until

pytestmark = pytest.mark.skipif(not held.is_possible(), reason="no process can be held here")

SHELL = "/bin/sh"


def nothing(*_: object) -> None: ...


def start(
    command: list[str],
    cwd: str = "/",
    umask: int = 0o022,
    prepare: Callable[[int], None] = nothing,
    prepare_thread: Callable[[], None] = nothing,
    passed: tuple[int, ...] = (),
) -> int:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        order = Start(command, cwd, {"PATH": os.environ["PATH"]}, umask, (null, null, null), passed)
        return spawn_held(order, prepare_thread, prepare)
    finally:
        os.close(null)


def children() -> set[int]:
    return child_pids(os.getpid()) or set()


def end(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_program_runs_after_what_is_done_to_it(tmp_path: Path) -> None:
    seen: list[bool] = []
    others = children()

    def prepare(pid: int) -> None:
        seen.append(children() - others == {pid} and not (tmp_path / "ran").exists())

    assert end(start([SHELL, "-c", "echo x >ran; umask >mask"], str(tmp_path), 0o027, prepare)) == 0
    assert seen == [True]
    assert (tmp_path / "mask").read_text() == "0027\n"
    assert (tmp_path / "ran").stat().st_mode & 0o777 == 0o640


def test_neither_folder_nor_umask_of_ours_changes(tmp_path: Path) -> None:
    before = os.getcwd()
    mask = os.umask(0o022)
    try:
        assert end(start([SHELL, "-c", ":"], str(tmp_path), 0o077)) == 0
        assert os.getcwd() == before
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)


def test_one_that_cannot_have_its_limits_never_runs(tmp_path: Path) -> None:
    def refuse(_: int) -> None:
        raise PermissionError(1, "no")

    others = children()
    with pytest.raises(PermissionError):
        start([SHELL, "-c", "echo x >ran"], str(tmp_path), prepare=refuse)
    assert not (tmp_path / "ran").exists()
    assert children() == others, "nothing is left to reap"


def test_what_its_thread_cannot_have_is_told(tmp_path: Path) -> None:
    def refuse() -> None:
        raise PermissionError(1, "no")

    with pytest.raises(PermissionError):
        start([SHELL, "-c", "echo x >ran"], str(tmp_path), prepare_thread=refuse)
    assert not (tmp_path / "ran").exists()


def test_one_that_is_killed_while_it_is_held_has_ended_so(tmp_path: Path) -> None:
    pid = start([SHELL, "-c", "echo x >ran"], str(tmp_path), prepare=lambda pid: os.kill(pid, signal.SIGKILL))
    assert end(pid) == -signal.SIGKILL
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("command", "cwd", "kind"),
    [
        (["/no/such/program"], "/", FileNotFoundError),
        (["/etc/passwd"], "/", PermissionError),
        ([SHELL, "-c", ":"], "/no/such/folder", FileNotFoundError),
        ([SHELL, "a\0b"], "/", ValueError),
        (["sh"], "/", CannotHoldError),
    ],
)
def test_what_cannot_be_started(command: list[str], cwd: str, kind: type[Exception]) -> None:
    for _ in range(3):
        with pytest.raises(kind):
            start(command, cwd)
    assert end(start([SHELL, "-c", "exit 3"])) == 3, "and the next one can"


def test_only_what_is_passed_is_inherited(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    spare = os.open("/dev/null", os.O_RDONLY)
    before = os.dup(5) if os.path.exists("/proc/self/fd/5") else None
    try:
        os.dup2(spare, 5, inheritable=False)
        listed = "ls /proc/self/fd >open"
        assert end(start([SHELL, "-c", listed], str(tmp_path), passed=(5,))) == 0
        # Listing the folder opens one more.
        assert (tmp_path / "open").read_text().split() == ["0", "1", "2", "3", "5"]
        assert end(start([SHELL, "-c", listed], str(tmp_path))) == 0
        assert (tmp_path / "open").read_text().split() == ["0", "1", "2", "3"]
    finally:
        if before is None:
            os.close(5)
        else:
            os.dup2(before, 5)
            os.close(before)
        for descriptor in (reader, writer, spare):
            os.close(descriptor)


def test_it_leads_a_session_and_does_not_ignore_what_we_ignore(tmp_path: Path) -> None:
    script = "echo $$ $(ps -o sid= -p $$) >ids; kill -PIPE $$; exit 1"
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    pid = start([SHELL, "-c", script], str(tmp_path))
    assert end(pid) == -signal.SIGPIPE
    assert set((tmp_path / "ids").read_text().split()) == {str(pid)}


def after_arrival(monkeypatch: pytest.MonkeyPatch, act: Callable[[Any], None], *, seen: bool) -> None:
    """Let the call come back by ``act``, after the process is held; whether that is ``seen`` before."""
    has_arrived = held._Spawning._has_arrived

    def late(self: Any, arrival: int) -> bool:
        assert has_arrived(self, arrival)
        act(self)
        with self._has_left:  # the call has come back
            return seen

    monkeypatch.setattr(held._Spawning, "_has_arrived", late)


@pytest.mark.parametrize("seen", [True, False])
def test_one_that_is_killed_before_we_hold_it_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    open_before, others = len(os.listdir("/proc/self/fd")), children()
    with monkeypatch.context() as patch:
        after_arrival(patch, lambda _: os.kill((children() - others).pop(), signal.SIGKILL), seen=seen)
        assert end(start([SHELL, "-c", "echo x >ran"], str(tmp_path))) == -signal.SIGKILL
    given: list[int] = []
    assert end(start([SHELL, "-c", ":"], prepare=given.append)) == 0
    assert len(given) == 1, "the next one gets its limits"
    assert len(os.listdir("/proc/self/fd")) == open_before
    assert not (tmp_path / "ran").exists()


def test_one_that_the_kernel_has_let_go_gets_its_limits_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def limit(pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        given.append(pid)

    given: list[int] = []
    after_arrival(monkeypatch, lambda spawning: spawning._gate.open(), seen=False)
    pid = start([SHELL, "-c", "exit 3"], prepare=limit)
    assert given == [pid]
    assert end(pid) == 3


def test_where_threads_may_have_no_folder_nobody_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    forbidding = SimpleNamespace(unshare=lambda _: -1, **dict.fromkeys(held._FUNCTIONS[1:]))
    monkeypatch.setattr(held, "_library", lambda: forbidding)
    held._gate.cache_clear()
    try:
        assert not held.is_possible()
    finally:
        held._gate.cache_clear()


def in_another_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script that has ``start``, in a process of its own."""
    here = "import sys; sys.path.insert(0, sys.argv[1])\nfrom test_system_held import *\n"
    command = [sys.executable, "-c", here + script, os.path.dirname(__file__), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_one_whose_holder_dies_does_not_wait_for_ever(tmp_path: Path) -> None:
    script = """
def die(_):
    os.kill(os.getpid(), signal.SIGKILL)

start([SHELL, "-c", "echo $$ >ran"], sys.argv[2], prepare=die)
"""
    assert in_another_python(script, str(tmp_path)).returncode == -signal.SIGKILL
    wait_until((tmp_path / "ran").exists, 20.0, "it goes on")


def test_without_descriptors_it_fails_and_does_not_hang() -> None:
    script = """
import resource
assert end(start([SHELL, "-c", "exit 3"])) == 3
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
taken, failed = [], 0
while True:
    try:
        taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        break
while failed >= 0:
    try:
        assert end(start([SHELL, "-c", "exit 3"])) == 3
        break
    except OSError:
        failed += 1
    os.close(taken.pop())
print(failed)
"""
    done = in_another_python(script)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1
