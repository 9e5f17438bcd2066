"""``pypm start``: what it begins, what it says, and what it refuses before anything runs."""

from __future__ import annotations

import json
import os
import sys

import pytest
from real_pypm import RealPypm, command_line, lives, shell, sleeper

from pypm.testing import wait_until


def test_two_lines_of_toml_are_enough(pypm: RealPypm) -> None:
    pypm.write("ecosystem.toml", '[[apps]]\ncommand = "sleep 1000"\n')
    shown = pypm.ok("start", "ecosystem.toml")
    assert "sleep" in shown
    assert "online" in shown
    row = pypm.row("sleep")
    assert (row["status"], row["desired"], row["restarts"], row["ready"]) == ("online", "up", 0, True)
    assert row["uptime_seconds"] >= 1.0, "start waits until it has been up for min_uptime"


def test_without_words_it_starts_the_file_of_the_folder(pypm: RealPypm) -> None:
    pypm.ecosystem(sleeper("a"))
    pypm.ok("start")
    assert [row["name"] for row in pypm.rows()] == ["a"]


def test_without_words_and_file_it_is_wrong_usage(pypm: RealPypm) -> None:
    assert "nothing to start" in pypm.fails(2, "start")
    assert pypm.lock_holder() is None, "a mistake leaves no master behind"


