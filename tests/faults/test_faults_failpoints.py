"""``kill -9`` of the master before and after each thing that it does for a command.

``failpoints/sitecustomize.py`` has the points. A walk repeats one command, each time with a master that dies
one point later, until the command is done before the point is reached; whatever the point was, things are as
the command wanted them, nothing runs twice and nothing runs that no row tells of.
"""

from __future__ import annotations

import itertools
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_pypm import RealPypm, shell, sleeper, with_command

from pypm.system import held
from pypm.testing import wait_until

SECONDS = f"1021.{os.getpid()}"
"""What the agents of these tests sleep: they are known by it, also beside another run of the same tests."""

STEP = 1 if os.environ.get("PYPM_SOAK") else 8
"""Every point in a soak; every so many of them where time is short."""

Rows = list[dict[str, Any]]


class Walk:
    """A home whose masters die where they are told to."""

    def __init__(self, pypm: RealPypm) -> None:
        self.pypm = pypm
        self.file = pypm.home / "failpoint"
        self.fired = pypm.home / "failpoint.fired"
        self.points: list[str] = []
        """Where masters were killed."""

    def arm(self, number: int | str) -> None:
        """The master that passes this many points from now on dies at the last of them, or at one by name."""
        draft = self.pypm.home / "failpoint.draft"
        draft.write_text(str(number))
        os.rename(draft, self.file)

    def disarm(self) -> str | None:
        """Let no master die any more; where one did, None if none did."""
        self.file.unlink(missing_ok=True)
        if not self.fired.exists():
            return None
        point = self.fired.read_text()
        self.fired.unlink()
        return point

    def take(
        self,
        words: list[str],
        prepare: Callable[[], object],
        is_done: Callable[[Rows], bool],
        *,
        act: Callable[[], object] = lambda: None,
        step: int = STEP,
    ) -> None:
        """Walk through the points of one command, which succeeds whichever master is lost.

        ``prepare`` is called before masters may die, ``act`` when they may, before the command.
        """
        for number in itertools.count(1, step):
            prepare()
            self.arm(number)
            act()
            done = self.pypm.run(*words)
            try:
                assert "Traceback" not in done.stderr, done.stderr
                assert done.returncode == 0, done.stderr
                wait_until(lambda: is_done(self.pypm.rows()), 20.0)
                self.check_processes()
            except AssertionError as error:
                row = "\n".join(map(str, self.pypm.rows()))
                raise AssertionError(f"{number}: {self.disarm()}: {error}\n{row}\n{done}") from error
            point = self.disarm()
            if point is None:
                assert number > min(5 * step, 20), self.points
                return
            self.points.append(point)

    def check_processes(self) -> None:
        """What runs is what the rows tell of, each once, and what is saved."""
        rows = self.pypm.rows()
        running = {row["pid"] for row in rows if row["pid"]}
        assert len(running) == sum(1 for row in rows if row["status"] == "online")
        wait_until(lambda: set(with_command("sleep", SECONDS)) == running, 20.0, f"nothing but {running}")
        shown = {(row["id"], row["status"]) for row in rows}

        def saved() -> set[tuple[int, str]]:
            instances = self.pypm.state()["instances"]
            return {(each["id"], each.get("status", "stopped")) for each in instances}

        # What a row tells of may still be on its way to the disk.
        wait_until(lambda: saved() == shown, 20.0, f"saved: {shown}")


@pytest.fixture
def walk(pypm: RealPypm, monkeypatch: pytest.MonkeyPatch) -> Walk:
    walk = Walk(pypm)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "failpoints"))
    monkeypatch.setenv("PYPM_FAILPOINTS", str(walk.file))
    pypm.ok("list")
    return walk


def app(name: str, instances: int = 1) -> dict[str, Any]:
    return sleeper(name, instances=instances) | {"command": ["sleep", SECONDS]}


def are(*expected: tuple[str, str], restarts: int = 0) -> Callable[[Rows], bool]:
    """Whether these names and statuses are all there is, each with this count of restarts."""

    def holds(rows: Rows) -> bool:
        return [(row["name"], row["status"]) for row in rows] == list(expected) and all(
            row["restarts"] == restarts for row in rows
        )

    return holds


def test_start(walk: Walk) -> None:
    file = walk.pypm.ecosystem(app("a"), app("w", 2))

    def nothing_is_there() -> None:
        if walk.pypm.rows():
            walk.pypm.call("delete", targets=["all"])

    goal = are(("a", "online"), ("w:0", "online"), ("w:1", "online"))
    walk.take(["start", file], nothing_is_there, goal)


