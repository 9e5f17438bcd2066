"""Owner-only files and folders; a file is replaced as a whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pypm.core.errors import PypmError
from pypm.system import files
from pypm.system.files import check_owner, make_private_folder, replace_file
from pypm.system.home import Home
from pypm.system.lock import HomeLock


def mode_of(path: Path | str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def open_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_file_is_written_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_file(str(path), b"one")
    assert path.read_bytes() == b"one"
    assert mode_of(path) == 0o600
    path.chmod(0o644)
    replace_file(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert mode_of(path) == 0o600
    assert os.listdir(tmp_path) == ["state.json"]


def test_what_a_crash_left_behind_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "state.json.new").write_bytes(b"half of a much longer state")
    replace_file(str(tmp_path / "state.json"), b"x")
    assert (tmp_path / "state.json").read_bytes() == b"x"


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_disk_that_refuses_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "state.json"
    replace_file(str(path), b"old")
    descriptors = os.listdir("/proc/self/fd")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, call, refuse)
    with pytest.raises(OSError, match="No space left"):
        replace_file(str(path), b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state.json"], "nothing half written is left"
    assert os.listdir("/proc/self/fd") == descriptors


def test_it_is_durable_before_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the bytes are on the disk, then they get the name, then the name is on the disk."""
    calls: list[str] = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)

        def record(*arguments: object, name: str = name, real: object = real) -> object:
            calls.append(name)
            return real(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(files.os, name, record)
    replace_file(str(tmp_path / "state.json"), b"x")
    assert calls == ["fsync", "rename", "fsync"]


def test_bytes_that_a_disk_takes_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(files.os, "write", lambda descriptor, data: real(descriptor, bytes(data[:3])))
    replace_file(str(tmp_path / "f"), b"0123456789")
    assert (tmp_path / "f").read_bytes() == b"0123456789"


# --- folders ---


@pytest.mark.usefixtures("open_umask")
def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    make_private_folder(str(tmp_path / "a" / "b"))
    assert mode_of(tmp_path / "a" / "b") == 0o700
    make_private_folder(str(tmp_path / "a" / "b"))


def test_a_folder_that_others_can_enter_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    make_private_folder(str(folder))
    assert mode_of(folder) == 0o700


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PypmError, match="file is not a folder"):
        make_private_folder(str(tmp_path / "file"))
    with pytest.raises(PypmError, match="cannot make the folder"):
        make_private_folder(str(tmp_path / "file" / "below"))


def test_what_is_somebody_elses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PypmError, match="belongs to user id") as caught:
        make_private_folder(str(tmp_path))
    assert caught.value.hint == "set PYPM_HOME to a folder of your own"
    with pytest.raises(PypmError, match="belongs to user id"):
        check_owner(str(tmp_path))


# --- a home ---


def test_a_home_has_everything_below_it(tmp_path: Path) -> None:
    home = Home(str(tmp_path / "h"))
    assert not os.path.exists(home.path), "nothing is touched before it is prepared"
    home.prepare()
    for folder in (home.path, home.state_folder, home.logs_folder, home.socket_folder):
        assert mode_of(folder) == 0o700
    assert home.state_file == f"{home.path}/state/state.json"
    assert home.agents_socket == f"{home.socket_folder}/agents.sock"


def test_which_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYPM_HOME", str(tmp_path))
    assert Home.from_environment().path == str(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYPM_HOME", "below")
    assert Home.from_environment().path == str(tmp_path / "below")
    monkeypatch.setenv("HOME", "/home/me")
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("PYPM_HOME")
        else:
            monkeypatch.setenv("PYPM_HOME", unset)
        assert Home.from_environment().path == "/home/me/.pypm"


def test_sockets_of_a_long_home_are_elsewhere(tmp_path: Path) -> None:
    home = Home(str(tmp_path / ("x" * 120)))
    assert max(len(os.fsencode(path)) for path in (home.agents_socket, home.notify_socket)) <= 107
    assert not home.socket.startswith(home.path)
    assert home.state_file.startswith(home.path)


# --- its lock ---


def test_only_one_has_the_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "master.lock")
    first, second = HomeLock(path), HomeLock(path)
    held = first.acquire()
    assert held is not None
    assert second.acquire() is None
    assert second.holder() == str(os.getpid())
    assert mode_of(path) == 0o600
    duplicate = os.dup(held)
    os.close(held)  # as the kernel does when the process ends
    assert second.acquire() is None, "a duplicate holds it as well"
    os.close(duplicate)
    again = second.acquire()
    assert again is not None
    os.close(again)


def test_nobody_holds_it(tmp_path: Path) -> None:
    assert HomeLock(str(tmp_path / "none")).holder() == ""
    (tmp_path / "lock").write_bytes(b"\xff")
    assert HomeLock(str(tmp_path / "lock")).holder() == ""


def test_a_refused_lock_keeps_no_descriptor(tmp_path: Path) -> None:
    first, second = HomeLock(str(tmp_path / "lock")), HomeLock(str(tmp_path / "lock"))
    held = first.acquire()
    assert held is not None
    before = os.listdir("/proc/self/fd")
    assert second.acquire() is None
    assert os.listdir("/proc/self/fd") == before
    os.close(held)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes another user's link")
def test_a_link_that_another_user_has_made_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir(mode=0o755)
    link = tmp_path / "link"
    link.symlink_to("ours")
    make_private_folder(str(link))
    (tmp_path / "ours").chmod(0o755)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(PypmError, match="symbolic link that another user has made"):
        make_private_folder(str(link))
    assert mode_of(tmp_path / "ours") == 0o755