def test_a_file_is_started_twice_and_nothing_changes(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b", instances=2))
    before = {row["name"]: row["pid"] for row in pypm.rows()}
    answer = pypm.json("start", "ecosystem.toml")
    assert {entry["action"] for entry in answer["instances"]} == {"unchanged"}
    assert {row["name"]: row["pid"] for row in pypm.rows()} == before


def test_a_changed_file_restarts_only_what_has_changed(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b"), sleeper("c"))
    before = {row["name"]: row["pid"] for row in pypm.rows()}
    file = pypm.ecosystem(sleeper("a"), sleeper("b", env={"X": "1"}), sleeper("c", kill_timeout="1s"))
    actions = {entry["name"]: entry["action"] for entry in pypm.json("start", file)["instances"]}
    assert actions == {"a": "unchanged", "b": "restarted", "c": "unchanged"}
    after = {row["name"]: row["pid"] for row in pypm.rows()}
    assert {name for name in after if after[name] != before[name]} == {"b"}
    assert pypm.json("describe", "c")[0]["spec"]["kill_timeout"] == 1.0
    assert "env" in pypm.row("b")["reason"]


def test_only_starts_a_part_of_a_file(pypm: RealPypm) -> None:
    file = pypm.ecosystem(*(sleeper(name) for name in "abcd"))
    pypm.ok("start", file, "--only", "a,c")
    assert [row["name"] for row in pypm.rows()] == ["a", "c"]
    stderr = pypm.fails(1, "start", file, "--only", "bb")
    assert "bb" in stderr


def test_autostart_false_declares_and_does_not_start(pypm: RealPypm) -> None:
    pypm.start(sleeper("lazy", autostart=False))
    row = pypm.row("lazy")
    assert (row["status"], row["desired"], row["pid"]) == ("stopped", "down", None)
    pypm.ok("start", "lazy", "--no-wait")
    assert pypm.wait_status("lazy", "online")["pid"]


def test_a_python_script_with_arguments_and_options(pypm: RealPypm) -> None:
    pypm.write("agent.py", "import sys, time\nprint(sys.argv[1:], flush=True)\ntime.sleep(1000)\n")
    pypm.ok("start", "agent.py", "--name", "a", "-i", "2", "--no-wait", "--", "--port", "8000")
    assert [row["name"] for row in pypm.rows()] == ["a:0", "a:1"]
    wait_until(lambda: pypm.log("a:0").endswith(b"\n") and pypm.log("a:1"))
    assert pypm.log("a:0") == b"['--port', '8000']\n"


def test_python_output_is_unbuffered(pypm: RealPypm) -> None:
    pypm.write("agent.py", "import time\nprint('here')\ntime.sleep(1000)\n")
    pypm.ok("start", "agent.py", "--no-wait")
    wait_until(lambda: pypm.log("agent") == b"here\n", 20.0)


def test_a_script_runs_in_the_virtual_environment_beside_it(pypm: RealPypm) -> None:
    folder = pypm.folder / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "python3"):
        (folder / name).symlink_to(sys.executable)
    pypm.write("agent.py", "import time\ntime.sleep(1000)\n")
    pypm.ok("start", "agent.py", "--no-wait")
    assert pypm.json("describe", "agent")[0]["spec"]["command"][0] == str(folder / "python3")
    assert command_line(pypm.pid("agent")).startswith(bytes(folder / "python3") + b"\0")


def test_a_module_runs_with_python_m(pypm: RealPypm) -> None:
    pypm.write("mod.py", "import sys, time\nprint(__name__, sys.argv[1:], flush=True)\ntime.sleep(1000)\n")
    pypm.begin({"name": "m", "module": "mod", "args": ["x"]})
    wait_until(lambda: pypm.log("m").endswith(b"\n"))
    assert pypm.log("m") == b"__main__ ['x']\n"


def test_a_command_after_two_dashes_is_taken_as_it_is(pypm: RealPypm) -> None:
    pypm.ok(
        "start", "--name", "s", "--no-wait", "--", "/bin/sh", "-c", 'echo "$0|$1"; sleep 1000', "a b", "*"
    )
    wait_until(lambda: pypm.log("s"))
    assert pypm.log("s") == b"a b|*\n"


def test_a_string_is_split_as_a_shell_would_and_no_shell_runs(pypm: RealPypm) -> None:
    pypm.begin({"name": "e", "command": "echo 'a  b' '$HOME' '*.x' \"c\\\"d\"", "autorestart": False})
    pypm.wait_status("e", "exited")
    assert pypm.log("e") == b'a  b $HOME *.x c"d\n'


def test_with_shell_true_a_shell_runs_it(pypm: RealPypm) -> None:
    pypm.begin({"name": "e", "command": "echo one; echo $((1 + 1))", "shell": True, "autorestart": False})
    pypm.wait_status("e", "exited")
    assert pypm.log("e") == b"one\n2\n"


@pytest.mark.parametrize("target", ["w", "w:1", "1", "all", "team", "w*", "/^w/"])
def test_known_apps_are_started_by_any_target(pypm: RealPypm, target: str) -> None:
    pypm.start(sleeper("w", instances=2, namespace="team"))
    pypm.ok("stop", "all")
    pypm.ok("start", target)
    assert pypm.row("w:1")["status"] == "online"
    assert pypm.row("w:0")["status"] == ("stopped" if target in ("w:1", "1") else "online")


REFUSED = {
    "missing script": ('script = "gone.py"', "gone.py"),
    "missing program": ('command = "no-such-program-here"', "no-such-program-here"),
    "not executable": ('script = "./plain"\ninterpreter = "none"', "not executable"),
    "missing cwd": ('command = "sleep 1"\ncwd = "nowhere"', "nowhere"),
    "missing interpreter": ('script = "ok.py"\ninterpreter = "pythoon"', "pythoon"),
    "bad quote": ('command = "sleep \'x"', "quot"),
    "a shell's sign": ('command = "echo $HOME"', "shell = true"),
    "unknown key": ('command = "sleep 1"\nkill_timout = 3', "kill_timeout"),
    "wrong type": ('command = "sleep 1"\nmax_restarts = "many"', "max_restarts"),
    "a later version's key": ('command = "sleep 1"\nport = 80', "not supported yet"),
    "a name with a slash": ('name = "a/b"\ncommand = "sleep 1"', "a/b"),
    "no TOML": ("command = ", "ecosystem.toml"),
}


@pytest.mark.parametrize(("declared", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_start_is_refused_before_there_is_a_master(
    pypm: RealPypm, declared: str, expected: str
) -> None:
    pypm.write("plain", "hello")
    pypm.write("ok.py", "")
    pypm.write("ecosystem.toml", f"[[apps]]\n{declared}\n")
    stderr = pypm.fails(1, "start", "ecosystem.toml")
    assert expected in stderr
    assert pypm.lock_holder() is None


def test_all_faults_of_a_file_are_told_at_once_with_their_places(pypm: RealPypm) -> None:
    text = '[[apps]]\ncommand = "sleep 1"\nkilltimeout = 3\n[[apps]]\nname = "b"\nscript = "gone.py"\n'
    pypm.write("ecosystem.toml", text)
    stderr = pypm.fails(1, "start", "ecosystem.toml")
    assert "killtimeout" in stderr
    assert "gone.py" in stderr
    assert str(pypm.folder / "ecosystem.toml") in stderr or "ecosystem.toml" in stderr


def test_two_apps_of_one_name_are_refused(pypm: RealPypm) -> None:
    file = pypm.ecosystem(sleeper("a"), sleeper("a"))
    assert '"a"' in pypm.fails(1, "start", file)


@pytest.mark.parametrize(
    "words", [["gone.py"], ["./gone"], ["no-such-thing"], ["--name", "x", "--", "gone-1"]]
)
def test_words_that_name_nothing_leave_no_master(pypm: RealPypm, words: list[str]) -> None:
    done = pypm.run("start", *words)
    assert done.returncode in (1, 3)
    assert words[-1].removeprefix("./") in done.stderr
    assert pypm.lock_holder() is None


def test_a_near_miss_of_a_file_name_is_answered_with_the_file(pypm: RealPypm) -> None:
    pypm.write("worker.py", "")
    assert "worker.py" in pypm.fails(1, "start", "wroker.py").split("hint", 1)[1]


def test_a_failing_agent_makes_start_fail_with_reason_and_last_words(pypm: RealPypm) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i >&2; done; exit 3"
    file = pypm.ecosystem(sleeper("good"), shell("bad", script, max_restarts=0, min_uptime="5s"))
    done = pypm.run("start", file)
    assert done.returncode == 1
    assert "bad is errored: exit code 3" in done.stderr
    lines = [line.strip() for line in done.stderr.splitlines() if "| line" in line]
    assert lines == [f"| line {number}" for number in range(3, 13)]
    assert "good" in done.stdout
    assert pypm.row("good")["status"] == "online"


def test_a_failing_agent_in_json_is_only_json(pypm: RealPypm) -> None:
    file = pypm.ecosystem(shell("bad", "exit 3", max_restarts=0, min_uptime="5s"))
    done = pypm.run("start", file, "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["rows"][0]["reason"].startswith("exit code 3")
    assert "exit code 3" in done.stderr


def test_an_agent_that_fails_for_now_is_a_failure_too(pypm: RealPypm) -> None:
    """It would come back after its backoff, but whoever has just started it wants to know."""
    keys = {"exp_backoff_restart_delay": "60s", "max_backoff": "60s", "min_uptime": "5s"}
    file = pypm.ecosystem(shell("bad", "exit 3", **keys))
    done = pypm.run("start", file)
    assert done.returncode == 1
    assert "bad is backoff: exit code 3 (again in " in done.stderr


def test_no_wait_does_not_wait(pypm: RealPypm) -> None:
    pypm.write("ecosystem.toml", '[[apps]]\nname = "w"\ncommand = "sleep 1000"\nwait_ready = true\n')
    answer = pypm.json("start", "ecosystem.toml", "--no-wait")
    assert [(each["name"], each["action"]) for each in answer["instances"]] == [("w", "added")]
    assert pypm.row("w")["status"] == "starting"


def test_a_timeout_ends_the_waiting_and_not_the_agent(pypm: RealPypm) -> None:
    pypm.write("ecosystem.toml", '[[apps]]\nname = "w"\ncommand = "sleep 1000"\nwait_ready = true\n')
    done = pypm.run("start", "ecosystem.toml", "--timeout", "0.2")
    assert done.returncode == 1
    assert "w is still starting after 200ms" in done.stderr
    assert lives(pypm.pid("w"))


def test_an_app_that_ends_well_is_no_failure(pypm: RealPypm) -> None:
    pypm.start(shell("once", "echo done", autorestart="on-failure"))
    row = pypm.wait_status("once", "exited")
    assert row["last_exit"]["code"] == 0
    assert row["desired"] == "up"


def test_the_other_formats_of_ecosystem_files(pypm: RealPypm) -> None:
    pypm.write("a.json", '{"apps": [{"name": "j", "script": "sleep", "args": "1000", "maxRestarts": 3}]}')
    pypm.write("b.yaml", "apps:\n  - name: y\n    cmd: sleep 1000\n    exec_mode: fork\n")
    pypm.ok("start", "a.json", "b.yaml", "--no-wait")
    assert [row["name"] for row in pypm.rows()] == ["j", "y"]
    assert pypm.json("describe", "j")[0]["spec"]["restart"]["max_restarts"] == 3


def test_agents_begin_in_the_folder_of_their_file(pypm: RealPypm) -> None:
    other = pypm.folder / "other"
    other.mkdir()
    (other / "ecosystem.toml").write_text('[[apps]]\nname = "p"\ncommand = "pwd"\nautorestart = false\n')
    pypm.ok("start", "other/ecosystem.toml", "--no-wait")
    pypm.wait_status("p", "exited")
    assert pypm.log("p").decode().strip() == os.fspath(other)


def test_a_program_does_not_take_the_place_of_an_app_of_a_file(pypm: RealPypm) -> None:
    script = pypm.write("other.py", "import time\ntime.sleep(7261)\n")
    path = pypm.ecosystem(sleeper("web"))
    pypm.ok("start", path)
    before = pypm.pid("web")
    for words in (("start", str(script), "--name", "web"), ("start", "--name", "web", "--", "sleep", "7262")):
        assert f"web is an app of {path}" in pypm.fails(1, *words)
        assert "another --name" in pypm.fails(1, *words, "--json")
    assert pypm.pid("web") == before
    # What was started by hand is declared anew by hand.
    pypm.ok("start", str(script), "--name", "mine")
    pypm.ok("start", str(script), "--name", "mine", "--max-memory-restart", "1G")