@pytest.mark.skipif(not held.is_possible(), reason="no process can be held here")
@pytest.mark.parametrize("point", ["before note", "after note", "after limits"])
def test_a_start_that_is_held_for_its_limits(walk: Walk, point: str) -> None:
    """Whoever is held goes on when its master dies; the next one gives it what it lacks."""
    limits = {"open_files": 321, "nice": 7}
    walk.arm(point)
    walk.pypm.ok("start", walk.pypm.ecosystem(app("a") | {"limits": limits}))
    assert walk.disarm() == point
    pid = walk.pypm.wait_status("a", "online")["pid"]
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (321, 321)
    assert os.getpriority(os.PRIO_PROCESS, pid) == 7
    walk.check_processes()


@pytest.mark.skipif(not held.is_possible(), reason="no process can be held here")
@pytest.mark.parametrize("point", ["before note", "after note"])
def test_a_start_that_stands_still_before_its_program(
    walk: Walk, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """It has no marks yet. One that is noted is kept; another one is ended, and only then a new one begun."""
    walk.pypm.ok("kill")
    monkeypatch.setenv("PYPM_FAILPOINTS_STOP", "yes")
    walk.pypm.ok("list")
    walk.arm(point)
    asked = walk.pypm.popen("start", walk.pypm.ecosystem(app("a") | {"limits": {"open_files": 321}}))
    wait_until(walk.fired.exists, 30.0)
    assert walk.disarm() == point
    # Nothing was saved yet: until it is asked for again there is no such app.
    wait_until(lambda: [row["status"] for row in walk.pypm.rows()] == ["online"], 60.0)
    pid = walk.pypm.pid("a")
    assert ("it executes nothing" in walk.pypm.master_log()) is (point == "before note")
    os.kill(pid, signal.SIGCONT)
    asked.communicate(timeout=60)  # until then it had a copy of the connection
    assert asked.returncode == 0
    walk.check_processes()
    assert walk.pypm.pid("a") == pid
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (321, 321)


def test_stop(walk: Walk) -> None:
    walk.pypm.start(app("w", 2))

    def all_is_up() -> None:
        walk.pypm.ok("start", "all")
        walk.pypm.call("reset", targets=["all"])

    walk.take(["stop", "all"], all_is_up, are(("w:0", "stopped"), ("w:1", "stopped")))


def test_restart(walk: Walk) -> None:
    walk.pypm.start(app("w", 2))
    old: set[int] = set()

    def forget_the_counts() -> None:
        walk.pypm.call("reset", targets=["all"])
        old.update(row["pid"] for row in walk.pypm.rows())

    def is_done(rows: Rows) -> bool:
        # A restart whose answer was lost is asked for again, and counts once all the same.
        is_new = old.isdisjoint(row["pid"] for row in rows)
        return is_new and are(("w:0", "online"), ("w:1", "online"), restarts=1)(rows)

    walk.take(["restart", "all"], forget_the_counts, is_done)


def test_delete(walk: Walk) -> None:
    """It is asked for again, though what is gone cannot be named any more."""

    def is_up() -> None:
        if not walk.pypm.rows():
            walk.pypm.ok("start", file)

    file = walk.pypm.ecosystem(app("w", 2))
    walk.take(["delete", "w"], is_up, are())


def test_scale(walk: Walk) -> None:
    walk.pypm.start(app("w", 1))
    walk.take(
        ["scale", "w", "2"],
        lambda: walk.pypm.ok("scale", "w", "1"),
        are(("w:0", "online"), ("w:1", "online")),
    )
    walk.take(["scale", "w", "1"], lambda: walk.pypm.ok("scale", "w", "2"), are(("w", "online")))


def test_reset(walk: Walk) -> None:
    walk.pypm.start(app("w", 2))
    walk.take(
        ["reset", "all"],
        lambda: walk.pypm.ok("restart", "w", "--no-wait"),
        are(("w:0", "online"), ("w:1", "online")),
        step=1,
    )


def test_an_app_that_is_declared_anew(walk: Walk) -> None:
    """A change of its environment is a new run of each instance; the number of instances changes too."""
    files = [
        walk.pypm.ecosystem(app("w", count) | {"env": {"GENERATION": str(count)}}, name=f"{count}.toml")
        for count in (1, 2)
    ]
    walk.pypm.ok("start", files[1])

    def generation(row: dict[str, Any]) -> str:
        variables = Path(f"/proc/{row['pid']}/environ").read_bytes().split(b"\0")
        return next(each.decode() for each in variables if each.startswith(b"GENERATION="))

    def holds(count: int) -> Callable[[Rows], bool]:
        def is_done(rows: Rows) -> bool:
            is_up = len(rows) == count and {row["status"] for row in rows} == {"online"}
            return is_up and {generation(row) for row in rows} == {f"GENERATION={count}"}

        return is_done

    walk.take(["start", files[0]], lambda: walk.pypm.ok("start", files[1]), holds(1))
    walk.take(["start", files[1]], lambda: walk.pypm.ok("start", files[0]), holds(2))


def test_a_snapshot_that_is_brought_back(walk: Walk) -> None:
    file = walk.pypm.ecosystem(app("w", 2))
    walk.pypm.ok("start", file)
    walk.pypm.ok("save")
    walk.take(["resurrect"], lambda: walk.pypm.ok("delete", "all"), are(("w:0", "online"), ("w:1", "online")))


def test_a_crash(walk: Walk) -> None:
    """Not what a person does but what an agent suffers: it is noticed once, and counted once."""
    walk.pypm.start(app("w", 1) | {"restart_delay": 10, "max_restarts": "unlimited"})

    def crash() -> None:
        os.kill(walk.pypm.pid("w"), signal.SIGSEGV)

    def is_done(rows: Rows) -> bool:
        is_back = are(("w", "online"), restarts=1)(rows)
        return is_back and rows[0]["last_exit"]["signal"] == "SIGSEGV"

    walk.take(["list"], lambda: walk.pypm.ok("reset", "w"), is_done, act=crash, step=1)


def test_update(walk: Walk) -> None:
    """Masters of both versions die at each point of it: the update is done or not, and no agent notices."""
    walk.pypm.start(app("w", 2))
    old = {row["pid"] for row in walk.pypm.rows()}
    for number in itertools.count(1, STEP):
        walk.arm(number)
        done = walk.pypm.run("update")
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 1), done
        rows = walk.pypm.rows()
        point = walk.disarm()
        assert are(("w:0", "online"), ("w:1", "online"))(rows), point
        assert {row["pid"] for row in rows} == old, point
        walk.check_processes()
        if point is None:
            assert done.returncode == 0, done.stderr
            assert number > STEP
            return


