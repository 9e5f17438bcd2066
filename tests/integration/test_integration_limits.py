"""Limits, users and groups of real programs, which print what they have."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
from pathlib import Path

import pytest
from real_pypm import RealPypm, lives, python, shell, sleeper, with_command

from pypm.system.environment_of import environment_of
from pypm.testing import wait_until

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

LIMITS = {
    "memory": "1G",
    "open_files": 222,
    "file_size": "1M",
    "core": 0,
    "nice": 5,
    "ionice": "idle",
    "cpu_affinity": [0],
    "oom_score_adj": 700,
}
REPORT = """
import os, resource, time
def limit(which):
    return resource.getrlimit(which)
with open("/proc/self/oom_score_adj") as file:
    score = int(file.read())
print(limit(resource.RLIMIT_NOFILE), limit(resource.RLIMIT_FSIZE), limit(resource.RLIMIT_CORE),
      os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0)), score, flush=True)
time.sleep(1000)
"""


def said(pypm: RealPypm, name: str, stream: str = "out") -> list[str]:
    wait_until(lambda: pypm.log(name, stream).endswith(b"\n"), what="it says something")
    return pypm.log(name, stream).decode().splitlines()


def test_a_program_has_its_limits_and_the_master_does_not(pypm: RealPypm) -> None:
    pypm.start(python("a", REPORT, limits=LIMITS), sleeper("free"))
    size = 1024**2
    assert said(pypm, "a") == [f"(222, 222) ({size}, {size}) (0, 0) 5 [0] 700"]
    master = pypm.master_pid()
    for pid in (master, pypm.pid("free")):
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0)
        assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)
    with open(f"/proc/{pypm.pid('free')}/oom_score_adj") as file, open("/proc/self/oom_score_adj") as own:
        assert file.read() == own.read(), "what protects the master is not inherited"
    shown = pypm.ok("describe", "a")
    assert "open files 222; file size 1M" in shown
    assert "restarted above 1G" in shown


def test_a_file_that_grows_too_large(pypm: RealPypm) -> None:
    script = f"head -c 5000 /dev/zero > {pypm.folder}/big; wc -c < {pypm.folder}/big; sleep 1000"
    pypm.start(shell("a", script, limits={"file_size": 1024}))
    assert said(pypm, "a") == ["1024"]


def test_limits_outlive_restarts_and_masters(pypm: RealPypm) -> None:
    pypm.start(python("a", REPORT, limits=LIMITS))
    assert len(said(pypm, "a")) == 1
    pypm.kill_master()
    pypm.ok("restart", "a")
    wait_until(lambda: len(said(pypm, "a")) == 2, what="both runs have told")
    assert len(set(said(pypm, "a"))) == 1


def test_a_limit_that_cannot_be_set_is_refused_at_the_start_and_changes_nothing(pypm: RealPypm) -> None:
    pypm.start(sleeper("b"))
    pid = pypm.pid("b")
    path = pypm.ecosystem(sleeper("a", limits={"open_files": 2**30}), sleeper("b", env={"NEW": "1"}))
    done = pypm.run("start", path)
    assert done.returncode == 1
    assert "a: limits.open_files = 1073741824: more than the machine allows" in done.stderr
    assert [row["name"] for row in pypm.json("list")] == ["b"]
    assert pypm.pid("b") == pid


def test_a_changed_limit_needs_a_new_run(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", limits={"open_files": 300}))
    before = pypm.pid("a")
    pypm.start(sleeper("a", limits={"open_files": 400}))
    wait_until(lambda: not lives(before), what="the run with the old limit has ended")
    with open(f"/proc/{pypm.pid('a')}/limits") as file:
        assert any(line.split()[3:5] == ["400", "400"] for line in file if line.startswith("Max open files"))


def test_umask_and_no_new_privileges(pypm: RealPypm) -> None:
    script = "umask; grep NoNewPrivs /proc/self/status; sleep 1000"
    pypm.start(shell("a", script, umask="0137", no_new_privileges=True))
    wait_until(lambda: said(pypm, "a") == ["0137", "NoNewPrivs:\t1"], what="it has told both")


@only_root
def test_another_user_with_its_groups_and_its_home(pypm: RealPypm) -> None:
    script = "id -un; id -gn; id -Gn; echo $HOME $USER $LOGNAME $SHELL; exec sleep 1000"
    pypm.start(shell("a", script, cwd="/", user="nobody", limits={"core": 0}))
    entry = pwd.getpwnam("nobody")
    wait_until(lambda: len(said(pypm, "a")) == 4, what="it has told all")
    user, group, groups, variables = said(pypm, "a")
    assert (user, group, groups) == ("nobody", "nogroup", "nogroup")
    assert variables == f"{entry.pw_dir} nobody nobody {entry.pw_shell}"
    log = pypm.home / "logs" / "a-out.log"
    assert log.stat().st_uid == os.geteuid()
    assert "user nobody" in pypm.ok("describe", "a")
    pid = pypm.pid("a")
    pypm.ok("stop", "a")
    assert not lives(pid)


@only_root
def test_hooks_and_probes_are_that_user_too(pypm: RealPypm) -> None:
    hook = {"command": ["sh", "-c", "id -un >&2"]}
    probe = {"exec": ["sh", "-c", "test $(id -un) = nobody"], "period": "100ms"}
    app = shell("a", "exec sleep 1000", cwd="/", user="nobody", post_start=hook, health={"readiness": probe})
    pypm.start(app)
    pypm.wait_status("a", "online")
    assert said(pypm, "a", "error") == ["nobody"]


def files_but_in(pypm: RealPypm, *folders: str) -> dict[Path, bytes]:
    """What is in the files of a home, but for those folders; the state becomes another file at times."""
    found = {}
    for path in pypm.home.rglob("*"):
        if path.is_file() and path.parent.name not in folders:
            with contextlib.suppress(FileNotFoundError):
                found[path] = path.read_bytes()
    return found


def test_secrets_are_read_at_each_start_stored_nowhere_and_not_shown(pypm: RealPypm) -> None:
    path = pypm.write("key", "first-value\n", mode=0o600)
    app = shell("a", "echo got $PLAIN_NAME; exec sleep 1000", secrets={"PLAIN_NAME": f"file:{path}"})
    pypm.start(app)
    assert said(pypm, "a") == ["got first-value"]
    path.write_text("second-value\n")
    pypm.ok("restart", "a")
    wait_until(lambda: said(pypm, "a")[1:] == ["got second-value"], what="it has read it anew")
    for words in (["env", "a"], ["env", "a", "--json"], ["describe", "a"], ["describe", "a", "--json"]):
        told = pypm.ok(*words)
        assert "PLAIN_NAME" in told
        assert "-value" not in told
    assert "PLAIN_NAME=second-value" in pypm.ok("env", "a", "--show-secrets")
    stored = files_but_in(pypm, "logs", "work")
    assert stored
    assert not [path for path, content in stored.items() if b"-value" in content]


def test_a_secret_that_is_gone_fails_the_start(pypm: RealPypm) -> None:
    path = pypm.write("key", "x\n", mode=0o600)
    pypm.start(sleeper("a", secrets={"KEY": f"file:{path}"}, max_restarts=0))
    path.unlink()
    done = pypm.run("restart", "a")
    assert done.returncode == 1
    assert f"secrets.KEY: {path}: No such file or directory" in done.stderr


def test_a_secret_that_a_command_prints(pypm: RealPypm) -> None:
    tool = pypm.write(
        "tool", "#!/bin/sh\necho noise >&2\necho run >>runs\necho value-of-$VAULT-$(wc -l <runs)\n"
    )
    tool.chmod(0o700)
    pypm.start(
        shell(
            "a",
            "echo got $PLAIN_NAME; exec sleep 1000",
            env={"VAULT": "safe"},
            secrets={"PLAIN_NAME": f"cmd:{tool} --token very-hidden"},
            logs={"format": "text", "redact": ["ENV:PLAIN_NAME"]},
        )
    )
    wait_until(lambda: len(said(pypm, "a")) == 1, what="it has said it")
    assert said(pypm, "a")[0].endswith("got ***")
    assert environment_of(pypm.pid("a"))["PLAIN_NAME"] == "value-of-safe-1"
    pypm.kill_master()
    pypm.ok("restart", "a")
    assert environment_of(pypm.pid("a"))["PLAIN_NAME"] == "value-of-safe-2"
    for words in (["env", "a"], ["env", "a", "--json"], ["describe", "a"], ["describe", "a", "--json"]):
        told = pypm.ok(*words)
        assert "PLAIN_NAME" in told
        assert "value-of" not in told
        assert "very-hidden" not in told
    assert "PLAIN_NAME=value-of-safe-2" in pypm.ok("env", "a", "--show-secrets")
    pypm.ok("stop", "a")
    assert "# PLAIN_NAME: a command prints it for each start" in pypm.ok("env", "a", "--show-secrets")
    stored = files_but_in(pypm, "work")
    assert stored
    assert not [path for path, content in stored.items() if b"value-of" in content]


def test_a_command_that_fails_fails_the_start_and_one_that_runs_ends_with_a_stop(pypm: RealPypm) -> None:
    app = sleeper("a", secrets={"KEY": "cmd:sh -c 'echo leaked; exit 4'"}, max_restarts=0)
    done = pypm.run("start", pypm.ecosystem(app))
    assert done.returncode == 1
    assert "secrets.KEY: the command sh failed: exit code 4" in done.stderr
    assert "leaked" not in done.stdout + done.stderr + pypm.ok("why", "a")
    pypm.begin(sleeper("b", secrets={"KEY": "cmd:sleep 86417"}))
    wait_until(lambda: with_command("sleep", "86417"), what="the command runs")
    pypm.ok("delete", "b")
    wait_until(lambda: not with_command("sleep", "86417"), what="it has ended")


def test_files_that_others_can_read_are_warned_of(pypm: RealPypm) -> None:
    path = pypm.write("open.env", "NAME=1\n", mode=0o644)
    done = pypm.run("start", pypm.ecosystem(sleeper("a", env_file=str(path))))
    assert done.returncode == 0
    assert f"a: {path} is for others to read too, or to change: chmod 600 {path}" in done.stderr
    (event,) = [json.loads(line) for line in pypm.ok("events", "--json").splitlines() if "exposed" in line]
    assert (event["event"], event["name"], event["path"]) == ("secrets.exposed", "a", str(path))
    path.chmod(0o600)
    assert "chmod" not in pypm.run("start", pypm.ecosystem(sleeper("b", env_file=str(path)))).stderr
