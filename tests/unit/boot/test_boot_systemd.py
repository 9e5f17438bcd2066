"""The unit: what systemd itself says about it, its quoting, and the steps that enable and remove it."""

from __future__ import annotations

import configparser
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pypm.boot import systemd
from pypm.boot.job import BootJob
from pypm.boot.steps import RemoveFile, RunProgram, WriteFile, take
from pypm.core.errors import PypmError, RequestError

ANALYZE = shutil.which("systemd-analyze")

HOMES = [
    "/home/alice/.pypm",
    "/home/a b/.pypm",
    "/srv/100%/$HOME/%h",
    '/srv/it\'s/"quoted"',
    "/srv/back\\slash\\n",
    "/srv/wörk/;#",
]


def make_job(home: str = "/home/alice/.pypm", **fields: object) -> BootJob:
    facts = {"name": "pypm", "python": sys.executable, "guardian": "/opt/pypm/guardian/__main__.py"}
    return BootJob(**{**facts, "home": home, **fields})  # type: ignore[arg-type]


def settings(job: BootJob) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(systemd.unit_text(job))
    return {name: dict(parser[name]) for name in parser.sections()}


def unquoted(text: str) -> list[str]:
    """Words as systemd.syntax(7) and systemd.unit(5) have them, written down independently of the writer."""
    words, word, quoted, index = [], None, False, 0
    while index < len(text):
        sign = text[index]
        if sign == '"':
            quoted, word = not quoted, word or ""
        elif sign == "\\":
            index += 1
            word = (word or "") + text[index]
        elif sign in "%$" and text[index + 1 : index + 2] == sign:
            index += 1
            word = (word or "") + sign
        elif sign == " " and not quoted:
            words += [word] if word is not None else []
            word = None
        else:
            word = (word or "") + sign
        index += 1
    return [*words, *([word] if word is not None else [])]


@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("path", HOMES)
@pytest.mark.parametrize("system", [True, False], ids=["system", "user"])
def test_systemd_finds_nothing_to_complain_about(
    home: Path, path: str, system: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    unit = home / "pypm.service"
    unit.write_text(systemd.unit_text(make_job(path, system=system)))
    words = [ANALYZE, "verify", unit] if system else [ANALYZE, "--user", "verify", unit]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # type: ignore[arg-type]
    complaints = [line for line in done.stderr.splitlines() if "pypm.service" in line]
    assert (done.returncode, complaints) == (0, [])


@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze here")
def test_a_wrong_unit_would_be_found(home: Path) -> None:
    unit = home / "pypm.service"
    unit.write_text(systemd.unit_text(make_job(system=True)).replace("KillMode=process", "KillMode=gently"))
    done = subprocess.run([ANALYZE, "verify", unit], capture_output=True, text=True, check=False)  # type: ignore[list-item]
    assert "gently" in done.stderr


@pytest.mark.parametrize("path", HOMES)
def test_a_path_arrives_as_it_is(path: str) -> None:
    service = settings(make_job(path))["Service"]
    job = make_job(path)
    assert unquoted(service["ExecStart"]) == list(job.command)
    assert unquoted(service["Environment"].replace("$", "$$")) == [f"PYPM_HOME={path}"]
    assert f"# pypm home: {path}\n" in systemd.unit_text(job)


def test_no_crash_and_no_lack_of_memory_of_one_ends_the_others() -> None:
    service = settings(make_job())["Service"]
    assert service["KillMode"] == "process"
    assert service["OOMPolicy"] == "continue"
    assert service["Restart"] == "on-failure"
    assert settings(make_job())["Unit"]["StartLimitIntervalSec"] == "0"
    assert service.get("ExitType", "main") == "main"


def test_every_line_of_the_service_is_argued_in_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "startup.md").read_text()
    service = settings(make_job())["Service"]
    assert [key for key in service if f"`{key}=" not in text] == []


def test_nothing_of_the_shell_is_frozen_into_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/some/odd/folder:" + os.environ["PATH"])
    assert "odd" not in systemd.unit_text(make_job())
    assert settings(make_job())["Service"]["Environment"] == "PYPM_HOME=/home/alice/.pypm"


def test_the_machines_unit_waits_for_network_and_disks_and_runs_as_whom_it_should() -> None:
    unit = settings(make_job(system=True, user="alice"))
    assert unit["Unit"]["After"] == "network-online.target"
    assert unquoted(unit["Unit"]["RequiresMountsFor"])[0] == "/home/alice/.pypm"
    assert unit["Service"]["User"] == "alice"
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_a_users_unit_names_nothing_that_only_the_machine_has() -> None:
    unit = settings(make_job())
    assert set(unit["Unit"]) == {"Description", "StartLimitIntervalSec"}
    assert "User" not in unit["Service"]
    assert unit["Install"]["WantedBy"] == "default.target"


