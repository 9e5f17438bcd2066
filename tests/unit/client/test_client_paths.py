"""Where the client looks for its home and its socket."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pypm.client.home import home_folder, socket_path
from pypm.protocol.paths import MAX_SOCKET_PATH, socket_folder


def home_of_length(length: int) -> str:
    return "/" + "h" * (length - 1)


def test_the_home_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYPM_HOME", "/srv/agents")
    assert home_folder() == "/srv/agents"


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYPM_HOME", "here/../there")
    assert home_folder() == f"{tmp_path}/there"


@pytest.mark.parametrize("value", [None, ""])
def test_without_one_it_is_in_the_home_of_the_user(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("PYPM_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("PYPM_HOME", value)
    assert home_folder() == "/home/ada/.pypm"


def test_the_longest_home_that_fits_has_its_sockets_in_it() -> None:
    longest = home_of_length(MAX_SOCKET_PATH - len("/agents.sock"))
    assert socket_folder(longest) == longest
    assert len(f"{longest}/agents.sock") == MAX_SOCKET_PATH


def test_a_longer_home_has_its_sockets_in_the_runtime_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = f"/proc/{os.getpid()}/cwd"  # a folder that exists, with a short name
    monkeypatch.setenv("XDG_RUNTIME_DIR", short)
    home = home_of_length(MAX_SOCKET_PATH)
    path = socket_path(home)
    assert path.startswith(f"{short}/pypm-")
    assert len(path) <= MAX_SOCKET_PATH
    assert socket_path(home) == path
    assert socket_path(home + "x") != path


@pytest.mark.parametrize("runtime", ["", "relative", "/no/such/folder", "/" + "r" * 100])
def test_without_a_usable_runtime_folder_they_are_below_tmp(
    monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    path = socket_path(home_of_length(200))
    assert path.startswith(f"/tmp/pypm-{os.getuid()}-")
    assert path.endswith("/pypm.sock")


def test_a_home_of_many_bytes_in_few_signs_is_long() -> None:
    home = "/" + "ü" * 60
    assert socket_folder(home) != home


def test_two_ways_to_the_same_home_have_the_same_sockets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    real = tmp_path / ("r" * 100)
    real.mkdir()
    link = tmp_path / ("l" * 100)
    link.symlink_to(real)
    assert socket_folder(str(link)) == socket_folder(str(real))
