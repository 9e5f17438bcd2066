"""Nothing of a run survives its end, whatever it has started and however it ends."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_pypm import RealPypm, command_line, lives, python, shell, with_command

from pypm.testing import wait_until

MARKER = f"4711.{os.getpid()}"
"""What the stray programs of these tests sleep: they are known by it, also without their environment."""

ESCAPES = {
    "child": "sleep {0} &",
    "session": "setsid sleep {0} &",
    "nohup": "nohup sleep {0} > /dev/null 2>&1 &",
    "double fork": "(setsid sh -c 'setsid sleep {0} &' &)",
    "other group": "bash -c 'set -m; sleep {0} & wait' &",
    "other environment": "env -i setsid sleep {0} &",
    "deaf": "setsid sh -c 'trap \"\" TERM; sleep {0}; true' &",
}


def sleeping() -> list[int]:
    """The stray programs that run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and MARKER.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def begun() -> bool:
    """Whether a stray program is what it is to be, and no ``setsid`` or ``nohup`` on its way to that."""
    return any(command_line(pid).split(b"\0")[0].endswith(b"sleep") for pid in sleeping())


@pytest.fixture(autouse=True, params=["yes", "no"], ids=["cgroup", "no cgroup"])
def no_stray_is_left(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test with groups (where the machine has them) and without."""
    monkeypatch.setenv("PYPM_CGROUP", request.param)
    yield
    left = sleeping()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def ended(log: str, name: str) -> list[str]:
    """What the master's log says was left by the runs of an app and was ended."""
    return re.findall(rf"{name}: \d+ process(?:es)? left by its run were ended: (.*)", log)


def start_with(pypm: RealPypm, escape: str, **keys: object) -> None:
    """An app ``a`` that has started a stray program and goes on."""
    script = f"{escape.format(MARKER)}\necho up; while :; do sleep 0.05; done"
    pypm.start(shell("a", script, kill_timeout="200ms", **keys))
    wait_until(lambda: pypm.log("a") and begun())


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
def test_stop_ends_it(pypm: RealPypm, escape: str) -> None:
    start_with(pypm, escape)
    pypm.ok("stop", "a")
    assert sleeping() == []


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
def test_a_crash_of_the_main_process_ends_it_before_the_next_run(pypm: RealPypm, escape: str) -> None:
    start_with(pypm, escape, autorestart=False)
    os.kill(pypm.pid("a"), signal.SIGKILL)
    pypm.wait_status("a", "errored", "exited", "stopped")
    assert sleeping() == []
    (said,) = ended(pypm.master_log(), "a")
    assert "sleep" in said


def test_what_a_dead_masters_run_has_left_is_ended_by_the_next_one(pypm: RealPypm) -> None:
    start_with(pypm, ESCAPES["double fork"], autorestart=False)
    run = pypm.pid("a")
    master = pypm.master_pid()
    os.kill(master, signal.SIGSTOP)
    os.kill(run, signal.SIGKILL)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: not lives(master))
    pypm.wait_status("a", "errored", "exited", "stopped")
    assert sleeping() == []


def test_an_adopted_run_that_ends_leaves_nothing(pypm: RealPypm) -> None:
    start_with(pypm, ESCAPES["session"], autorestart=False)
    run = pypm.pid("a")
    pypm.kill_master()
    wait_until(lambda: pypm.pid("a") == run)
    os.kill(run, signal.SIGKILL)
    pypm.wait_status("a", "errored", "exited", "stopped")
    assert sleeping() == []


def test_an_adopted_run_that_is_stopped_leaves_nothing(pypm: RealPypm) -> None:
    start_with(pypm, ESCAPES["deaf"])
    run = pypm.pid("a")
    pypm.kill_master()
    wait_until(lambda: pypm.pid("a") == run)
    pypm.ok("stop", "a")
    assert sleeping() == []


