"""The words of ``python -m benchmarks``, and the environment that it gives to what it times."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest

from benchmarks.__main__ import parse_arguments
from benchmarks.peers import OTHER_PEERS
from benchmarks.peers.base import Installation, Workload, for_each
from benchmarks.peers.pypm import Pypm
from benchmarks.scenarios import SCENARIOS
from benchmarks.workspace import clean_environment


def test_all_is_every_scenario_and_every_peer() -> None:
    options = parse_arguments(["all", "--peers", "all"])
    assert options.scenarios == list(SCENARIOS)
    assert options.peers == list(OTHER_PEERS)
    assert not {"bare", "pypm"} & set(options.peers)


def test_scenarios_and_peers_keep_their_order() -> None:
    options = parse_arguments(["stop_n", "start_n", "--peers", "s6,pm2", "--repeat", "3"])
    assert options.scenarios == ["stop_n", "start_n"]
    assert options.peers == ["s6", "pm2"]
    assert options.repeat == 3


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["start_m"], "invalid choice"),
        (["all", "--peers", "pm3"], "no peer 'pm3'"),
        (["all", "--repeat", "0"], "at least 1"),
        ([], "SCENARIO"),
    ],
)
def test_wrong_words_are_refused(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        parse_arguments(words)
    assert error.value.code == 2
    assert complaint in capsys.readouterr().err


def test_what_is_timed_does_not_inherit_python_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PATH", "/home/me/.pyenv/shims:/usr/bin:/bin")
    environment = clean_environment(Path("/tmp"))
    assert not [name for name in environment if name.startswith("PYTHON")]
    assert environment["PATH"] == "/usr/bin:/bin"


def test_a_command_for_each_folder_is_one_shell_loop() -> None:
    shell, flag, script = for_each(["s6-svc", "-u"], [Path("/a"), Path("/b")])
    assert (shell, flag) == ("/bin/sh", "-c")
    assert shlex.split(script) == shlex.split('for folder in /a /b; do s6-svc -u "$folder"; done')


@pytest.mark.parametrize("at_once", [True, False])
def test_the_apps_for_pypm_are_declared_in_toml(tmp_path: Path, at_once: bool) -> None:
    workload = Workload(Path("/x/agent"), Path("/x/stamps"), 2, ("exit",), at_once)
    peer = Pypm(Installation(Path("/bin"), "1", {}, Path("/x/bare")), tmp_path, workload)
    first, second = tomllib.loads(peer.ecosystem())["apps"]
    assert first["name"] == "w000"
    assert second["command"] == ["/x/agent", "/x/stamps", "1", "exit"]
    assert second.get("max_restarts") == ("unlimited" if at_once else None)
    assert second.get("restart_delay") == (0 if at_once else None)
