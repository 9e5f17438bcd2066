"""The environment of a run: who wins over whom, and what never gets in."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from pypm.core.spec import AppSpec
from pypm.system.environment import build_environment, read_env_file
from pypm.system.spawn import SpawnError

SPEC = AppSpec("agent", ("/bin/agent",), "/")


def built(
    spec: AppSpec = SPEC, index: int = 0, inherited: dict[str, str] | None = None, **own: str
) -> dict[str, str]:
    return build_environment(spec, index, inherited or {}, own)


def env_file(tmp_path: Path, text: str, name: str = ".env") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_who_wins(tmp_path: Path) -> None:
    first = env_file(tmp_path, "B=file\nC=file\nD=file\nE=file\n", "first")
    second = env_file(tmp_path, "C=file 2\nD=file 2\nE=file 2\n", "second")
    spec = replace(SPEC, env_files=(first, second), env={"D": "declared", "E": "declared"})
    shell = dict.fromkeys("ABCDE", "shell")
    assert built(spec, 0, shell, E="own") == {
        "A": "shell",
        "B": "file",
        "C": "file 2",
        "D": "declared",
        "E": "own",
        "PYPM_INSTANCE": "0",
    }


def test_what_is_another_ones_never_gets_in() -> None:
    shell = {
        "PYPM_HOME": "/other",
        "PYPM_AGENT_TOKEN": "secret",
        "PYPM_AGENT_ENDPOINT": "ipc:///other",
        "PYPM_FUTURE": "1",
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "WATCHDOG_USEC": "1000000",
        "WATCHDOG_PID": "1",
        "LISTEN_FDS": "2",
        "NODE_CHANNEL_FD": "3",
        "NODE_CHANNEL_SERIALIZATION_MODE": "json",
        "PATH": "/bin",
    }
    assert built(SPEC, 2, shell, PYPM_HOME="/home") == {
        "PATH": "/bin",
        "PYPM_HOME": "/home",
        "PYPM_INSTANCE": "2",
    }


def test_nobody_can_declare_what_is_ours(tmp_path: Path) -> None:
    spec = replace(
        SPEC, env={"PYPM_AGENT_TOKEN": "mine"}, env_files=(env_file(tmp_path, "PYPM_AGENT_TOKEN=theirs"),)
    )
    assert built(spec, PYPM_AGENT_TOKEN="real")["PYPM_AGENT_TOKEN"] == "real"


def test_what_the_app_filters() -> None:
    shell = {"AWS_SECRET": "1", "MY_SECRET_KEY": "2", "TOKEN": "3", "PATH": "/bin"}
    filtered = built(replace(SPEC, filter_env=("SECRET", "TOKEN")), 0, shell)
    assert filtered == {"PATH": "/bin", "PYPM_INSTANCE": "0"}
    declared = replace(SPEC, filter_env=True, env={"A": "1"})
    assert built(declared, 0, shell) == {"A": "1", "PYPM_INSTANCE": "0"}


def test_the_index_has_the_name_that_the_app_wants() -> None:
    assert built(replace(SPEC, instance_var="WORKER"), 3)["WORKER"] == "3"


def test_a_number_that_grows_with_the_index(tmp_path: Path) -> None:
    spec = replace(SPEC, increment_var="PORT")
    assert built(spec, 3)["PORT"] == "3"
    assert built(replace(spec, env={"PORT": "8000"}), 3)["PORT"] == "8003"
    assert built(replace(spec, env_files=(env_file(tmp_path, "PORT=9000"),)), 2)["PORT"] == "9002"
    with pytest.raises(SpawnError, match="increment_var: PORT is 'http', which is no whole number"):
        built(replace(spec, env={"PORT": "http"}))


def test_a_virtual_environment_comes_first_in_path() -> None:
    spec = replace(SPEC, env={"VIRTUAL_ENV": "/srv/.venv"})
    assert built(spec, 0, {"PATH": "/bin"})["PATH"] == "/srv/.venv/bin:/bin"
    both = replace(spec, env={"VIRTUAL_ENV": "/srv/.venv", "PATH": "/only"})
    assert built(both, 0, {"PATH": "/bin"})["PATH"] == "/only"
    assert built(SPEC, 0, {"PATH": "/bin", "VIRTUAL_ENV": "/shells"})["PATH"] == "/bin"


def test_the_inputs_stay_as_they_are() -> None:
    shell, own = {"A": "1"}, {"B": "2"}
    built(replace(SPEC, env={"A": "3"}), 0, shell, **own)
    assert (shell, own) == ({"A": "1"}, {"B": "2"})


# --- files ---


def test_the_format_is_the_one_that_people_have(tmp_path: Path) -> None:
    text = """
# a comment
PLAIN=value
export EXPORTED=yes
SINGLE='as it is $HOME \\n'
DOUBLE="two\\nlines # no comment"
EMPTY=
SPACES =  around  # a comment
UNICODE=größe
LINES="first
second"
NO_EXPANSION=$PLAIN/${PLAIN}
BARE
"""
    assert read_env_file(env_file(tmp_path, text)) == {
        "PLAIN": "value",
        "EXPORTED": "yes",
        "SINGLE": "as it is $HOME \\n",
        "DOUBLE": "two\nlines # no comment",
        "EMPTY": "",
        "SPACES": "around",
        "UNICODE": "größe",
        "LINES": "first\nsecond",
        "NO_EXPANSION": "$PLAIN/${PLAIN}",
        "BARE": "",
    }


@pytest.mark.parametrize(("text", "line"), [("A=1\n\n=2\n", 3), ('A=1\nB="open\n', 2), ("'a b\n", 1)])
def test_a_line_that_is_no_assignment_is_told(tmp_path: Path, text: str, line: int) -> None:
    path = env_file(tmp_path, text)
    with pytest.raises(SpawnError) as caught:
        read_env_file(path)
    assert str(caught.value) == f"env_file {path}, line {line}: no assignment"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpawnError, match=r"env_file .*missing.* No such file"):
        read_env_file(str(tmp_path / "missing"))
    with pytest.raises(SpawnError, match="Is a directory"):
        read_env_file(str(tmp_path))
    (tmp_path / "binary").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(SpawnError, match="utf-8"):
        read_env_file(str(tmp_path / "binary"))


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(SpawnError, match="larger than 1 MiB"):
        read_env_file(env_file(tmp_path, "A=1\n" * (2**20 // 4 + 1)))
    with pytest.raises(SpawnError, match="larger than 1 MiB"):
        read_env_file("/dev/zero")
