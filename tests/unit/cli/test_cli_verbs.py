"""What each verb asks the master, what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from scripted_master import ScriptedMaster, make_change, make_doctor, make_ping, make_row, make_settled

from pypm import __version__
from pypm.cli import kill
from pypm.cli.elsewhere import ELSEWHERE
from pypm.cli.main import group, run
from pypm.cli.output import guarded
from pypm.cli.verbs import ALIASES, SECTIONS, VERBS
from pypm.core.errors import ConfigError, NotFoundError, PypmError, RequestError, UsageError

WORKER = make_row(0, "worker")
SPEC_WORKER = {
    **WORKER,
    "spec": {"name": "worker", "command": ["/bin/worker"], "cwd": "/"},
    "created_at": 1_700_000_000.0,
    "failures": 0,
    "metrics": {},
}
TWO_APPS = '[[apps]]\nname = "a"\ncommand = "sleep 1"\n[[apps]]\nname = "b"\ncommand = "sleep 1"\n'

Capture = pytest.CaptureFixture[str]
PROCFILE = str(Path(__file__).parents[2] / "compat" / "import" / "Procfile")
EXAMPLE = str(Path(__file__).parents[3] / "ecosystem.example.toml")


def pypm(*words: str) -> int | None:
    return guarded(run, list(words))


def everything(home: Path) -> dict[str, object]:
    change = make_change(WORKER)
    return {
        "list": lambda params: [SPEC_WORKER if params.get("spec") else WORKER],
        "ping": make_ping(home),
        "doctor": make_doctor(home),
        "describe": [],
        "stop": make_change(WORKER, action="stopped"),
        "restart": make_change(WORKER, action="restarted"),
        "reload": {**make_change(WORKER, action="reloaded"), "failures": []},
        "run_now": make_change(WORKER, action="started"),
        "delete": make_change(WORKER, action="deleted"),
        "scale": make_change(WORKER, action="scaled"),
        "reset": make_change(WORKER, action="reset"),
        "signal": make_change(WORKER, action="signalled"),
        "send": make_change(WORKER, action="sent"),
        "start": change,
        "declared": [],
        "apply": change,
        "trigger": [{"id": 0, "name": "worker", "ok": True, "result": 1, "error": ""}],
        "reload_settings": {"logs.total_size": 1 << 30},
        "flush": {"files": ["/logs/worker-out.log"], "deleted": ["/logs/worker-out.log.1"]},
        "reload_logs": {"files": ["/logs/worker-out.log"]},
        "env": [{"id": 0, "name": "worker", "env": {"A": "1"}}],
        "wait": make_settled(WORKER),
        "snapshot_save": {"name": "dump", "path": "/snapshots/dump.json", "apps": ["worker"], "instances": 1},
        "resurrect": change,
        "cleardump": {"name": "dump", "removed": True},
        "kill": {},
    }


JSON_COMMANDS = {
    "start": ["start", "worker"],
    "apply": ["apply", EXAMPLE],
    "validate": ["validate", EXAMPLE],
    "ecosystem": ["ecosystem", "--dry-run"],
    "import": ["import", "procfile", PROCFILE, "-o", "-"],
    "schema": ["schema"],
    "stop": ["stop", "worker"],
    "restart": ["restart", "worker"],
    "reload": ["reload", "worker"],
    "run-now": ["run-now", "worker"],
    "delete": ["delete", "worker"],
    "scale": ["scale", "worker", "2"],
    "list": ["list"],
    "monit": ["monit", "--once"],
    "top": ["top"],
    "describe": ["describe", "worker"],
    "why": ["why", "worker"],
    "events": ["events"],
    "logs": ["logs", "--no-follow"],
    "pid": ["pid", "worker"],
    "id": ["id", "worker"],
    "startOrRestart": ["startOrRestart", EXAMPLE],
    "startOrReload": ["startOrReload", EXAMPLE],
    "report": ["report"],
    "send": ["send", "worker", "hello"],
    "jlist": ["jlist"],
    "prettylist": ["prettylist"],
    "env": ["env", "worker"],
    "reset": ["reset", "worker"],
    "signal": ["signal", "HUP", "worker"],
    "trigger": ["trigger", "worker", "cache"],
    "flush": ["flush"],
    "reloadLogs": ["reloadLogs"],
    "startup": ["startup", "launchd", "--user", "--dry-run"],
    "unstartup": ["unstartup", "launchd", "--user", "--dry-run"],
    "wait": ["wait", "worker"],
    "save": ["save"],
    "resurrect": ["resurrect"],
    "cleardump": ["cleardump"],
    "ping": ["ping"],
    "doctor": ["doctor"],
    "kill": ["kill"],
    "version": ["version"],
    "set": ["set", "logs.total_size", "1G"],
    "get": ["get"],
    "unset": ["unset", "logs.total_size"],
    "multiset": ["multiset", "logs.total_size 1G"],
    "conf": ["conf"],
    "completion": ["completion", "bash"],
}


ASKED_OF_NONE = ("logs", "list", "describe", "why", "events")
"""Verbs that have nothing to tell where there is nothing."""


def test_every_verb_is_tried_with_json() -> None:
    # An update ends with the master that was asked, and attach goes on: they have tests of their own.
    assert set(JSON_COMMANDS) == set(VERBS) - {"update", "attach"}


@pytest.mark.parametrize("verb", JSON_COMMANDS)
def test_with_json_stdout_is_json_only(home: Path, capfd: Capture, verb: str) -> None:
    with ScriptedMaster(home, **everything(home)):
        assert pypm(*JSON_COMMANDS[verb], "--json") == 0
    for line in capfd.readouterr().out.splitlines():
        json.loads(line)


@pytest.mark.parametrize("verb", [verb for verb in JSON_COMMANDS if verb not in ASKED_OF_NONE])
def test_without_json_a_person_is_told_something(home: Path, capfd: Capture, verb: str) -> None:
    with ScriptedMaster(home, **everything(home)):
        assert pypm(*JSON_COMMANDS[verb]) == 0
    assert capfd.readouterr().out.strip()


@pytest.mark.parametrize("verb", JSON_COMMANDS)
def test_every_help_has_an_example(capfd: Capture, verb: str) -> None:
    assert pypm(verb, "--help") == 0
    output = capfd.readouterr().out
    assert "Examples:" in output
    assert f"pypm {verb}" in output.split("Examples:")[1]


def test_help_lists_each_verb_once_and_no_alias(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert pypm("--help") == 0
    output = capfd.readouterr().out
    sections = output[output.index(f"{next(iter(SECTIONS))}:") :].splitlines()
    assert [line[:-1] for line in sections if line and not line.startswith(" ")] == list(SECTIONS)
    listed = [line.split(maxsplit=1) for line in sections if line.startswith(" ")]
    assert listed == [[verb, words] for verbs in SECTIONS.values() for verb, words in verbs.items()]
    assert len(VERBS) == sum(map(len, SECTIONS.values()))


@pytest.mark.parametrize(("alias", "verb"), ALIASES.items())
def test_an_alias_is_its_verb(alias: str, verb: str) -> None:
    import click

    context = click.Context(group)
    assert group.get_command(context, alias) is group.get_command(context, verb)


@pytest.mark.parametrize(
    "words",
    [
        ["lits"],
        ["list", "--josn"],
        ["stop"],
        ["restart"],
        ["describe"],
        ["signal", "HUP"],
        ["signal", "SIGFOO", "worker"],
        ["scale", "worker", "many"],
        ["scale", "worker", "2", "--josn"],
        ["restart", "worker", "--parallel", "0"],
        ["start", "worker", "--timeout", "-1"],
        ["start", "worker", "--timeout", "1e400"],
        ["start", "worker", "--timeout", "nan"],
        ["start", "worker", "--foreground", "--no-wait"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_and_says_so_on_stderr(home: Path, capfd: Capture, words: list[str]) -> None:
    assert pypm(*words) == 2
    output = capfd.readouterr()
    assert output.out == ""
    said = output.err.splitlines()
    assert said[0].startswith("pypm: ")
    assert len(said) == 1 or said[1].startswith("hint: ")
    assert not (home / "master.log").exists()


def test_an_unknown_command_is_answered_with_the_nearest(capfd: Capture) -> None:
    assert pypm("strat") == 2
    assert "did you mean start" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["reload", "ecosystem.config.js", "--env", "production"], "`pypm startOrReload FILE --env NAME`"),
        (["gracefulReload", "a.json", "--only=web"], "`pypm startOrReload FILE --only NAME`"),
        (["restart", "ecosystem.config.js", "--only", "web"], "`pypm startOrRestart FILE --only NAME`"),
        (["stop", "ecosystem.config.js", "--only", "web"], "`pypm stop NAME`"),
        (["--json", "list"], "`pypm list --json`"),
    ],
    ids=" ".join,
)
def test_an_option_of_another_verb_is_answered_with_that(capfd: Capture, words: list[str], hint: str) -> None:
    assert pypm(*words) == 2
    said, told = capfd.readouterr().err.splitlines()
    assert said.startswith("pypm: no such option '--")
    assert "id you mean" not in said
    assert told.startswith("hint: ")
    assert hint in told


def test_an_unknown_choice_is_answered_with_the_nearest(capfd: Capture) -> None:
    assert pypm("wait", "worker", "--for", "onlin") == 2
    assert "hint: did you mean online?" in capfd.readouterr().err
    assert pypm("wait", "worker", "--for", "zzz") == 2
    assert "hint: `pypm wait --help` shows how" in capfd.readouterr().err


@pytest.mark.parametrize(("verb", "words"), ELSEWHERE.items())
def test_a_verb_of_pm2_is_answered_with_what_does_it_here(capfd: Capture, verb: str, words: str) -> None:
    assert pypm(verb) == 2
    assert f"hint: {words}\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestError("it is so", hint="do that"), 1),
        (ConfigError("it is so", hint="do that"), 1),
        (UsageError("it is so", hint="do that"), 2),
        (NotFoundError("it is so", hint="do that"), 3),
    ],
)
def test_what_the_master_refuses_is_told_on_stderr(
    home: Path, capfd: Capture, error: PypmError, status: int
) -> None:
    with ScriptedMaster(home, delete=error):
        assert pypm("delete", "x", "--json") == status
    assert capfd.readouterr() == ("", "pypm: it is so\nhint: do that\n")


@pytest.mark.parametrize("words", [["ping"], ["kill"], ["pid"], ["signal", "HUP", "worker"]], ids=" ".join)
def test_without_a_master_these_exit_4_and_start_none(home: Path, capfd: Capture, words: list[str]) -> None:
    assert pypm(*words) == 4
    assert "no master is running" in capfd.readouterr().err
    assert list(home.iterdir()) == []


def test_the_empty_list_says_how_to_begin(home: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, list=[]):
        assert pypm("list") == 0
        assert "pypm start" in capfd.readouterr().err
        assert pypm("list", "--json") == 0
        assert capfd.readouterr() == ("[]\n", "")


def test_stop_waits_until_nothing_runs(home: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("stop", "worker", "3") == 0
    assert master.calls == [
        ("stop", {"targets": ["worker", "3"]}),
        ("wait", {"ids": [0], "revision": 0, "for": "stopped"}),
    ]
    assert capfd.readouterr().out == "stopped worker\n"


def test_stop_need_not_wait(home: Path) -> None:
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("stop", "worker", "--no-wait") == 0
    assert [method for method, _ in master.calls] == ["stop"]


def test_all_is_a_target_and_an_option(home: Path) -> None:
    with ScriptedMaster(home, **everything(home)) as master:
        pypm("reset", "all")
        pypm("reset", "--all")
    assert master.asked("reset") == [{"targets": ["all"]}] * 2


def test_an_ecosystem_file_is_the_apps_in_it(home: Path) -> None:
    file = home / "apps.toml"
    file.write_text(TWO_APPS)
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("delete", str(file), "c") == 0
    assert master.asked("delete") == [{"targets": ["a", "b", "c"]}]


def test_a_name_like_a_file_that_is_none_is_a_name(home: Path) -> None:
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("delete", "apps.toml") == 0
    assert master.asked("delete") == [{"targets": ["apps.toml"]}]


def test_restart_sends_this_environment_when_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "new")
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("restart", "worker", "--parallel", "4") == 0
        assert pypm("restart", "worker", "--update-env") == 0
    plain, with_environment = master.asked("restart")
    assert plain == {"targets": ["worker"], "parallel": 4}
    assert with_environment["origin"]["env"]["API_KEY"] == "new"
    assert "PYPM_HOME" not in with_environment["origin"]["env"]


@pytest.mark.parametrize(("word", "number"), [("HUP", 1), ("sighup", 1), ("SIGUSR1", 10), ("15", 15)])
def test_a_signal_has_many_names(home: Path, word: str, number: int) -> None:
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("sendSignal", word, "worker", "--group") == 0
    assert master.asked("signal") == [{"targets": ["worker"], "signal": number, "group": True}]


def test_a_signal_behind_its_target_is_told(home: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("signal", "worker", "SIGHUP") == 2
    assert master.asked("signal") == []
    assert "`pypm signal SIGHUP worker`" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("word", "told"), [("0", "pypm delete worker"), ("-1", "pypm stop worker"), ("99999", "10000 at most")]
)
def test_scale_to_none_or_too_many_is_refused(home: Path, capfd: Capture, word: str, told: str) -> None:
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("scale", "worker", word) == 2
    assert master.asked("scale") == []
    assert told in capfd.readouterr().err


@pytest.mark.parametrize("method", ["restart", "wait"])
def test_who_leaves_with_ctrl_c_is_told_that_it_goes_on(home: Path, capfd: Capture, method: str) -> None:
    def interrupted(params: dict[str, object]) -> object:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert interrupt_seen.wait(timeout=60)
        return None

    interrupt_seen = threading.Event()
    with ScriptedMaster(home, **{**everything(home), method: interrupted}):
        assert pypm("restart", "worker") == 130
        interrupt_seen.set()
    assert capfd.readouterr().err == "pypm: not waited for any longer; what was ordered goes on\n"


@pytest.mark.parametrize(("words", "number"), [(["5"], 5), (["+2"], 3), (["1"], 1)])
def test_scale_counts_from_what_there_is(home: Path, words: list[str], number: int) -> None:
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("scale", "worker", *words) == 0
    assert master.asked("scale") == [{"app": "worker", "instances": number}]


def test_scaling_an_app_that_is_not_there_exits_3(home: Path) -> None:
    with ScriptedMaster(home, **everything(home)):
        assert pypm("scale", "other", "+1") == 3


def test_flush_without_targets_is_of_all(home: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("flush") == 0
        assert pypm("flush", "--rotated", "worker") == 0
    assert master.asked("flush") == [{"targets": ["all"]}, {"targets": ["worker"], "rotated": True}]
    assert capfd.readouterr().out == "emptied /logs/worker-out.log\ndeleted /logs/worker-out.log.1\n" * 2


def test_reload_logs_has_pm2s_name_and_a_plain_one(home: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, **everything(home)) as master:
        assert pypm("reloadLogs") == 0
        assert pypm("reload-logs") == 0
    assert master.asked("reload_logs") == [{}, {}]
    assert capfd.readouterr().out == "1 log file is opened anew\n" * 2


def test_pid_of_what_does_not_run_prints_nothing_and_fails(home: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, list=[make_row(0, "worker", status="stopped")]):
        assert pypm("pid", "worker") == 1
    output = capfd.readouterr()
    assert output.out == ""
    assert "worker is not running" in output.err


def test_version_needs_no_master(home: Path, capfd: Capture) -> None:
    assert pypm("version", "--json") == 0
    assert json.loads(capfd.readouterr().out) == {"version": __version__, "master_version": None}


def test_version_tells_when_the_master_is_another(home: Path, capfd: Capture) -> None:
    with ScriptedMaster(home, **everything(home)):
        assert pypm("version") == 0
    output = capfd.readouterr()
    assert output.out == f"pypm {__version__}\n"
    assert "version 9" in output.err


def test_warnings_are_on_stderr(home: Path, capfd: Capture) -> None:
    change = make_change(WORKER, action="reset", warnings=("the disk is full",))
    with ScriptedMaster(home, reset=change):
        assert pypm("reset", "worker") == 0
    assert capfd.readouterr() == ("reset worker\n", "pypm: warning: the disk is full\n")


def test_many_names_are_not_all_said(home: Path, capfd: Capture) -> None:
    rows = [make_row(number, f"w{number}") for number in range(30)]
    with ScriptedMaster(home, reset=make_change(*rows, action="reset")):
        assert pypm("reset", "all") == 0
    assert capfd.readouterr().out == "reset w0, w1, w2, w3, w4, w5, w6, w7, w8, w9 and 20 more\n"


@pytest.mark.parametrize("gone_already", [False, True])
def test_kill_returns_when_the_master_is_gone(home: Path, capfd: Capture, gone_already: bool) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:

        def end(params: dict[str, object]) -> dict[str, object]:
            process.terminate()
            return {}

        ping = make_ping(home) if gone_already else make_ping(home, master_pid=process.pid)
        with ScriptedMaster(home, ping=ping, kill=end):
            assert pypm("kill") == 0
        if not gone_already:
            assert process.poll() is not None
    assert "has ended" in capfd.readouterr().out


def test_a_master_that_stays_is_told(home: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill, "_END", 0.05)
    with ScriptedMaster(home, ping=make_ping(home, master_pid=os.getpid()), kill={}):
        assert pypm("kill") == 1
    assert "is still there" in capfd.readouterr().err
