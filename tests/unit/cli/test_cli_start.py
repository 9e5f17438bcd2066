"""``pypm start``, ``restart`` and ``scale`` wait, and tell what failed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from scripted_master import ScriptedMaster, make_change, make_exit, make_row, make_settled

from pypm.cli import waiting
from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.cli.start_plan import StartWords, resolve
from pypm.cli.starting import saved_or_running

WORKER = make_row(0, "worker")
SPEC = {"name": "worker", "command": ["/bin/true"], "cwd": "/"}

Capture = pytest.CaptureFixture[str]


def pypm(*words: str) -> int | None:
    return guarded(run, list(words))


def scripted(home: Path, *rows: dict[str, object], **more: object) -> ScriptedMaster:
    answers = {
        "list": [WORKER],
        "start": make_change(*rows),
        "restart": make_change(*rows, action="restarted"),
        "wait": make_settled(*rows),
        "describe": [{**rows[0], "spec": SPEC}],
    }
    return ScriptedMaster(home, **{**answers, **more})


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_what_has_come_up_is_shown(home: Path, capfd: Capture, verb: str) -> None:
    with scripted(home, WORKER) as master:
        assert pypm(verb, "worker") == 0
    assert master.asked("wait") == [{"ids": [0], "for": "settled"}]
    output = capfd.readouterr()
    assert "worker" in output.out
    assert "online" in output.out
    assert output.err == ""


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_with_json_there_are_the_change_and_the_rows(home: Path, capfd: Capture, verb: str) -> None:
    with scripted(home, WORKER):
        assert pypm(verb, "worker", "--json") == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer["instances"][0]["name"] == "worker"
    assert answer["rows"] == [WORKER]
    assert (answer["warnings"], answer["timed_out"]) == ([], False)


@pytest.mark.parametrize("status", ["backoff", "errored", "held"])
def test_a_failure_is_told_with_its_reason_and_last_words(home: Path, capfd: Capture, status: str) -> None:
    log = home / "worker-error.log"
    log.write_text("".join(f"line {number}\n" for number in range(50)) + "[bold]no \x1b[31msuch\tkey\n")
    row = make_row(0, "worker", status=status, reason="exit code 3", error_file=str(log))
    with scripted(home, row):
        assert pypm("start", "worker") == 1
    told = capfd.readouterr().err
    assert f"worker is {status}: exit code 3" in told
    assert "| [bold]no such   key\n" in told
    assert "line 49" in told
    assert "line 10\n" not in told
    assert "\x1b" not in told


def test_with_json_the_failure_is_on_stderr_and_the_row_on_stdout(home: Path, capfd: Capture) -> None:
    row = make_row(0, "worker", status="errored", reason="exit code 3")
    with scripted(home, row):
        assert pypm("start", "worker", "--json") == 1
    output = capfd.readouterr()
    assert json.loads(output.out)["rows"][0]["reason"] == "exit code 3"
    assert "worker is errored: exit code 3" in output.err


def test_a_failure_without_words_says_so(home: Path, capfd: Capture) -> None:
    with scripted(home, make_row(0, "worker", status="errored", reason="exit code 3")):
        assert pypm("start", "worker") == 1
    assert "wrote nothing to stderr" in capfd.readouterr().err


def test_where_stderr_is_empty_stdout_has_the_last_words(home: Path, capfd: Capture) -> None:
    (home / "out.log").write_text("401 Unauthorized: the token has expired\n")
    row = make_row(0, "worker", status="held", reason="exit code 1", out_file=str(home / "out.log"))
    with scripted(home, row):
        assert pypm("start", "worker") == 1
    assert f"the last lines of {home}/out.log:\n  | 401 Unauthorized" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("last_exit", "status", "told"),
    [
        (make_exit(code=0), 0, "worker has ended with exit code 0, and is started again in 100ms"),
        (make_exit(code=3), 1, "worker is backoff"),
        ({**make_exit(code=0), "cause": "not-ready"}, 1, "worker is backoff"),
    ],
)
def test_exit_code_0_is_no_failure_where_it_is_started_again(
    home: Path, capfd: Capture, last_exit: dict[str, object], status: int, told: str
) -> None:
    row = make_row(0, "worker", status="backoff", retry_in_seconds=0.1, last_exit=last_exit)
    with scripted(home, row):
        assert pypm("start", "worker") == status
    assert told in capfd.readouterr().err


def test_a_stderr_that_is_not_kept_is_not_looked_for(home: Path, capfd: Capture) -> None:
    with scripted(home, make_row(0, "worker", status="errored", error_file=None)):
        assert pypm("start", "worker") == 1
    assert "stderr" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("last_exit", "stop_exit_codes", "status"),
    [
        (make_exit(code=0), [], 0),
        (make_exit(code=3), [], 1),
        (make_exit(code=3), [3, 4], 0),
        (make_exit(signal="SIGSEGV"), [3], 1),
        (make_exit(reason="not seen"), [], 0),
    ],
)
def test_what_has_ended_as_it_should_is_no_failure(
    home: Path, last_exit: dict[str, object], stop_exit_codes: list[int], status: int
) -> None:
    row = make_row(0, "worker", status="exited", last_exit=last_exit)
    spec = {**SPEC, "restart": {"stop_exit_codes": stop_exit_codes}}
    with scripted(home, row, describe=[{**row, "spec": spec}]):
        assert pypm("start", "worker") == status


def test_the_time_is_the_masters_business_and_told(home: Path, capfd: Capture) -> None:
    row = make_row(0, "worker", status="starting", ready=False)
    with scripted(home, row, wait=make_settled(row, timed_out=True)) as master:
        assert pypm("start", "worker", "--timeout", "20") == 1
    (asked,) = master.asked("wait")
    assert 0 < asked["timeout"] <= 20
    assert "worker is still starting after 20s" in capfd.readouterr().err


def test_nothing_is_waited_for_when_told_so(home: Path, capfd: Capture) -> None:
    with scripted(home, WORKER) as master:
        assert pypm("start", "worker", "--no-wait") == 0
    assert master.asked("wait") == []
    assert capfd.readouterr().out == "started worker\n"


def test_what_was_taken_away_is_not_waited_for(home: Path) -> None:
    change = make_change(make_row(4, "worker:1"), action="deleted")
    with scripted(home, WORKER, scale=change) as master:
        assert pypm("scale", "worker", "1") == 0
    assert master.asked("wait") == []


def test_on_a_terminal_progress_is_shown_and_taken_away(
    home: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting.sys.stderr, "isatty", lambda: True)
    rows = [make_row(0, "w:0"), make_row(1, "w:1", status="starting")]
    answers = iter(
        [
            {"done": False, "timed_out": False, "revision": 7, "rows": rows},
            {**make_settled(WORKER), "revision": 9},
        ]
    )
    with scripted(home, *rows, wait=lambda params: next(answers)) as master:
        assert pypm("start", "worker") == 0
    assert [asked["revision"] for asked in master.asked("wait")] == [0, 7]
    told = capfd.readouterr().err
    assert "ready: 1 of 2, waiting for w:1" in told
    assert told.endswith("\r\033[K")


def test_words_that_are_wrong_start_no_master(home: Path, capfd: Capture) -> None:
    assert pypm("start", "nosuch.toml") == 1
    assert pypm("start", "nosuchprogram") == 3
    assert list(home.iterdir()) == []
    assert "nosuch.toml" in capfd.readouterr().err


def test_an_option_of_the_program_is_sent_behind_the_dashes(home: Path, capfd: Capture) -> None:
    assert pypm("start", "agent.py", "--port", "80") == 2
    assert "behind --" in capfd.readouterr().err


def test_options_become_keys_of_the_app(home: Path) -> None:
    options = shlex.split(
        "--name a -i 2 --cwd / --namespace n --interpreter none --max-memory-restart 300M --max-restarts 3"
        " --restart-delay 5s --stop-exit-codes 0,3 --no-autorestart --no-autostart --kill-timeout 2000"
        " --listen-timeout 4s --wait-ready -o /tmp/o -e /tmp/e -l /tmp/l --merge-logs --no-treekill"
        " --filter-env AWS"
    )
    with scripted(home, WORKER, apply=make_change(WORKER, action="added")) as master:
        assert pypm("start", *options, "--", "sleep", "--", "1") == 0
    (app,) = master.asked("apply")[0]["apps"]
    assert app["command"][1:] == ["--", "1"]
    del app["command"], app["script"]
    assert app == {
        "name": "a",
        "cwd": "/",
        "namespace": "n",
        "instances": 2,
        "max_memory": 300 * 1024 * 1024,
        "restart": {"autorestart": "never", "max_restarts": 3, "delay": 5.0, "stop_exit_codes": [0, 3]},
        "autostart": False,
        "kill_timeout": 2.0,
        "wait_ready": True,
        "listen_timeout": 4.0,
        "logs": {"out_file": "/tmp/o", "error_file": "/tmp/e", "combined_file": "/tmp/l", "merge": True},
        "treekill": False,
        "filter_env": ["AWS"],
    }


def test_without_a_master_the_names_that_the_last_one_saved_are_known(home: Path) -> None:
    (home / "state").mkdir()
    state = {"version": 1, "apps": [{"spec": SPEC}], "instances": [{"id": 3, "app": "worker", "index": 0}]}
    (home / "state" / "state.json").write_text(json.dumps(state))
    rows = saved_or_running(str(home))
    assert rows == [{"id": 3, "name": "worker", "app": "worker", "namespace": "default"}]
    assert resolve(StartWords(("worker",)), rows, str(home)).targets == ("worker",)


def test_a_master_that_runs_is_asked_for_the_names(home: Path) -> None:
    with scripted(home, WORKER):
        assert saved_or_running(str(home)) == [WORKER]