def test_kill(walk: Walk) -> None:
    """The end of all is an end, whichever master is lost on the way to it."""
    walk.pypm.start(app("w", 2))
    for number in itertools.count(1, STEP):
        walk.pypm.ok("start", "all")
        walk.arm(number)
        walk.pypm.ok("kill")
        point = walk.disarm()
        wait_until(lambda: walk.pypm.lock_holder() is None, 20.0, f"the end, after {point}")
        assert with_command("sleep", SECONDS) == []
        walk.pypm.ok("list")
        assert are(("w:0", "stopped"), ("w:1", "stopped"))(walk.pypm.rows()), point
        if point is None:
            assert number > 5 * STEP
            return


def test_signal(walk: Walk) -> None:
    """It is sent once; where nobody can know whether it was, that is said, and it is not sent again."""
    trap = "trap 'echo told' USR1; echo up; while :; do sleep 0.02; done"
    walk.pypm.start(shell("a", trap))
    wait_until(lambda: walk.pypm.log("a") == b"up\n")
    sure, unsure = 0, 0
    for number in itertools.count(1):
        walk.arm(number)
        done = walk.pypm.run("signal", "USR1", "a")
        point = walk.disarm()
        if done.returncode == 0:
            sure += 1
        else:
            assert "nobody knows" in done.stderr
            unsure += 1
        if point is None:
            break
    wait_until(lambda: walk.pypm.log("a").count(b"told") >= sure)
    assert sure > 2
    assert unsure
    assert sure <= walk.pypm.log("a").count(b"told") <= sure + unsure


def test_cleardump(walk: Walk) -> None:
    for number in itertools.count(1):
        walk.pypm.ok("save", "kept", "--force")
        walk.arm(number)
        walk.pypm.ok("cleardump", "kept")
        assert walk.pypm.call("snapshot_list") == []
        if walk.disarm() is None:
            assert number > 2
            return


def test_a_master_that_dies_at_each_point_of_its_own_beginning(walk: Walk) -> None:
    """Adoption is done anew from wherever it was left."""
    walk.pypm.start(app("w", 2))
    old = {row["pid"] for row in walk.pypm.rows()}

    def is_done(rows: Rows) -> bool:
        return are(("w:0", "online"), ("w:1", "online"))(rows) and {row["pid"] for row in rows} == old

    walk.take(["list"], walk.pypm.kill_master, is_done, step=1)
