"""What all tests share: a home of their own, and the proof that they leave nothing running in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# How long an example takes is the machine's affair, and these machines are noisy: timings are never asserted.
# Examples that nobody has tried before are for a soak: two runs of the same tests say the same.
hypothesis.settings.register_profile(
    "pypm",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="PYPM_SOAK" not in os.environ,
)
hypothesis.settings.load_profile("pypm")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A ``PYPM_HOME`` for one test: an empty folder with a short path (sockets), removed at the end.

    A process that still lives in it when the test and its fixtures are done is killed, and fails the test.
    """
    folder = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    monkeypatch.setenv("PYPM_HOME", str(folder))
    yield folder
    try:
        left = kill_processes_of(folder)
    finally:
        shutil.rmtree(folder)
        remove_groups(folder)
    if left:
        lines = [f"  {pid}: {title}" for pid, title in left.items()]
        pytest.fail("\n".join(["left running:", *lines]), pytrace=False)


def remove_groups(folder: Path) -> None:
    """Remove the control groups that a master which was killed has left."""
    from pypm.system import cgroup

    place = cgroup.own_place()
    if place.folder:
        cgroup.remove(os.path.join(place.folder, cgroup.group_name(str(folder))))


def kill_processes_of(folder: Path) -> dict[int, str]:
    """Kill whatever lives in ``folder``, also what is started meanwhile, and give pid -> title of it all.

    What is on its way out may end by itself.
    """
    from pypm.testing import wait_until  # not at the top: unit tests need no process kit

    with contextlib.suppress(AssertionError):
        wait_until(lambda: not processes_of(folder), 1.0)
    killed: dict[int, str] = {}

    def none_is_left() -> bool:
        left = processes_of(folder)
        killed.update({pid: title for pid, title in left.items() if pid not in killed})
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not left

    wait_until(none_is_left, 20.0, f"the end of what runs in {folder}")
    return killed


def processes_of(folder: Path) -> dict[int, str]:
    """Give pid -> title of the processes that live in ``folder``, without this one.

    Those are the ones that have it in their environment (``PYPM_HOME``, or an agent's endpoint), and those
    that hold a file in it open: a process that sets its title overwrites the environment the kernel shows.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if lives_in(entry, os.fsencode(folder)):
                    title = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(entry.name)] = os.fsdecode(title).strip()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # gone meanwhile, or somebody else's
    return found


def lives_in(process: Path, folder: bytes) -> bool:
    environment = (process / "environ").read_bytes().split(b"\0")
    if any(entry.startswith(b"PYPM_") and folder in entry for entry in environment):
        return True
    return any(open_file(descriptor).startswith(folder + b"/") for descriptor in (process / "fd").iterdir())


def open_file(descriptor: Path) -> bytes:
    try:
        return os.fsencode(os.readlink(descriptor))
    except FileNotFoundError:
        return b""  # closed meanwhile