def test_without_treekill_only_the_main_process_is_ended(pypm: RealPypm) -> None:
    start_with(pypm, ESCAPES["session"], treekill=False)
    run = pypm.pid("a")
    pypm.ok("stop", "a")
    assert not lives(run)
    wait_until(lambda: not with_command("sleep", "0.05"))
    (left,) = sleeping()
    os.kill(left, signal.SIGKILL)
    wait_until(lambda: not sleeping())
    assert ended(pypm.master_log(), "a") == []


def test_a_polite_end_is_possible_outside_of_the_group(pypm: RealPypm) -> None:
    daemon = "trap 'echo said goodbye; exit' TERM; echo up; while :; do sleep 0.05; done"
    pypm.start(python("a", f"import subprocess; subprocess.run(['setsid', 'bash', '-c', {daemon!r}])"))
    wait_until(lambda: b"up" in pypm.log("a"))
    pypm.ok("stop", "a")
    assert pypm.log("a") == b"up\nsaid goodbye\n"


SLOW_TO_END = """
import os, signal, sys, time
told = []
say = lambda word: os.write(1, word.encode() + b"\\n")  # in one write: two of these share a pipe
signal.signal(signal.SIGTERM, lambda *_: told.append(say(sys.argv[1])))
say("up")
while not told:
    time.sleep(0.1)
time.sleep(0.3)
"""
"""Says how often it is told to end, and takes several of our looks to do so."""


@pytest.mark.parametrize("ending", ["crash", "stop"])
def test_each_process_left_gets_the_polite_signal_once(pypm: RealPypm, ending: str) -> None:
    program = f"{sys.executable} -u {pypm.write('slow.py', SLOW_TO_END)}"
    keys = {"autorestart": False, "kill_timeout": "30s"}
    pypm.start(shell("a", f"{program} inside & setsid {program} outside & wait", **keys))
    wait_until(lambda: pypm.log("a").count(b"up") == 2)
    if ending == "crash":
        os.kill(pypm.pid("a"), signal.SIGKILL)
        pypm.wait_status("a", "errored", "exited", "stopped")
    else:
        pypm.ok("stop", "a")
    assert sorted(pypm.log("a").split()) == [b"inside", b"outside", b"up", b"up"]


HYDRA = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    print("up", flush=True)
    time.sleep(1000)
while True:
    os.setsid()
    time.sleep(0.003)
    if os.fork():
        os._exit(0)
"""


def test_what_forks_faster_than_we_look_is_ended_in_the_end(pypm: RealPypm) -> None:
    pypm.start(python("a", HYDRA, kill_timeout="50ms"))
    wait_until(lambda: pypm.log("a"))
    pypm.ok("stop", "a")
    (detail,) = pypm.call("describe", targets=["a"])
    events = [entry["event"] for entry in detail["history"]]
    assert events.count("DeadlinePassed") == 1, "it had to be killed again after five seconds"


def test_what_other_runs_have_started_goes_on(pypm: RealPypm) -> None:
    script = f"setsid sleep {MARKER} & echo up; while :; do sleep 0.05; done"
    pypm.start(shell("a", script), shell("b", script))
    wait_until(lambda: len(sleeping()) == 2)
    os.kill(pypm.pid("a"), signal.SIGKILL)
    wait_until(lambda: pypm.row("a")["restarts"] == 1 and len(sleeping()) == 2)
    pypm.ok("stop", "a")
    assert len(sleeping()) == 1
    pypm.ok("stop", "b")


def test_shell_loops_restarted_and_deleted_leave_nothing(pypm: RealPypm) -> None:
    loop = "while true; do sleep 0.1; done"
    scripts = [
        loop,
        f"setsid sleep {MARKER} & {loop}",
        f"nohup sleep {MARKER} > /dev/null 2>&1 & {loop}",
        f"(setsid bash -c 'while true; do sleep {MARKER}; done' &) ; {loop}",
    ]
    pypm.start(*({"name": f"a{n}", "command": ["bash", "-c", scripts[n % 4]]} for n in range(12)))
    wait_until(lambda: len(sleeping()) == 9)
    pypm.ok("restart", "all")
    wait_until(lambda: len(sleeping()) == 9)
    pypm.ok("delete", "all")
    assert sleeping() == []
    assert "Traceback" not in pypm.master_log()
