"""Checkpoints: whole or not at all, whatever happens while they are saved."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm import agent
from pypm.agent import checkpoint

DEADLINE = 20.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYPM_STATE_DIR", str(tmp_path / "agents" / "worker-0"))
    return tmp_path / "agents" / "worker-0"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestSaveAndLoad:
    @pytest.mark.parametrize(
        "obj", [None, 0, "größe \ud800", [1, {"a": None}], {"step": 3}, 1.5, b"", b"\0\xff"]
    )
    def test_what_was_saved_is_loaded(self, folder: Path, obj: object) -> None:
        path = agent.checkpoint.save(obj)
        assert agent.checkpoint.load() == obj
        assert os.path.dirname(path) == str(folder)

    def test_without_one_it_is_the_default(self, folder: Path) -> None:
        assert agent.checkpoint.load() is None
        assert agent.checkpoint.load(default={"step": 0}) == {"step": 0}
        assert not folder.exists(), "to look makes nothing"

    def test_the_latest_counts_and_the_last_ones_are_kept(self, folder: Path) -> None:
        for step in range(12):
            agent.checkpoint.save({"step": step}, keep=4)
        assert agent.checkpoint.load() == {"step": 11}
        assert len(files(folder)) == 4
        agent.checkpoint.save("last", keep=0)
        assert len(files(folder)) == 1
        assert agent.checkpoint.load() == "last"

    def test_they_are_for_their_owner_only(self, folder: Path) -> None:
        before = os.umask(0)
        try:
            path = agent.checkpoint.save("secret")
        finally:
            os.umask(before)
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.parent.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("obj", [object(), {1, 2}, {"a": object()}, {(1, 2): 3}])
    def test_what_is_no_json_is_refused_and_the_old_one_stays(self, folder: Path, obj: object) -> None:
        agent.checkpoint.save("old")
        with pytest.raises(agent.CheckpointError, match="no JSON"):
            agent.checkpoint.save(obj)
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises(agent.CheckpointError, match="no JSON"):
            agent.checkpoint.save(circle)
        assert agent.checkpoint.load() == "old"
        assert len(files(folder)) == 1

    def test_other_files_in_the_folder_are_left_alone(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        others = {"notes.md", "checkpoint", "checkpoint.json", "checkpoint.1.bak", ".hidden"}
        for name in others:
            (folder / name).write_text("mine")
        agent.checkpoint.save("a", keep=1)
        agent.checkpoint.save("b", keep=1)
        assert agent.checkpoint.load() == "b"
        assert others < set(files(folder))


class TestDamage:
    @pytest.fixture
    def two(self, folder: Path) -> Path:
        """The newest of two checkpoints."""
        agent.checkpoint.save("before")
        return Path(agent.checkpoint.save("newest"))

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: b"",
            lambda content: content[:-1],
            lambda content: content[:10],
            lambda content: content + b"x",
            lambda content: content.replace(b"newest", b"newesT"),
            lambda content: b"\0" * len(content),
            lambda content: content.replace(b" json ", b" bytes "),
            lambda content: b"pypm-checkpoint\n" + content,
        ],
    )
    def test_a_damaged_one_is_told_and_the_one_before_is_taken(
        self, two: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
    ) -> None:
        two.write_bytes(damage(two.read_bytes()))
        assert agent.checkpoint.load() == "before"
        assert f"{two} is damaged" in caplog.text

    def test_the_next_save_is_newer_than_a_damaged_one(self, two: Path) -> None:
        two.write_bytes(b"")
        agent.checkpoint.save("after")
        assert agent.checkpoint.load() == "after"

    def test_if_all_are_damaged_it_is_the_default(self, two: Path, caplog: pytest.LogCaptureFixture) -> None:
        for path in two.parent.iterdir():
            path.write_bytes(b"?")
        assert agent.checkpoint.load("default") == "default"
        assert caplog.text.count("is damaged") == 2

    def test_one_of_a_newer_version_is_not_passed_over(self, two: Path) -> None:
        two.write_bytes(b"pypm-checkpoint 2 zstd whatever\n\1\2")
        with pytest.raises(agent.CheckpointError, match="form 2"):
            agent.checkpoint.load()

    def test_one_that_cannot_be_read_is_not_taken_for_none(self, two: Path) -> None:
        two.unlink()
        two.mkdir()
        with pytest.raises(agent.CheckpointError, match="cannot be read"):
            agent.checkpoint.load()

    def test_a_broken_link_is_passed_over(self, two: Path) -> None:
        two.unlink()
        two.symlink_to("nowhere")
        assert agent.checkpoint.load() == "before"


class TestFolder:
    def test_in_the_order_of_who_knows_best(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["/srv/app/worker.py"])
        monkeypatch.setenv("HOME", "/home/somebody")
        for name in ("PYPM_STATE_DIR", "STATE_DIRECTORY", "XDG_STATE_HOME"):
            monkeypatch.delenv(name, raising=False)
        assert checkpoint.state_folder() == "/home/somebody/.local/state/worker"
        monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
        assert checkpoint.state_folder() == "/xdg/worker"
        monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")
        assert checkpoint.state_folder() == "/var/lib/a"
        monkeypatch.setenv("PYPM_STATE_DIR", "/home/x/.pypm/agents/a-0")
        assert checkpoint.state_folder() == "/home/x/.pypm/agents/a-0"
        assert checkpoint.state_folder(tmp_path) == str(tmp_path)

    @pytest.mark.parametrize(
        ("program", "name"),
        [
            ("/srv/pkg/__main__.py", "pkg"),
            ("-c", "python"),
            ("", "python"),
            ("..", "python"),
            ("a.b.py", "a.b"),
        ],
    )
    def test_the_name_of_a_program(self, monkeypatch: pytest.MonkeyPatch, program: str, name: str) -> None:
        for variable in ("PYPM_STATE_DIR", "STATE_DIRECTORY"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
        monkeypatch.setattr(sys, "argv", [program])
        assert checkpoint.state_folder() == f"/xdg/{name}"

    def test_the_argument(self, folder: Path, tmp_path: Path) -> None:
        agent.checkpoint.save("here", folder=tmp_path / "own")
        assert agent.checkpoint.load(folder=tmp_path / "own") == "here"
        assert agent.checkpoint.load() is None

    def test_a_folder_that_cannot_be_is_a_clear_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for place in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(agent.CheckpointError, match="could not be saved in"):
                agent.checkpoint.save("x", folder=place)


class TestOthers:
    def test_threads(self, folder: Path) -> None:
        def work(name: str) -> None:
            for number in range(15):
                agent.checkpoint.save({"name": name, "number": number})

        threads = [threading.Thread(target=work, args=(str(index),)) for index in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert agent.checkpoint.load()["number"] == 14
        assert len(files(folder)) == 3
        assert all(name.startswith("checkpoint.") for name in files(folder))

    def test_processes_that_save_and_load_at_the_same_time(self, folder: Path) -> None:
        program = (
            "import os\n"
            "from pypm import agent\n"
            "def work(child):\n"
            "    for number in range(30):\n"
            "        agent.checkpoint.save([child, number, 'x' * 20_000])\n"
            "        found = agent.checkpoint.load()\n"
            "        assert found and len(found[2]) == 20_000, found\n"
            "    os._exit(0)\n"
            "children = []\n"
            "for child in range(4):\n"
            "    pid = os.fork()\n"
            "    if pid == 0: work(child)\n"
            "    children.append(pid)\n"
            "assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4\n"
        )
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert agent.checkpoint.load()[1] == 29

    def test_what_a_killed_process_has_left_is_removed(self, folder: Path) -> None:
        agent.checkpoint.save("old")
        program = (
            "import os, signal\n"
            "from pypm import agent\n"
            "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
            "agent.checkpoint.save('x' * 100_000)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], timeout=DEADLINE, check=False)
        assert done.returncode == -signal.SIGKILL
        assert any(name.startswith(".new") for name in files(folder))
        assert agent.checkpoint.load() == "old"
        agent.checkpoint.save("new")
        assert len(files(folder)) == 2
        assert agent.checkpoint.load() == "new"

    def test_what_another_process_is_writing_is_not_removed(self, folder: Path) -> None:
        agent.checkpoint.save("first")
        program = (
            "import os, sys\n"
            "from pypm import agent\n"
            "real = os.fsync\n"
            "def wait(descriptor):\n"
            "    print('writing', flush=True); sys.stdin.readline(); real(descriptor); os.fsync = real\n"
            "os.fsync = wait\n"
            "agent.checkpoint.save('slow')\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            agent.checkpoint.save("quick")
            process.communicate("\n", timeout=DEADLINE)
        assert process.returncode == 0
        assert agent.checkpoint.load() == "slow"


class CrashError(BaseException):
    """The machine loses its power; nobody's ``except`` sees it."""


