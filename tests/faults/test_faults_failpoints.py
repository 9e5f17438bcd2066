"""``kill -9`` of the master before and after each thing that it does for a command.

``failpoints/sitecustomize.py`` has the points. A walk repeats one command, each time with a master that dies
one point later, until the command is done before the point is reached; whatever the point was, things are as
the command wanted them, nothing runs twice and nothing runs that no row tells of.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_pypm import RealPypm, sleeper, with_command

from pypm.testing import wait_until

SECONDS = "1021.25"
"""What the agents of these tests sleep: they are known by it."""

STEP = 1 if os.environ.get("PYPM_SOAK") else 4
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

    def arm(self, number: int) -> None:
        """The master that passes this many points from now on dies at the last of them."""
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
        lost: str | None = None,
        step: int = STEP,
    ) -> None:
        """Walk through the points of one command, which succeeds, or fails with the words ``lost``."""
        for number in itertools.count(1, step):
            prepare()
            self.arm(number)
            done = self.pypm.run(*words)
            try:
                assert "Traceback" not in done.stderr, done.stderr
                assert done.returncode == 0 or (lost is not None and lost in done.stderr), done.stderr
                wait_until(lambda: is_done(self.pypm.rows()), 20.0)
                self.check_processes()
            except AssertionError as error:
                row = "\n".join(map(str, self.pypm.rows()))
                raise AssertionError(f"{number}: {self.disarm()}: {error}\n{row}\n{done}") from error
            point = self.disarm()
            if point is None:
                assert number > 5 * step, self.points
                return
            self.points.append(point)

    def check_processes(self) -> None:
        """What runs is what the rows tell of, each once, and what is saved."""
        rows = self.pypm.rows()
        running = {row["pid"] for row in rows if row["pid"]}
        assert len(running) == sum(1 for row in rows if row["status"] == "online")
        wait_until(lambda: set(with_command("sleep", SECONDS)) == running, 5.0, f"nothing but {running}")
        shown = {(row["id"], row["status"]) for row in rows}

        def saved() -> set[tuple[int, str]]:
            instances = self.pypm.state()["instances"]
            return {(each["id"], each.get("status", "stopped")) for each in instances}

        # What a row tells of may still be on its way to the disk.
        wait_until(lambda: saved() == shown, 5.0, f"saved: {shown}")


@pytest.fixture
def walk(pypm: RealPypm, monkeypatch: pytest.MonkeyPatch) -> Walk:
    walk = Walk(pypm)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "failpoints"))
    monkeypatch.setenv("PYPM_FAILPOINTS", str(walk.file))
    pypm.ok("list")
    return walk


def app(name: str, instances: int = 1) -> dict[str, Any]:
    return sleeper(name, instances=instances) | {"command": ["sleep", SECONDS]}


def are(*expected: tuple[str, str], restarts: tuple[int, ...] = (0,)) -> Callable[[Rows], bool]:
    """Whether these names and statuses are all there is, each with one of these counts of restarts."""

    def holds(rows: Rows) -> bool:
        return [(row["name"], row["status"]) for row in rows] == list(expected) and all(
            row["restarts"] in restarts for row in rows
        )

    return holds


def test_start(walk: Walk) -> None:
    file = walk.pypm.ecosystem(app("a"), app("w", 2))

    def nothing_is_there() -> None:
        if walk.pypm.rows():
            walk.pypm.call("delete", targets=["all"])

    goal = are(("a", "online"), ("w:0", "online"), ("w:1", "online"))
    walk.take(["start", file], nothing_is_there, goal)


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
        # A restart whose answer was lost is asked for again.
        is_new = old.isdisjoint(row["pid"] for row in rows)
        return is_new and are(("w:0", "online"), ("w:1", "online"), restarts=(1, 2, 3))(rows)

    walk.take(["restart", "all"], forget_the_counts, is_done)


def test_delete(walk: Walk) -> None:
    """It is not asked for again, since what is gone cannot be named; a second command finishes it."""

    def is_up() -> None:
        if not walk.pypm.rows():
            walk.pypm.ok("start", file)

    def is_done(rows: Rows) -> bool:
        return are(("w:0", "online"), ("w:1", "online"))(rows) or not rows

    file = walk.pypm.ecosystem(app("w", 2))
    walk.take(["delete", "all"], is_up, is_done, lost="the master closed the connection before it answered")
    assert walk.pypm.rows() == []


def test_scale(walk: Walk) -> None:
    walk.pypm.start(app("w", 1))
    walk.take(
        ["scale", "w", "2"],
        lambda: walk.pypm.ok("scale", "w", "1"),
        are(("w:0", "online"), ("w:1", "online")),
    )
    walk.take(["scale", "w", "1"], lambda: walk.pypm.ok("scale", "w", "2"), are(("w", "online")))


def test_a_master_that_dies_at_each_point_of_its_own_beginning(walk: Walk) -> None:
    """Adoption is done anew from wherever it was left."""
    walk.pypm.start(app("w", 2))
    old = {row["pid"] for row in walk.pypm.rows()}

    def is_done(rows: Rows) -> bool:
        return are(("w:0", "online"), ("w:1", "online"))(rows) and {row["pid"] for row in rows} == old

    walk.take(["list"], walk.pypm.kill_master, is_done, step=1)
