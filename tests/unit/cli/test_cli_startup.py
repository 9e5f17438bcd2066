"""startup and unstartup: for whom and for which home, what is printed, and what is left alone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from pwd import getpwuid

import pytest
from scripted_master import ScriptedMaster

import pypm
from pypm.boot import systemd
from pypm.cli.main import run
from pypm.cli.output import guarded

Capture = pytest.CaptureFixture[str]

ME = getpwuid(os.geteuid()).pw_name


def cli(*words: str) -> int | None:
    return guarded(run, list(words))


@pytest.fixture(autouse=True)
def machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a systemd that only writes down what it is asked; nothing runs as a service."""
    place = home / "machine"
    (place / "bin").mkdir(parents=True)
    for name in ("systemctl", "loginctl"):
        program = place / "bin" / name
        program.write_text(
            f"#!/bin/sh\ncase $* in *is-active*) [ -e {place}/active ]; exit;; esac\n"
            f'echo {name} "$@" >>{place}/asked\n'
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}/bin:" + os.environ["PATH"])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place / "run"))
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(systemd, "SYSTEM_FOLDER", str(place / "etc"))
    monkeypatch.setattr(systemd, "SYSTEM_RUNTIME_FOLDER", str(place / "sysrun"))
    monkeypatch.setattr(systemd, "LINGER_FOLDER", str(place))
    (place / ME).touch()
    return place


def asked(machine: Path) -> list[str]:
    path = machine / "asked"
    return path.read_text().splitlines() if path.exists() else []


def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command believe that it is not root's, whose tests these may be."""
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(os.environ["PYPM_HOME"]).st_uid or 65534)


def test_the_unit_runs_this_installation_for_this_home(home: Path, machine: Path, capfd: Capture) -> None:
    assert cli("startup", "systemd", "--user") == 0
    text = (machine / "config/systemd/user/pypm.service").read_text()
    guardian = Path(pypm.__file__).parent / "guardian" / "__main__.py"
    assert f"ExecStart={sys.executable} -I -S {guardian} {home}\n" in text
    assert asked(machine) == [
        "systemctl --user daemon-reload",
        "systemctl --user enable pypm",
        "systemctl --user start pypm",
    ]
    out, err = capfd.readouterr()
    assert f"{home} starts with the machine" in out
    assert err == ""


def test_a_master_that_runs_is_left_alone_and_told_of(home: Path, machine: Path, capfd: Capture) -> None:
    with ScriptedMaster(home) as master:
        assert cli("startup", "systemd", "--user") == 0
        assert master.calls == []
    assert "systemctl --user start pypm" not in asked(machine)
    assert "pypm kill && systemctl --user start pypm && pypm resurrect" in capfd.readouterr().err


def test_a_master_of_the_service_itself_is_nothing_to_tell(home: Path, machine: Path, capfd: Capture) -> None:
    (machine / "active").touch()
    with ScriptedMaster(home):
        assert cli("startup", "systemd", "--user") == 0
    assert capfd.readouterr().err == ""


def test_a_dry_run_prints_everything_and_does_nothing(machine: Path, capfd: Capture) -> None:
    assert cli("startup", "systemd", "--user", "--dry-run") == 0
    out = capfd.readouterr().out
    assert f"# {machine}/config/systemd/user/pypm.service\n# Written by" in out
    assert out.endswith(
        "\nsystemctl --user daemon-reload\nsystemctl --user enable pypm\nsystemctl --user start pypm\n"
    )
    assert asked(machine) == []
    assert not (machine / "config").exists()


def test_json_has_the_steps(home: Path, machine: Path, capfd: Capture) -> None:
    assert cli("startup", "systemd", "--user", "--dry-run", "--json") == 0
    answer = json.loads(capfd.readouterr().out)
    path = f"{machine}/config/systemd/user/pypm.service"
    assert (answer["platform"], answer["name"], answer["home"]) == ("systemd", "pypm", str(home))
    assert (answer["path"], answer["dry_run"], answer["advice"]) == (path, True, [])
    assert answer["steps"][0]["write"] == path
    assert answer["steps"][1] == {"run": ["systemctl", "--user", "daemon-reload"], "text": None}


def test_unstartup_undoes_it(machine: Path, capfd: Capture) -> None:
    cli("startup", "systemd", "--user")
    (machine / "asked").unlink()
    assert cli("unstartup", "systemd", "--user") == 0
    assert not (machine / "config/systemd/user/pypm.service").exists()
    assert asked(machine) == ["systemctl --user disable pypm", "systemctl --user daemon-reload"]
    assert "does not start with the machine" in capfd.readouterr().out
    assert cli("unstartup", "systemd", "--user") == 0
    assert capfd.readouterr().out == "there is nothing to do\n"


def test_the_machines_unit_for_somebody(home: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cli("startup", "systemd", "--run-as", ME) == 0
    text = (machine / f"etc/pypm-{ME}.service").read_text()
    assert f"\nUser={ME}\n" in text
    assert str(home) in text
    assert asked(machine)[-2:] == [f"systemctl enable pypm-{ME}", f"systemctl start pypm-{ME}"]


def test_without_a_home_named_it_is_that_of_whom_it_runs_as(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.delenv("PYPM_HOME")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("HOME", "/somewhere/else")
    assert cli("startup", "systemd", "--run-as", ME, "--dry-run", "--json") == 0
    assert json.loads(capfd.readouterr().out)["home"] == os.path.join(getpwuid(os.getuid()).pw_dir, ".pypm")


def test_root_by_sudo_is_told_whose_agents_they_are(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setattr(os, "geteuid", os.getuid)
    monkeypatch.setenv("SUDO_USER", "alice")
    assert cli("startup", "systemd", "--system", "--dry-run") == 0
    told = "it runs as root; for the agents of alice: --run-as alice" in capfd.readouterr().err
    assert told is (os.getuid() == 0)


def test_who_is_not_root_is_told_what_to_type(
    home: Path, machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    os.chown(home, 65534, -1) if os.geteuid() == 0 else None
    as_user(monkeypatch)
    user = getpwuid(os.geteuid()).pw_name
    assert cli("startup", "systemd", "--system") == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert (
        f"hint: type: sudo env PYPM_HOME={home} {sys.executable} -P -m pypm startup systemd --system" in err
    )
    assert f"--run-as {user} --name pypm-{user}" in err
    assert asked(machine) == []
    assert not (machine / "etc").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--user", "--run-as", "alice"], 2, "--run-as goes with --system"),
        (["--system", "--run-as", "nobody-of-that-name", "--dry-run"], 2, "there is no user"),
        (["--user", "--name", "a b"], 2, "no name for a service"),
        (["--system", "--run-as", "daemon", "--dry-run"], 1, "is not of the user that it is to run as"),
    ],
)
def test_words_that_do_not_fit_are_refused(
    machine: Path, capfd: Capture, words: list[str], status: int, said: str
) -> None:
    assert cli("startup", "systemd", *words) == status
    out, err = capfd.readouterr()
    assert (out, said in err) == ("", True), err
    assert asked(machine) == []


def test_a_home_whose_sockets_are_elsewhere_is_refused(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setenv("PYPM_HOME", "/tmp/" + "x" * 100)
    assert cli("startup", "systemd", "--user") == 1
    assert "too long for sockets" in capfd.readouterr().err


def test_a_step_that_fails_fails_the_command(machine: Path, capfd: Capture) -> None:
    (machine / "bin" / "systemctl").write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    assert cli("startup", "systemd", "--user") == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "`systemctl --user daemon-reload` failed: Failed to connect to bus" in err
    assert "--dry-run" in err
