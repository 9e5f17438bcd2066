"""``pypm import``: realistic files of other process managers, and the ecosystem files that they become.

The expected files lie beside them. To make them anew after a change, and look at the difference:
``PYPM_WRITE_EXPECTED=1 python -m pytest tests/compat/test_compat_import.py``.
"""

from __future__ import annotations

import json
import os
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
        ("ecosystem.json", ["source_map_support", "exec_mode"]),
    ],
)
def test_what_has_no_equal_is_noted(name: str, lines: list[str], capfd: Capture) -> None:
    notes = [line for line in imported(name, capfd).splitlines() if line.startswith("#")]
    for line in lines:
        assert any(line in note for note in notes), line


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
