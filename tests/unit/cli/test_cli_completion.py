"""What a shell offers at TAB, and the scripts in the shells themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pypm.cli.completing import candidates
from pypm.cli.completion_scripts import BASH, SCRIPTS
from pypm.cli.main import run
from pypm.cli.quick import run_quickly
from pypm.cli.verbs import VERBS

CHECKOUT = str(Path(__file__).parents[3])


def app(name: str, instances: int = 1, namespace: str = "default") -> dict[str, object]:
    spec = {"name": name, "command": ["/bin/x"], "cwd": "/", "instances": instances, "namespace": namespace}
    return {"spec": spec}


@pytest.fixture
def saved(home: Path) -> Path:
    """A home whose last master has left three instances of one app and one of another; none runs."""
    instances = [{"id": index, "app": "worker", "index": index} for index in range(3)]
    apps = [app("worker", 3, "jobs"), app("my api")]
    state = {"apps": apps, "instances": [*instances, {"id": 3, "app": "my api", "index": 0}]}
    (home / "state").mkdir()
    (home / "state" / "state.json").write_text(json.dumps(state))
    (home / "snapshots").mkdir()
    (home / "snapshots" / "monday.json").write_text("{}")
    return home


def names(*words: str) -> list[str]:
    return [name for name, _ in candidates(list(words))]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sto"], ["stop"]),
        (["lo"], ["logs"]),
        (["ps"], ["ps"]),
        (["--v"], ["--version"]),
        (["stop", ""], ["worker", "my api", "default", "jobs", "all"]),
        (["stop", "w"], ["worker"]),
        (["stop", "'w"], ["worker"]),
        (["stop", "worker:"], ["worker:0", "worker:1", "worker:2"]),
        (["stop", "worker", "w"], []),
        (["start", ""], [":files", "worker", "my api", "default", "jobs", "all"]),
        (["start", "--", ""], [":files"]),
        (["stop", "--", ""], []),
        (["ls", "j"], ["jobs"]),
        (["scale", ""], ["worker", "my api"]),
        (["scale", "worker", ""], []),
        (["signal", "hu"], ["hup"]),
        (["signal", "SIGHU"], ["SIGHUP"]),
        (["signal", "HUP", "wo"], ["worker"]),
        (["resurrect", ""], ["monday"]),
        (["logs", "-n", "5", "wo"], ["worker"]),
        (["logs", "-n", ""], []),
        (["logs", "--sin"], ["--since"]),
        (["logs", "--since", "1h", "--sin"], []),
        (["wait", "worker", "--for", "h"], ["healthy"]),
        (["wait", "--for=h"], ["--for=healthy"]),
        (["list", "--sort=me"], ["--sort=memory", "--sort=mem"]),
        (["start", "--namespace", "j"], ["jobs"]),
        (["start", "--cwd", ""], [":folders"]),
        (["import", "p"], ["pm2", "procfile"]),
        (["import", "pm2", "--output", ""], [":files"]),
        (["startup", "sys"], ["systemd"]),
        (["completion", "z"], ["zsh"]),
        (["ping", ""], []),
        (["hel"], ["help"]),
        (["help", "rel"], ["reload", "reloadLogs"]),
        (["nonsense", ""], []),
        ([""], list(VERBS)),
    ],
    ids=lambda words: " ".join(words[:6]),
)
def test_what_is_offered(saved: Path, words: list[str], offered: list[str]) -> None:
    assert names(*words) == offered


def test_a_home_without_a_state_or_with_a_broken_one_offers_nothing_and_says_nothing(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_quickly(["__complete", "stop", ""]) == 0
    (home / "state").mkdir()
    (home / "state" / "state.json").write_text("{")
    assert run_quickly(["__complete", "stop", ""]) == 1
    assert capfd.readouterr() == ("", "")
    assert not (home / "pypm.sock").exists()


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_offers_its_options(verb: str) -> None:
    assert "--help" in names(verb, "--")


def test_hidden_options_are_not_offered() -> None:
    assert not {"--watch-delay", "--name"} - set(names("start", "--"))
    assert "--force" not in names("start", "--")


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_script_is_printed(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert capfd.readouterr().out == SCRIPTS[shell]
    assert run(["completion", shell, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["script"] == SCRIPTS[shell]


@pytest.fixture
def in_shell(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a program ``pypm``, first on the search path; two files of its own."""
    program = tmp_path / "bin" / "pypm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {sys.executable} -m pypm "$@"\n')
    program.chmod(0o755)
    (tmp_path / "eco system.toml").touch()
    (tmp_path / "eco.json").touch()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def output(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.splitlines()


BASH_DRIVER = (
    BASH
    + r"""
line=$1; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE=$line; COMP_POINT=${#line}
_pypm
((${#COMPREPLY[@]})) && printf '%s\n' "${COMPREPLY[@]}"
exit 0
"""
)


@pytest.mark.parametrize(
    ("line", "words", "offered"),
    [
        ("pypm sto", ["sto"], ["stop"]),
        ("pypm stop ", ["stop", ""], ["worker", "my\\ api", "default", "jobs", "all"]),
        ("pypm stop worker:", ["stop", "worker", ":"], ["0", "1", "2"]),
        ("pypm stop worker:1", ["stop", "worker", ":", "1"], ["1"]),
        ("pypm stop 'my", ["stop", "'my"], ["my api"]),
        ("pypm list --sort=cp", ["list", "--sort", "=", "cp"], ["cpu"]),
        ("pypm start eco", ["start", "eco"], ["eco system.toml", "eco.json"]),
    ],
)
def test_bash(in_shell: Path, line: str, words: list[str], offered: list[str]) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    assert sorted(output("bash", "-c", BASH_DRIVER, "bash", line, "pypm", *words)) == sorted(offered)


ZSH_DRIVER = r"""
compdef() { }
_describe() { print -rl -- "${(@P)argv[-1]}" }
_files() { print files "$@" }
eval "$(pypm completion zsh)"
words=(pypm "$@"); CURRENT=$#words; PREFIX=$words[-1]
_pypm
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["stop", "wor"], ["worker:app, 3 instances"]),
        (["stop", "my\\ a"], ["my api:app"]),
        (["stop", "worker:2"], ["worker\\:2:instance 2 of worker"]),
        (["wait", "--for", "re"], ["ready"]),
        (["start", "zz"], ["files"]),
        (["start", "--cwd", ""], ["files -/"]),
    ],
)
def test_zsh(in_shell: Path, words: list[str], offered: list[str]) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    assert [line.strip() for line in output("zsh", "-f", "-c", ZSH_DRIVER, "zsh", *words)] == offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pypm stop wor", ["worker\tapp, 3 instances"]),
        ("pypm stop worker:2", ["worker:2\tinstance 2 of worker"]),
        ("pypm wait --for re", ["ready"]),
        ("pypm start eco.", ["eco.json"]),
    ],
)
def test_fish(in_shell: Path, line: str, offered: list[str]) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    driver = 'pypm completion fish | source; complete -C "$argv[1]"'
    assert output("fish", "--no-config", "-c", driver, line) == offered