@pytest.mark.parametrize("path", ["/a\nExecStartPre=/bin/evil", "/a\0", "/a\udcff", "relative"])
def test_a_path_that_would_be_more_than_a_path_is_refused(path: str) -> None:
    with pytest.raises(RequestError):
        make_job(path)


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-", "x\ny", "a%i", "a@b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(PypmError, match="no name"):
        make_job(name=name)


# --- the steps ---


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without services, whose systemctl says that none runs."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    monkeypatch.setattr(systemd, "SYSTEM_FOLDER", str(home / "etc"))
    monkeypatch.setattr(systemd, "SYSTEM_RUNTIME_FOLDER", str(home / "sysrun"))
    monkeypatch.setattr(systemd, "LINGER_FOLDER", str(home))
    systemctl(home, "case $* in *is-active*) exit 3;; esac")
    loginctl = home / "bin" / "loginctl"
    loginctl.write_text(f'#!/bin/sh\necho loginctl "$@" >>{home}/asked\n')
    loginctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}/bin:" + os.environ["PATH"])
    return home


def systemctl(place: Path, script: str) -> None:
    """A systemctl that writes down what it is asked, but for the question whether something runs."""
    path = place / "bin" / "systemctl"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f'#!/bin/sh\ncase $* in *is-active*) ;; *) echo systemctl "$@" >>{place}/asked;; esac\n{script}\n'
    )
    path.chmod(0o755)


def asked(place: Path) -> list[str]:
    """What the machine's programs were asked since the last question."""
    path = place / "asked"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_a_users_unit_is_written_and_enabled(place: Path) -> None:
    job = make_job()
    assert take(systemd.install(job, start=True)) == []
    path = place / "config/systemd/user/pypm.service"
    assert path.read_text() == systemd.unit_text(job)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert asked(place) == [
        "loginctl --no-ask-password enable-linger",
        "systemctl --user daemon-reload",
        "systemctl --user enable pypm",
        "systemctl --user start pypm",
    ]


def test_who_lingers_already_is_not_asked_for(place: Path) -> None:
    from getpass import getuser

    (place / getuser()).touch()
    take(systemd.install(make_job(), start=False))
    assert asked(place) == ["systemctl --user daemon-reload", "systemctl --user enable pypm"]


def test_where_lingering_is_refused_the_person_is_told_what_to_type(place: Path) -> None:
    (place / "bin" / "loginctl").write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    [advice] = take(systemd.install(make_job(), start=False))
    assert "sudo loginctl enable-linger" in advice
    assert (place / "config/systemd/user/pypm.service").exists()


def test_the_machines_unit_is_written_and_enabled(place: Path) -> None:
    take(systemd.install(make_job(system=True, name="pypm-alice", user="alice"), start=False))
    assert (place / "etc/pypm-alice.service").exists()
    assert asked(place) == ["systemctl daemon-reload", "systemctl enable pypm-alice"]


def test_doing_it_again_writes_it_anew(place: Path) -> None:
    take(systemd.install(make_job(python="/old/python"), start=False))
    take(systemd.install(make_job(), start=False))
    assert "/old/python" not in (place / "config/systemd/user/pypm.service").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[Service]\nExecStart=/bin/true\n", "was not written by pypm"),
        (systemd.unit_text(make_job("/home/bob/.pypm")), "starts another home, /home/bob/.pypm"),
    ],
)
def test_a_unit_of_somebody_else_is_left_alone(place: Path, text: str, words: str) -> None:
    path = place / "config/systemd/user/pypm.service"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    for plan in (lambda: systemd.install(make_job(), start=True), lambda: systemd.remove(make_job())):
        with pytest.raises(RequestError, match=words):
            plan()
    assert path.read_text() == text


def test_a_step_that_fails_is_told_with_its_words(place: Path) -> None:
    systemctl(place, 'echo "Failed to connect to bus" >&2; exit 1')
    with pytest.raises(
        RequestError, match=r"`systemctl --user daemon-reload` failed: Failed to connect to bus"
    ):
        take(systemd.install(make_job(), start=False))


def test_removing_undoes_it(place: Path) -> None:
    take(systemd.install(make_job(), start=False))
    asked(place)
    take(systemd.remove(make_job()))
    assert not (place / "config/systemd/user/pypm.service").exists()
    assert asked(place) == ["systemctl --user disable pypm", "systemctl --user daemon-reload"]
    assert systemd.remove(make_job()) == []


def test_removing_what_runs_stops_nothing_and_keeps_its_settings_until_the_reboot(place: Path) -> None:
    job = make_job()
    take(systemd.install(job, start=False))
    systemctl(place, "exit 0")
    asked(place)
    steps = systemd.remove(job)
    take(steps)
    assert [type(step) for step in steps] == [WriteFile, RunProgram, RemoveFile, RunProgram]
    assert (place / "run/systemd/user/pypm.service").read_text() == systemd.unit_text(job)
    assert not (place / "config/systemd/user/pypm.service").exists()
    assert not any("stop" in words or "--now" in words for words in asked(place))