class Disk:
    """The functions of ``os`` that the module uses, on a disk that fails at a certain step.

    What was not synced may be lost: after a crash each file that was written and not synced is cut at a
    random place.
    """

    def __init__(self, fail_at: int, error: BaseException, luck: random.Random) -> None:
        self.steps = 0
        self._fail_at = fail_at
        self._error = error
        self._luck = luck
        self._unsynced: dict[int, str] = {}
        self._files: dict[str, str] = {}
        """Path of a file that is not wholly on the disk, under its first name -> its present one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._fail_at:
            raise self._error

    def open(self, path: str, *rest: Any) -> int:
        self._step()
        descriptor = os.open(path, *rest)
        if rest[0] & os.O_CREAT:
            self._unsynced[descriptor] = self._files[path] = path
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        self._step()
        return os.write(descriptor, data[: self._luck.randrange(1, len(data) + 1)])

    def fsync(self, descriptor: int) -> None:
        self._step()
        self._files.pop(self._unsynced.pop(descriptor, ""), None)

    def rename(self, old: str, new: str) -> None:
        self._step()
        os.rename(old, new)
        if old in self._files:
            self._files[old] = new

    def mkdir(self, *rest: Any) -> None:
        self._step()
        os.mkdir(*rest)

    def unlink(self, path: str) -> None:
        if isinstance(self._error, CrashError) and self.steps >= self._fail_at > 0:
            raise self._error  # nothing is done after a crash
        self._step()
        os.unlink(path)

    def lose_what_was_not_synced(self) -> None:
        for path in self._files.values():
            if os.path.exists(path):
                os.truncate(path, self._luck.randrange(os.path.getsize(path) + 1))


def save_on(disk: Disk, obj: object, folder: Path) -> bool:
    """Save with a disk that may fail; tells whether it was said to be saved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "os", disk)
        try:
            checkpoint.save(obj, folder=folder, keep=2)
        except (CrashError, checkpoint.CheckpointError):
            return False
    return True


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers())
def test_power_lost_at_any_step_leaves_the_old_one_or_the_new_one(crashes: list[int], seed: int) -> None:
    luck = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "state"
        saved: object = None
        for number, step in enumerate(crashes):
            new = {"number": number, "text": "x" * luck.randrange(300)}
            disk = Disk(step, CrashError(), luck)
            done = save_on(disk, new, folder)
            disk.lose_what_was_not_synced()
            found = checkpoint.load(folder=folder)
            assert found == new if done else found in (saved, new)
            saved = found


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_refuses_any_step_leaves_the_old_one_and_no_litter(tmp_path: Path, code: int) -> None:
    checkpoint.save("old", folder=tmp_path)
    for step in range(1, 30):
        disk = Disk(step, OSError(code, os.strerror(code)), random.Random(step))
        if save_on(disk, "new", tmp_path):
            break
        assert checkpoint.load(folder=tmp_path) in ("old", "new")
        assert not [name for name in files(tmp_path) if name.startswith(".new")]
    else:
        raise AssertionError("it never succeeds")
    assert step > 5, "each of the steps has been refused"
    assert checkpoint.load(folder=tmp_path) == "new"


def test_a_really_full_disk(tmp_path: Path) -> None:
    """A file of a size that the process may not write, as a full disk refuses it in the middle."""
    checkpoint.save({"state": "old"}, folder=tmp_path)
    program = (
        "import resource, signal, sys\n"
        "from pypm import agent\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: agent.checkpoint.save('x' * 100_000, folder=sys.argv[1])\n"
        "except agent.CheckpointError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert "could not be saved" in done.stdout
    assert "File too large" in done.stdout
    assert checkpoint.load(folder=tmp_path) == {"state": "old"}
    assert len(files(tmp_path)) == 1


def test_the_form_is_one_that_others_can_read(folder: Path) -> None:
    path = Path(agent.checkpoint.save({"step": 3}))
    head, _, data = path.read_bytes().partition(b"\n")
    assert head.split()[:4] == [b"pypm-checkpoint", b"1", b"json", str(len(data)).encode()]
    assert json.loads(data) == {"step": 3}
