"""``pypm import``: realistic files of other process managers, and the ecosystem files that they become.

The expected files lie beside them. To make them anew after a change, and look at the difference:
``PYPM_WRITE_EXPECTED=1 python -m pytest tests/compat/test_compat_import.py``.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest

from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.config.foreign import pm2
from pypm.config.keys import is_app_key
from pypm.config.schema import ecosystem_schema

FILES = Path(__file__).parent / "import"
CASES = {
    "Procfile": "procfile",
    "supervisord.conf": "supervisord",
    "agent@.service": "systemd",
    "compose.yaml": "compose",
    "dump.pm2": "pm2",
    "ecosystem.json": "pm2",
}
Capture = pytest.CaptureFixture[str]


def pypm(*words: str) -> int | None:
    return guarded(run, list(words))


def imported(name: str, capfd: Capture) -> str:
    assert pypm("import", CASES[name], str(FILES / name), "-o", "-") == 0
    return capfd.readouterr().out


@pytest.mark.parametrize("name", CASES)
def test_a_file_becomes_what_is_expected(name: str, capfd: Capture) -> None:
    expected = FILES / f"{name}.expected.toml"
    text = imported(name, capfd)
    if os.environ.get("PYPM_WRITE_EXPECTED"):
        expected.write_text(text)
    assert text == expected.read_text()


@pytest.mark.parametrize("name", CASES)
def test_what_it_becomes_is_a_valid_ecosystem_file(name: str, capfd: Capture) -> None:
    content = tomllib.loads(imported(name, capfd))
    assert list(jsonschema.Draft7Validator(ecosystem_schema()).iter_errors(content)) == []
    assert all(is_app_key(key) or key.startswith("env_") for app in content["apps"] for key in app)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("Procfile", ["this line is none"]),
        (
            "supervisord.conf",
            ["priority = 998", "stdout_events_enabled", "eventlistener:crashmail", "rpcinterface"],
        ),
        ("agent@.service", ["SystemCallFilter", "ExecReload", "ExecStartPre", "After=", "SIGKILL"]),
        (
            "compose.yaml",
            ["service db", "ulimits.nproc", "reservations", "ports", "networks", "DATABASE_URL"],
        ),
        ("dump.pm2", ["cluster mode"]),
        ("ecosystem.json", ["source_map_support", "cluster mode", "increment_var"]),
    ],
)
def test_what_has_no_equal_is_noted(name: str, lines: list[str], capfd: Capture) -> None:
    notes = [line for line in imported(name, capfd).splitlines() if line.startswith("#")]
    for line in lines:
        assert any(line in note for note in notes), line


COMPOSE = """services:
  a:
    command: sleep 1
    env_file: [{path: x.env, required: false}, y.env]
    healthcheck: {test: "true", start_interval: 2s}
    logging: {options: {tag: T, max-size: 1m}}
