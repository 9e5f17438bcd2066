"""Files that are watched: who is restarted when they change, and who is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_pypm import RealPypm, sleeper

from pypm.testing import wait_until


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "agent.py").write_text("one\n")
    return folder


def restarts(pypm: RealPypm, name: str = "a") -> int:
    return int(pypm.row(name)["restarts"])


def write_until(pypm: RealPypm, file: Path, count: int, name: str = "a") -> None:
    """Write until that has been seen: a watcher that has just begun tells of nothing before it."""
    numbers = iter(range(1_000_000))

    def seen() -> bool:
        file.write_text(f"{next(numbers)}\n")
        return restarts(pypm, name) >= count

    wait_until(seen, 30.0)


def test_a_change_restarts_and_is_named(pypm: RealPypm, source: Path) -> None:
    pypm.start(sleeper("a", watch=str(source), ignore_watch=["*.tmp", "notes/"]))
    write_until(pypm, source / "agent.py", 1)
    row = pypm.wait_status("a", "online")
    assert (row["last_exit"]["cause"], row["last_exit"]["reason"]) == ("watch", "agent.py changed")


def test_all_instances_by_one_watcher_and_not_for_what_is_ignored(pypm: RealPypm, source: Path) -> None:
    pypm.start(sleeper("a", instances=2, watch=str(source), ignore_watch="notes.txt"))
    write_until(pypm, source / "agent.py", 1, "a:0")
    wait_until(lambda: restarts(pypm, "a:1") >= 1, 20.0)
    wait_until(lambda: [row["status"] for row in pypm.rows()] == ["online", "online"], 20.0)
    before = restarts(pypm, "a:0")
    (source / "notes.txt").write_text("ignored\n")
    (source / ".git").mkdir()
    (source / ".git" / "index").write_text("ignored\n")
    (source / "last.py").write_text("seen, after what was ignored\n")
    wait_until(lambda: restarts(pypm, "a:0") > before, 20.0)
    assert "notes.txt" not in pypm.row("a:0")["last_exit"]["reason"]
    assert ".git" not in pypm.row("a:0")["last_exit"]["reason"]


def test_stopped_by_hand_stays_stopped_and_is_watched_again(pypm: RealPypm, source: Path) -> None:
    pypm.start(sleeper("a", watch=str(source)), sleeper("b", watch=str(source)))
    write_until(pypm, source / "agent.py", 1)
    pypm.ok("stop", "a")
    before = restarts(pypm, "b")
    write_until(pypm, source / "agent.py", before + 1, "b")
    assert pypm.row("a")["status"] == "stopped"
    pypm.kill_master()
    pypm.ok("start", "a")
    before = restarts(pypm)
    write_until(pypm, source / "agent.py", before + 1)


def test_a_folder_that_is_not_there(pypm: RealPypm, source: Path) -> None:
    file = pypm.ecosystem(sleeper("a", watch=str(source / "nothing")))
    assert "is not there" in pypm.fails(1, "start", file)
