"""`pypm set` under a running master, and `--attach` of start, restart and reload."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from real_pypm import RealPypm, python, shell

from pypm.testing import wait_until

SAYS = 'echo "began $PPID"; exec sleep 6651'


def rotated(path: Path) -> int:
    return len(list(path.parent.glob(path.name + ".[0-9]*")))


def test_a_setting_is_taken_up_by_the_master_that_runs(pypm: RealPypm) -> None:
    script = "for number in range(5000): print(number)\n"
    logs = {"max_size": "4K", "retain": 100}
    pypm.begin(python("old", script, autorestart=False, logs=logs))
    pypm.wait_status("old", "exited")
    path = pypm.home / "logs" / "old-out.log"
    wait_until(lambda: rotated(path) >= 4, 20.0)
    told = pypm.ok("set", "logs.total_size", "10K")
    assert told.startswith("logs.total_size = 10K\n")
    assert "the master has taken it up" in told
    wait_until(lambda: rotated(path) <= 2, 20.0)
    assert pypm.ok("get", "logs.total_size") == "10K\n"
    assert pypm.call("reload_settings") == {"logs.total_size": 10 * 1024}
    assert pypm.json("multiset", "logs.total_size 0") == {"logs.total_size": 0}
    assert pypm.json("unset", "logs.total_size") == {"logs.total_size": "10G"}
    assert "the default" in pypm.ok("conf")


def test_a_wrong_setting_changes_nothing(pypm: RealPypm) -> None:
    assert "it holds from the next master on" in pypm.ok("conf", "logs.total_size", "1G")
    before = (pypm.home / "config.toml").read_text()
    assert 'did you mean "logs.total_size"' in pypm.fails(2, "set", "logs.total_sise", "1G")
    assert "'many' is not a size" in pypm.fails(1, "set", "logs.total_size", "many")
    assert "no modules" in pypm.fails(2, "set", "pm2-logrotate:max_size", "10M")
    assert "expected KEY VALUE" in pypm.fails(2, "multiset", "logs.total_size")
    assert (pypm.home / "config.toml").read_text() == before


@pytest.mark.parametrize("verb", ["start", "restart", "reload"])
def test_attach_follows_the_log_then_and_ctrl_c_ends_only_that(pypm: RealPypm, verb: str) -> None:
    file = pypm.ecosystem(shell("a", SAYS))
    words = [verb, "a", "--attach"]
    lives = 1
    if verb == "start":
        words = [verb, file, "--attach"]
    else:
        pypm.ok("start", file)
        lives = 2
    process = pypm.popen(*words, env=None)
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, b"")
        for _ in range(lives):
            assert next(line for line in lines if b"began" in line).startswith(b"a | began")
        pypm.ok("signal", "KILL", "a")
        assert next(line for line in lines if b"began" in line).startswith(b"a | began")
    finally:
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 0, error
    pypm.wait_status("a", "online")
    assert "--attach goes" in pypm.fails(2, *words, "--json")