"""
UNIT = "[Service]\nExecStart=/bin/sleep 1\nKillMode=mixed\nLimitNOFILE=infinity\nTasksMax=infinity\n"


@pytest.mark.parametrize(
    ("kind", "text", "noted"),
    [
        ("compose", COMPOSE, ["x.env has to be there", "healthcheck.start_interval", "logging.options.tag"]),
        ("systemd", UNIT, ["KillMode=mixed", "limits.open_files of infinity"]),
    ],
)
def test_what_has_no_equal_inside_of_what_has_is_noted(
    kind: str, text: str, noted: list[str], tmp_path: Path, capfd: Capture
) -> None:
    (tmp_path / "a.service").write_text(text)
    assert pypm("import", kind, str(tmp_path / "a.service"), "-o", "-", "--json") == 0
    notes = json.loads(capfd.readouterr().out)["notes"]
    for words in noted:
        assert sum(words in note for note in notes) == 1, (words, notes)
    assert not any("tasks" in note or "y.env" in note for note in notes)


def test_it_writes_a_file_and_tells_what_is_left_to_do(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Procfile").write_text("one: sleep 1000\ntwo: no-such-program\nodd line\n")
    assert pypm("import", "procfile") == 0
    output = capfd.readouterr()
    assert "wrote ecosystem.toml: 2 apps" in output.out
    assert "next: mend ecosystem.toml" in output.out
    assert "note: line 3: no equal here: odd line" in output.err
    assert "'no-such-program' is not found" in output.err
    assert pypm("import", "procfile") == 1
    assert "--force replaces it" in capfd.readouterr().err
    (tmp_path / "Procfile").write_text("one: sleep 1000\n")
    assert pypm("import", "procfile", "--force", "--json") == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer == {"file": "ecosystem.toml", "apps": ["one"], "notes": [], "fault": ""}


def test_several_files_become_one(tmp_path: Path, capfd: Capture) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.service").write_text(f"[Service]\nExecStart=/bin/sleep {ord(name)}\n")
    assert pypm("import", "systemd", str(tmp_path / "a.service"), str(tmp_path / "b.service"), "-o", "-") == 0
    content = tomllib.loads(capfd.readouterr().out)
    assert [(app["name"], app["command"]) for app in content["apps"]] == [
        ("a", "/bin/sleep 97"),
        ("b", "/bin/sleep 98"),
    ]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["procfile"], 2, "looked for: Procfile"),
        (["systemd"], 2, "name the file"),
        (["procfile", "missing"], 1, "No such file"),
        (["compose", "bad.yaml"], 1, "no Compose file"),
        (["supervisord", "bad.conf"], 1, "bad.conf"),
        (["systemd", "bad.service"], 1, "there is no ExecStart"),
        (["pm2", "bad.pm2"], 1, "bad.pm2"),
        (["procfile", "bad.conf"], 1, "nothing that could be an app"),
        (["procfile", "bad.conf", "-o", "x.json"], 2, "TOML"),
        (["nomad"], 2, "nomad"),
    ],
)
def test_what_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture, words: list[str], status: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("bad.yaml", "bad.conf", "bad.service", "bad.pm2"):
        (tmp_path / name).write_text("nothing here\n")
    assert pypm("import", *words) == status
    assert said in capfd.readouterr().err


def test_included_files_of_supervisord_are_read(tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text("[program:a]\ncommand=sleep 1\n")
    (tmp_path / "s.conf").write_text("[include]\nfiles = conf.d/*.conf\n")
    assert pypm("import", "supervisord", str(tmp_path / "s.conf"), "-o", "-") == 0
    assert tomllib.loads(capfd.readouterr().out)["apps"][0]["name"] == "a"


def test_variables_that_the_shell_has_are_no_part_of_an_app_of_pm2() -> None:
    env = {"OWN": "1", "SAME": "2", "OTHER": "3", "npm_config_x": "4"}
    record = {"name": "a", "pm_exec_path": "/a.py", "exec_interpreter": "python3", "env": env}
    draft = pm2.read_pm2_list([{"pm2_env": record}], "jlist", {"SAME": "2", "OTHER": "x"})
    assert draft.apps[0].settings["env"] == {"OWN": "1", "OTHER": "3"}


def test_what_pm2_itself_put_into_its_record_is_no_part_of_an_app() -> None:
    """As PM2 7 tells it: a variable with the app's name, its own log files, numbers in those of the app."""
    logs = {"pm_pid_path": "/h/pids/web-0.pid", "pm_err_log_path": "/h/logs/web-error-0.log"}
    records = [
        {
            "name": "web", "pm_exec_path": "/web.js", "exec_interpreter": "node", "pm_id": number,
            "instance_var": "NODE_APP_INSTANCE", "env": {"web": "{}", "PORT": 3000}, "increment_var": "PORT",
            "uid": 1000, "log_type": "json", "pm_out_log_path": f"/var/log/web-{number}.log", **logs,
        }
        for number in (4, 5)
    ]  # fmt: skip
    settings = pm2.read_pm2_list(records, "jlist", {}).apps[0].settings
    assert settings == {
        "name": "web", "script": "/web.js", "instances": 2, "instance_var": "NODE_APP_INSTANCE",
        "increment_var": "PORT", "user": 1000, "log_type": "json", "out_file": "/var/log/web.log",
        "env": {"PORT": 3000},
    }  # fmt: skip


def supervisord_app(section: str, folder: Path, capfd: Capture) -> dict[str, object]:
    """What ``[program:x]`` with these lines becomes."""
    file = folder / "x.conf"
    file.write_text(f"[program:x]\n{section}\n")
    assert pypm("import", "supervisord", str(file), "-o", "-") == 0
    app: dict[str, object] = tomllib.loads(capfd.readouterr().out)["apps"][0]
    return app


SAID = r"""python3 -c "import os,sys; print(sys.argv[1:], os.environ.get('P'))" """


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("command={} 81%(process_num)02d '$X;%%'\nnumprocs=12", "['8103', '$X;%'] None"),
        ("command={} %(process_num)d\nnumprocs=4\nnumprocs_start=5", "['8'] None"),
        ("command={} %(process_num)02d\nnumprocs_start=5", "['05'] None"),
        ('command={} a\nenvironment=P="$x:%(ENV_Q)s:%(process_num)d"\nnumprocs=4', "['a'] $x:two words:3"),
        ("command={} %(ENV_Q)s '> %(ENV_Q)s <'", "['two', 'words', '> two words <'] None"),
        ("command={} '$(date)' a|b %(program_name)s", "['$(date)', 'a|b', 'x'] None"),
    ],
)
def test_a_command_of_supervisord_gets_the_same_words(
    section: str, said: str, tmp_path: Path, capfd: Capture
) -> None:
    app = supervisord_app(section.replace("{}", SAID), tmp_path, capfd)
    command, environment = app["command"], {**os.environ, "PYPM_INSTANCE": "3", "Q": "two words"}
    if isinstance(command, str) and not app.get("shell"):
        command = shlex.split(command)
    ran = subprocess.run(
        command, shell=isinstance(command, str), env=environment, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.strip() == said, ran.stderr


def test_supervisords_inner_shell_gets_its_variables(tmp_path: Path, capfd: Capture) -> None:
    app = supervisord_app('command=sh -c "for i in 1 2; do echo $i; done"', tmp_path, capfd)
    assert app["command"] == ["sh", "-c", "for i in 1 2; do echo $i; done"]
    assert "shell" not in app


def test_supervisords_files_are_found_from_a_relative_path(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = "directory=%(here)s\nnumprocs=2\nstdout_logfile=%(here)s/%(program_name)s_%(process_num)02d.log"
    app = supervisord_app(f"command=true\n{lines}", Path(), capfd)
    assert app["cwd"] == str(tmp_path)
    assert app["out_file"] == f"{tmp_path}/x.log"  # each instance has one with its number
