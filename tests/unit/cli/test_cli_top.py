"""``pypm top``: who uses most, as a frame and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_master import ScriptedMaster, make_row

from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.cli.top import by_size, frame_of
from pypm.cli.top_processes import Processes
from pypm.cli.top_screen import screen_of
from pypm.core.errors import NotFoundError
from pypm.testing import wait_until

CHECKOUT = Path(__file__).parents[3]
PARENT = "import subprocess; subprocess.run(['sleep', '4711.5'])"


def row(number: int, name: str, cpu: float | None, memory: int | None, **fields: Any) -> dict[str, Any]:
    return {**make_row(number, name), "cpu_percent": cpu, "memory_bytes": memory, "processes": [], **fields}


ROWS = [row(0, "small", 1.0, 900 << 20), row(1, "gone", None, None, pid=None), row(2, "busy", 99.0, 1 << 20)]


def order(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[2:]]


@pytest.mark.parametrize(
    ("sort", "names"), [("cpu", ["busy", "small", "gone"]), ("memory", ["small", "busy", "gone"])]
)
def test_the_largest_comes_first(sort: str, names: list[str]) -> None:
    assert [told["name"] for told in by_size(ROWS, sort)] == names
    assert order(frame_of(ROWS, sort, 100)) == names


def test_processes_stand_below_their_instance_and_children_further_in() -> None:
    tree = [
        {"pid": 7, "depth": 0, "cpu_percent": 12.4, "memory_bytes": 1 << 20, "command": "agent"},
        {"pid": 8, "depth": 1, "cpu_percent": None, "memory_bytes": 1 << 20, "command": "tool"},
    ]
    rows = [row(0, "a", 1.0, 1, processes=tree), row(1, "b", 0.0, 1)]
    lines = frame_of(rows, "cpu", 100).splitlines()
    assert lines[3].split() == ["7", "12%", "1M", "agent"]
    assert lines[4].split() == ["8", "-", "1M", "tool"]
    assert lines[4].index("tool") == lines[3].index("agent") + 2
    assert lines[5].split()[0] == "b"
    assert len(frame_of(rows, "cpu", 100, processes=False).splitlines()) == 4


def test_a_frame_keeps_to_the_terminal() -> None:
    text = frame_of([row(number, f"w{number}", 1.0, 1) for number in range(100)], "cpu", 39)
    shown = screen_of(text, "keys", os.terminal_size((40, 10)))
    lines = shown.removeprefix("\x1b[H").removesuffix("\x1b[J").split("\r\n")
    assert len(lines) == 10
    assert all(line.endswith("\x1b[K") and len(line) <= 39 + len("\x1b[K") for line in lines)
    assert lines[-1].startswith("keys")


@pytest.fixture
def tree() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, "--api-key=hush"], start_new_session=True
    ) as process:
        yield process
        os.killpg(process.pid, 9)


def test_a_tree_is_looked_at_and_masked(tree: subprocess.Popen[bytes]) -> None:
    processes = Processes()

    def commands() -> list[str]:
        return [each.command for each in processes.look([tree.pid]).get(tree.pid, [])]

    wait_until(lambda: commands()[1:] == ["sleep 4711.5"], timeout=20)
    main, child = processes.look([tree.pid])[tree.pid]
    assert (main.pid, main.depth, child.depth) == (tree.pid, 0, 1)
    assert main.cpu_percent is not None
    assert main.memory_bytes > 0
    assert "hush" not in main.command


def test_who_is_gone_has_no_processes() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert Processes().look([process.pid]) == {}


def test_into_a_pipe_it_is_one_frame(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ScriptedMaster(home, list=ROWS) as master:
        assert guarded(run, ["top", "all"]) == 0
        assert order(capfd.readouterr().out)[0] == "busy"
        assert guarded(run, ["top", "--json", "--sort", "memory"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert [each["name"] for each in told] == ["small", "busy", "gone"]
    assert told[2]["processes"] == []
    assert master.calls[0] == ("list", {"targets": ["all"]})


def test_it_starts_no_master_and_tells_of_unknown_targets(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert guarded(run, ["top"]) == 4
    with ScriptedMaster(home, list=NotFoundError("no such app")):
        assert guarded(run, ["top", "x"]) == 3


class Terminal:
    """``pypm top`` on a terminal of its own."""

    def __init__(self) -> None:
        self._screen, inside = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pypm", "top"], stdin=inside, stdout=inside, stderr=inside, cwd=CHECKOUT
        )
        os.close(inside)
        self.shown = b""

    def press(self, key: str) -> None:
        self.shown = b""
        os.write(self._screen, key.encode())

    def shows(self, text: str) -> bool:
        if select.select([self._screen], [], [], 0.05)[0]:
            try:
                self.shown += os.read(self._screen, 65536)
            except OSError:  # it has ended, and nothing more will come
                time.sleep(0)
        return text.encode() in self.shown

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._screen)


@pytest.fixture
def terminal() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for each in opened:
        each.close()


def test_on_a_terminal_keys_sort_and_leave(home: Path, terminal: list[Terminal]) -> None:
    with ScriptedMaster(home, list=ROWS):
        terminal.append(screen := Terminal())
        wait_until(lambda: screen.shows("by cpu"), timeout=40)
        screen.press("m")
        wait_until(lambda: screen.shows("by memory"), timeout=40)
        screen.press("q")
        wait_until(lambda: screen.shows("\x1b[?1049l"), timeout=40)
        assert screen.process.wait(timeout=40) == 0


def test_on_a_terminal_a_master_that_is_gone_is_told_and_waited_for(
    home: Path, terminal: list[Terminal]
) -> None:
    with ScriptedMaster(home, list=ROWS):
        terminal.append(screen := Terminal())
        wait_until(lambda: screen.shows("by cpu"), timeout=40)
    wait_until(lambda: screen.shows("no master is running"), timeout=40)
    (home / "pypm.sock").unlink()
    with ScriptedMaster(home, list=ROWS):
        screen.press("m")
        wait_until(lambda: screen.shows("by memory"), timeout=40)
    screen.process.terminate()
    wait_until(lambda: screen.shows("\x1b[?1049l"), timeout=40)
    assert screen.process.wait(timeout=40) == 143
