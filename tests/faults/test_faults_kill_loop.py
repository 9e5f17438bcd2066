"""``kill -9`` of the master, again and again, while agents print, exit and are restarted: nothing is lost.

Every agent keeps a record of its own of what it did, in a file that it alone writes.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from real_pypm import RealPypm

from pypm.testing import wait_until

KILLS = 200 if os.environ.get("PYPM_SOAK") else 20
UNSEEN = KILLS // 20
"""How many runs may have ended unseen: forked by a master that was killed before it could note them, and over
before the next one looked (docs/design.md, section 3)."""
STEADY, RESTLESS = 14, 6
"""How many agents run until they are told to end, and how many exit by themselves again and again."""

AGENT = r"""
import os, random, signal, sys, time
name, run = os.environ["PYPM_NAME"].replace(":", "-"), os.environ["PYPM_RUN_ID"]
record = os.open(f"records/{name}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
os.write(record, f"{run} began {time.time()}\n".encode())
end = time.monotonic() + (random.uniform(1.5, 4.0) if sys.argv[1] == "restless" else 1e9)
line = 0
while not told and time.monotonic() < end:
    line += 1
    os.write(1, f"{run} {line}\n".encode())
    time.sleep(0.02)
code = 0 if told else random.choice((1, 2, 3))
os.write(record, f"{run} ended {time.time()} {code} {line}\n".encode())
os._exit(code)
"""


class Life(NamedTuple):
    """One run, as the agent itself tells it."""

    run_id: str
    began: float
    ended: float
    code: int
    lines: int


def app(name: str, manner: str, count: int) -> dict[str, Any]:
    return {
        "name": name,
        "command": [sys.executable, "-I", "-S", "-c", AGENT, manner],
        "instances": count,
        "restart_delay": 10,
        "max_restarts": 1_000_000,
        "logs": {"max_size": "100M"},
    }


def lives_of(record: Path) -> list[Life]:
    """The runs of one instance, one after the other: no run began before the last one had ended."""
    words = [line.split() for line in record.read_text().splitlines()]
    began, ended = words[::2], words[1::2]
    assert [each[:2] for each in began] == [[each[0], "began"] for each in ended], words
    return [
        Life(first[0], float(first[2]), float(last[2]), int(last[3]), int(last[4]))
        for first, last in zip(began, ended, strict=True)
    ]


class Exits(dict[int, dict[str, tuple[int | None, int | None]]]):
    """By instance id and run id: the exit code and signal of every run that the state has told of."""

    def collect(self, pypm: RealPypm) -> None:
        """Take in the last ends, of which each instance keeps some."""
        for instance in pypm.state()["instances"]:
            for end in instance.get("runs", ()):
                self.setdefault(instance["id"], {})[end["run_id"]] = (end.get("code"), end.get("signal"))


@pytest.mark.timeout(1200 if KILLS > 100 else 300)
def test_masters_are_killed_while_agents_print_exit_and_are_restarted(pypm: RealPypm) -> None:
    chance = random.Random(7)
    (pypm.folder / "records").mkdir()
    pypm.begin(app("steady", "steady", STEADY), app("restless", "restless", RESTLESS))
    pypm.wait_status("restless:0", "online", "backoff")
    exits = Exits()
    for _ in range(KILLS):
        name = chance.choice(["steady", "restless"]) + f":{chance.randrange(6)}"
        with pypm.popen("restart", name, "--no-wait") as command:
            pypm.kill_master(at_once=True)
            _, stderr = command.communicate(timeout=30)
        assert command.returncode == 0, stderr
        exits.collect(pypm)
    pypm.ok("stop", "all")
    assert {(row["status"], row["pid"]) for row in pypm.rows()} == {("stopped", None)}
    # What the socket tells is on the disk a moment later.
    wait_until(lambda: not any("run" in instance for instance in pypm.state()["instances"]))
    exits.collect(pypm)
    assert sum(check(pypm, row, exits[row["id"]]) for row in pypm.rows()) <= UNSEEN


def check(pypm: RealPypm, row: dict[str, Any], ends: dict[str, tuple[int | None, int | None]]) -> int:
    """Compare what pypm tells of an instance with its own record; gives how many ends are not known."""
    name = row["name"]
    lives = lives_of(pypm.folder / "records" / name.replace(":", "-"))
    known = {each.run_id: (each.code, None) for each in lives}
    unseen = known.keys() - ends.keys()
    assert {run_id: known[run_id] for run_id in known.keys() - unseen}.items() <= ends.items(), name
    assert row["restarts"] == len(ends) - 1, name
    # What was told to end before it could listen to that has no record.
    too_early = [end for run_id, end in ends.items() if run_id not in known]
    assert set(too_early) <= {(None, signal.SIGTERM)}, name
    expected = "".join(f"{life.run_id} {line}\n" for life in lives for line in range(1, life.lines + 1))
    assert pypm.log(name).decode() == expected, name
    return len(unseen)
