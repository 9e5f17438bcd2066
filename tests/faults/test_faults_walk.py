"""A random walk with real processes: commands, crashes, exits, lost masters and guardians, in any order.

Afterwards what runs is what is wanted, each once, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from typing import Any

import pytest
from real_pypm import RealPypm, lives, shell

from pypm.core.errors import NoMasterError
from pypm.system.marked import find_marked
from pypm.testing import wait_until

STEPS = 500 if os.environ.get("PYPM_SOAK") else 40
APPS = ("a", "b", "c")
MOST = 4
"""Instances that an app may be scaled to."""
SCRIPT = "setsid sleep 1000 & trap 'exit 0' TERM; trap 'exit 3' USR1; while :; do sleep 1000 & wait $!; done"
"""Leaves a child in a session of its own; ends by itself when it is told to by SIGUSR1."""


def app(name: str, count: int) -> dict[str, Any]:
    brakes = {"restart_delay": 10, "max_restarts": "unlimited"}
    return shell(name, SCRIPT, instances=count, **brakes)


class Walk:
    """What was done so far, and what is wanted therefore: how many instances of each app, up or down."""

    def __init__(self, pypm: RealPypm, seed: int) -> None:
        self.pypm = pypm
        self.chance = random.Random(seed)
        self.wanted: dict[str, int] = {}
        self.up: dict[str, bool] = {}

    def step(self) -> str:
        """Do something; give what it was."""
        deeds = [self.declare, self.command, self.command, self.crash, self.crash, self.lose]
        return self.chance.choice(deeds)() if self.wanted else self.declare()

    def declare(self) -> str:
        """Start an ecosystem file with one app: new, with more or fewer instances, or down before."""
        name, count = self.chance.choice(APPS), self.chance.randint(1, MOST)
        self.pypm.begin(app(name, count))
        self.wanted[name], self.up[name] = count, True
        return f"begin {name} {count}"

    def command(self) -> str:
        verb = self.chance.choice(["start", "stop", "restart", "reset", "delete", "scale", "killed"])
        name = self.chance.choice(sorted(self.wanted))
        if verb == "killed":
            return self.restart_under_a_dying_master(name)
        words = [verb, name]
        if verb == "scale":
            self.wanted[name] = self.chance.randint(1, MOST)
            words.append(str(self.wanted[name]))
        self.pypm.ok(*words, *(["--no-wait"] if verb in ("start", "restart") else []))
        if verb in ("start", "stop", "restart"):
            self.up[name] = verb != "stop"
        if verb == "delete":
            del self.wanted[name], self.up[name]
        return " ".join(words)

    def restart_under_a_dying_master(self, name: str) -> str:
        with self.pypm.popen("restart", name, "--no-wait") as command:
            self.pypm.kill_master(at_once=True)
            _, complaint = command.communicate(timeout=60)
        assert command.returncode == 0, complaint
        self.up[name] = True
        return f"restart {name}, master killed"

    def crash(self) -> str:
        """One agent is killed, or ends by itself."""
        number = self.chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1])
        pids = [row["pid"] for row in self.pypm.rows() if row["pid"]]
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(pids), number)
        return signal.Signals(number).name

    def lose(self) -> str:
        """The master, the guardian or both are killed."""
        what = self.chance.choice(["master", "guardian", "guardian and master"])
        if what == "guardian":
            pid = self.pypm.guardian_pid()
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not lives(pid), what="the end of the guardian")
        elif what == "master":
            self.pypm.kill_master(at_once=True)
        else:
            self.pypm.kill_both()
        wait_until(self.is_served, 30.0, "another master")
        return f"lost: {what}"

    def is_served(self) -> bool:
        self.pypm.ok("list")
        with contextlib.suppress(NoMasterError, OSError):
            return bool(self.pypm.call("ping")["guardian_pid"])
        return False

    # --- afterwards ---

    def is_as_wanted(self) -> bool:
        rows = self.pypm.rows()
        expected = sorted((name, self.up[name]) for name, count in self.wanted.items() for _ in range(count))
        if sorted((row["app"], row["status"] == "online") for row in rows) != expected:
            return False
        found = find_marked(str(self.pypm.home))
        mains = {each.pid: each.instance_id for each in found if each.pid == each.session and each.token}
        current = {str(row["id"]): row["pid"] for row in rows if row["pid"]}
        known = {each.run_id for each in found if current.get(each.instance_id) == each.pid}
        # Every run has its main process, its escaped child (a session of its own) and what it waits for.
        return set(current.values()) <= set(mains) and all(each.run_id in known for each in found)


@pytest.mark.timeout(1200 if STEPS > 100 else 300)
def test_whatever_happens_what_runs_is_what_is_wanted(pypm: RealPypm) -> None:
    seed = int(os.environ.get("PYPM_SEED", "3"))
    walk, done = Walk(pypm, seed), []
    for number in range(STEPS):
        done.append(walk.step())
        if number % 10 == 9:
            wait_until(walk.is_as_wanted, 60.0, f"seed {seed}: what is wanted after {done[-10:]}")
    assert "Traceback" not in pypm.master_log()
    pypm.ok("stop", "all")
    assert find_marked(str(pypm.home)) == []
