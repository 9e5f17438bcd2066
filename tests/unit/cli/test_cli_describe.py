"""``pypm describe`` and ``pypm env``: all about an instance, and nothing that is secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from scripted_master import ScriptedMaster, make_exit, make_row

from pypm.cli.description import policy_in_words, sections
from pypm.cli.history import EVENTS, history_lines
from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.cli.process_tree import tree_lines
from pypm.cli.secrets import MASK, masked
from pypm.core import events
from pypm.core.events import Event
from pypm.core.spec import RestartPolicy

Capture = pytest.CaptureFixture[str]

SPEC = {
    "name": "worker",
    "command": ["/usr/bin/python3", "-u", "/srv/agent one.py"],
    "cwd": "/srv",
    "env": {"API_KEY": "sk-123", "MODE": "fast"},
    "kill_timeout": 20.0,
    "wait_ready": True,
    "max_memory": 300 * 1024 * 1024,
    "source": "/srv/ecosystem.toml",
}


def make_detail(**fields: object) -> dict[str, object]:
    row = make_row(3, "worker", pid=None, status="backoff", reason="exit code 1", retry_in_seconds=2.5)
    detail = {
        "spec": SPEC,
        "origin_umask": 0o022,
        "created_at": 1_700_000_000.0,
        "started_at": None,
        "run_id": None,
        "runs": [
            make_exit(code=1, reason="exit code 1"),
            make_exit(signal="SIGKILL", reason="signal SIGKILL"),
        ],
        "history": [
            {
                "at": 1_700_000_000.0,
                "event": "Exited",
                "from": "online",
                "to": "backoff",
                "reason": "exit code 1",
            }
        ],
    }
    return row | detail | fields


def test_a_person_is_told_all() -> None:
    text = sections(make_detail())
    for words in (
        "worker (id 3)",
        "backoff: exit code 1",
        "2.5s",
        "/usr/bin/python3 -u '/srv/agent one.py'",
        "/srv/ecosystem.toml",
        "SIGTERM to the whole process group, SIGKILL after 20s",
        "restarted above 300M",
        "it says so within 30s",
        "/nowhere/worker-error.log",
        "ended after 500ms [signal]: signal SIGKILL",
        "online → backoff: its process ended (exit code 1)",
    ):
        assert words in text


def test_what_is_watched_is_told() -> None:
    watch = {"paths": ["/srv", "/etc/agent.toml"], "ignore": ["*.log"]}
    text = sections(make_detail(spec={**SPEC, "watch": watch}))
    assert "restarted when /srv or /etc/agent.toml changes, but not *.log" in text
    assert "changes" not in sections(make_detail())


def test_runs_have_the_ids_by_which_their_logs_are_found() -> None:
    never_began = make_exit(reason="could not start") | {"run_id": ""}
    text = sections(make_detail(run_id="9f3c21ab12cd", runs=[make_exit(code=1, reason="bad"), never_began]))
    assert re.search(r"(?m)^  run +9f3c21ab12cd$", text)
    assert "  0123456789ab  ended after 500ms [exit]: bad" in text
    assert text.count("ended after") == 2


def test_what_there_is_not_is_left_out() -> None:
    text = sections(make_detail(runs=[], history=[], spec={"name": "w", "command": ["/bin/w"], "cwd": "/"}))
    for title in ("last runs", "history", "processes", "environment"):
        assert title not in text


def transition(event: str, before: str, after: str, reason: str = "") -> dict[str, object]:
    return {"at": 1_700_000_000.0, "event": event, "from": before, "to": after, "reason": reason}


def test_the_history_is_told_in_words() -> None:
    lines = history_lines(
        [
            transition("Exited", "online", "backoff", "exit code 3"),
            transition("DeadlinePassed", "backoff", "starting", "restarted: exit code 3"),
            transition("Spawned", "starting", "online", "restarted: exit code 3"),
            transition("ResetRequested", "online", "online", "restarted: exit code 3"),
            transition("DeadlinePassed", "stopping", "stopping"),
            transition("SomethingNewer", "online", "held"),
        ]
    )
    assert [line.split("  ", 1)[1] for line in lines] == [
        "online → backoff: its process ended (exit code 3)",
        "backoff → starting: it has waited long enough (restarted: exit code 3)",
        "starting → online: its process was started",
        "online: its counters were reset",
        "stopping: it did not end in time",
        "online → held: SomethingNewer",
    ]


def test_there_are_words_for_every_event() -> None:
    names = {each.__name__ for each in vars(events).values() if isinstance(each, type) and each is not Event}
    assert {name for name in names if issubclass(getattr(events, name), Event)} == set(EVENTS)


def test_long_lines_go_on_between_words_below_their_text() -> None:
    lines = sections(make_detail(reason="word " * 40), 60).splitlines()
    assert max(map(len, lines)) <= 60
    start = next(number for number, line in enumerate(lines) if line.startswith("  status"))
    column = lines[start].index("backoff")
    assert lines[start + 1] == " " * column + "word " * ((60 - column) // 5 - 1) + "word"
    assert " ".join(" ".join(lines).split()).count("word") == 40
    assert sections(make_detail(reason="word " * 40)).count("\n") < len(lines), "a pipe has no width"


def test_what_has_no_blanks_is_not_broken() -> None:
    path = "/" + "x" * 200
    assert path in sections(make_detail(out_file=path), 60)


def test_words_of_agents_stay_on_their_line() -> None:
    text = sections(make_detail(status_text="step 1\n\x1b[2Jstep 2"))
    assert "step 1 \ufffd[2Jstep 2" in text


def test_a_job_is_told_with_its_next_and_last_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pypm.cli.description.time.time", lambda: 1_700_000_000.0)
    schedule = {"cron": "0 4 * * *", "timezone": "Europe/Berlin", "timeout": 600.0, "catch_up": True}
    detail = make_detail(spec={**SPEC, "schedule": schedule}, next_run=1_700_003_600.0, status="exited")
    text = sections(detail)
    assert re.search(r"next run +2023-11-1\d \d\d:13:20 \(in 1h\)\n", text)
    assert re.search(r"last run +2023-11-1\d \d\d:13:20\n", text)
    words = "runs at 0 4 * * *, Europe/Berlin, overlap: skip, 10m at most, what was missed is made up for"
    assert words in text
    assert "restarted always" not in text, "the policy of what is kept running is not its"
    assert "restarted at 0 3 * * *" in sections(make_detail(spec={**SPEC, "cron_restart": "0 3 * * *"}))


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (RestartPolicy(autorestart="never"), ["never restarted"]),
        (RestartPolicy(), ["restarted always", "first at once", "up to 15s", "16 restarts within 15m"]),
        (RestartPolicy(autorestart="on-failure"), ["restarted after a failure"]),
        (RestartPolicy(stop_exit_codes=(0, 3)), ["not after exit code 0 or 3"]),
        (RestartPolicy(delay=5.0), ["5s after the end"]),
        (RestartPolicy(delay=0.0, max_restarts=None), ["at once", "without a limit"]),
        (RestartPolicy(backoff=0.2), ["first after 200ms"]),
    ],
)
def test_the_policy_is_told_in_words(policy: RestartPolicy, words: list[str]) -> None:
    told = policy_in_words(policy)
    for each in words:
        assert each in told


def test_the_processes_of_a_run_are_a_tree() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as parent:
        while not (children := psutil.Process(parent.pid).children()):
            assert parent.poll() is None
        lines = tree_lines(parent.pid)
        assert parent.stdin is not None
        parent.stdin.write(b"\n")
    assert [line.split()[0] for line in lines] == [str(parent.pid), str(children[0].pid)]
    assert lines[1].startswith("  ")


def test_a_run_that_has_ended_has_no_processes() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert tree_lines(ended.pid) == []
    assert tree_lines(None) == []


@pytest.mark.parametrize(
    "name",
    ["OPENAI_API_KEY", "github_token", "CLIENT_SECRET", "DB_PASSWORD", "PGPASSWD", "MYSQL_PWD", "SMTP_PASS",
     "AWS_CREDENTIALS", "HTTP_AUTHORIZATION", "SESSION_COOKIE", "PRIVATE_PEM", "GITHUB_PAT", "SENTRY_DSN"],
)  # fmt: skip
def test_a_secret_is_told_by_its_name(name: str) -> None:
    assert masked({name: "s3cret"}) == {name: MASK}


@pytest.mark.parametrize("name", ["PATH", "HOME", "PWD", "OLDPWD", "LANG", "GIT_AUTHOR_NAME", "PYTHONPATH"])
def test_what_is_no_secret_is_shown(name: str) -> None:
    assert masked({name: "shown"}) == {name: "shown"}


def test_an_empty_secret_is_seen_to_be_empty() -> None:
    assert masked({"API_KEY": ""}) == {"API_KEY": ""}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://ada:s3cret@db/x", f"postgres://ada:{MASK}@db/x"),
        ("redis://:s3cret@db", f"redis://:{MASK}@db"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("https://ada@host/", "https://ada@host/"),
    ],
)
def test_a_password_within_an_address_is_one(url: str, shown: str) -> None:
    assert masked({"SERVICE_URL": url}) == {"SERVICE_URL": shown}


@pytest.mark.parametrize("words", [["describe", "worker"], ["env", "worker"]])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_secrets_are_shown_only_when_told_so(
    home: Path, capfd: Capture, words: list[str], form: list[str]
) -> None:
    env = [{"id": 3, "name": "worker", "env": SPEC["env"]}]
    with ScriptedMaster(home, describe=[make_detail()], env=env):
        assert guarded(run, [*words, *form]) == 0
        hidden = capfd.readouterr().out
        assert guarded(run, [*words, *form, "--show-secrets"]) == 0
        shown = capfd.readouterr().out
    assert "sk-123" not in hidden
    assert MASK in hidden
    assert "fast" in hidden
    assert "sk-123" in shown
    if form:
        assert isinstance(json.loads(hidden), list)


def test_the_environments_of_several_are_told_apart(home: Path, capfd: Capture) -> None:
    env = [{"id": 0, "name": "a", "env": {"X": "1\n2"}}, {"id": 1, "name": "b", "env": {"X": "3"}}]
    with ScriptedMaster(home, env=env):
        assert guarded(run, ["env", "a", "b"]) == 0
    assert capfd.readouterr().out == "# a\nX=1\\n2\n# b\nX=3\n"


def test_this_process_has_a_line() -> None:
    assert tree_lines(os.getpid())[0].startswith(str(os.getpid()))
