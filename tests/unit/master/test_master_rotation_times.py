from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pypm.core.spec import LogSpec
from pypm.logs.rotation import list_generations
from pypm.logs.writer import LogFile
from pypm.master.rotation_times import RotationTimes

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0
DAY = 24 * HOUR


class Timer:
    def __init__(self, at: float, callback: Callable[[], object]) -> None:
        self.at = at
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Time:
    """A clock that a test turns; timers are called when their moment has come."""

    def __init__(self) -> None:
        self.now = NOON
        self.timers: list[Timer] = []

    def wall(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        self.timers.append(Timer(self.now + delay, lambda: callback(*arguments)))
        return self.timers[-1]

    def armed(self) -> list[Timer]:
        return [timer for timer in self.timers if timer.callback is not None]

    def go(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.armed() if timer.at <= end]:
            timer = min(due, key=lambda each: each.at)
            self.now = max(self.now, timer.at)
            callback, timer.callback = timer.callback, None
            assert callback is not None
            callback()
        self.now = end


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


class Bench:
    def __init__(self, path: Path, **rules: Any) -> None:
        self.path = path
        self.time = Time()
        self.spec = LogSpec(**rules)
        self.times = RotationTimes(self.time, self.time.wall)
        self.file = self.open()

    def open(self) -> LogFile:
        file = LogFile(str(self.path), max_size=0, retain=50, clock=self.time.wall, wall=self.time.wall)
        file.on_noted, file.on_rotated = self.times.noted, self.times.rotated
        self.times.keep(file, self.spec)
        return file

    def contents(self) -> list[bytes]:
        return [Path(file.path).read_bytes() for file in list_generations(str(self.path))]


def test_a_file_is_rotated_when_its_first_byte_is_so_old(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "x.log", max_age=HOUR)
    assert bench.time.armed() == []
    bench.file.write(b"one\n")
    bench.time.go(HOUR / 2)
    bench.file.write(b"two\n")
    bench.time.go(HOUR / 2 - 1)
    assert bench.contents() == [b"one\ntwo\n"]
    bench.time.go(1)
    assert bench.contents() == [b"one\ntwo\n"]
    assert [os.path.basename(file.path) for file in list_generations(str(bench.path))] == ["x.log.1"]
    bench.time.go(10 * HOUR)  # nothing was written: there is nothing to rotate, and no timer
    assert bench.time.armed() == []
    bench.file.write(b"three\n")
    bench.time.go(HOUR)
    assert bench.contents() == [b"one\ntwo\n", b"three\n"]


def test_every_midnight_of_local_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")  # midnight is 23:00 UTC
    bench = Bench(tmp_path / "x.log", rotate_at="0 0 * * *")
    bench.file.write(b"one\n")
    bench.time.go(11 * HOUR - 1)
    assert len(list_generations(str(bench.path))) == 1
    assert bench.path.exists()
    bench.time.go(1)
    assert not bench.path.exists()
    bench.file.write(b"two\n")
    bench.time.go(3 * DAY)
    bench.file.write(b"three\n")
    assert bench.contents() == [b"one\n", b"two\n", b"three\n"]


def test_a_moment_that_passed_without_a_master_is_made_up_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "x.log", rotate_at="0 0 * * *")
    bench.file.write(b"one\n")
    bench.file.close()
    bench.times.close()
    bench.time.now += DAY
    bench.open()
    bench.time.go(0)
    assert not bench.path.exists()
    assert bench.contents() == [b"one\n"]


def test_a_line_that_has_not_ended_is_not_cut(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "x.log", max_age=HOUR)
    bench.file.write(b"one\nbegin")
    bench.time.go(2 * HOUR)
    bench.file.write(b"ning\ntwo\n")
    assert bench.contents() == [b"one\nbeginning\n", b"two\n"]


def test_the_age_of_an_emptied_file_is_that_of_what_comes_then(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "x.log", max_age=2 * HOUR)
    bench.file.write(b"one\n")
    bench.time.go(1.5 * HOUR)
    assert bench.file.truncate()
    bench.file.write(b"two\n")
    bench.time.go(HOUR)
    assert bench.contents() == [b"two\n"]
    assert bench.path.exists()
    bench.time.go(HOUR)
    assert not bench.path.exists()


def test_the_splice_road_rotates_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "x.log", max_age=HOUR)
    read, write = os.pipe2(os.O_NONBLOCK)
    os.write(write, b"one\nbegin")
    assert bench.file.splice(read, 100) == 9
    bench.time.go(2 * HOUR)
    os.write(write, b"ning\ntwo\n")
    assert bench.file.splice(read, 100) == 5
    assert bench.file.splice(read, 100) == 4
    os.write(write, b"three\n")
    assert bench.file.splice(read, 100) == 6
    assert bench.contents() == [b"one\nbeginning\n", b"two\nthree\n"]
    os.close(read)
    os.close(write)


def test_a_clock_that_jumps_is_noticed_by_the_next_write(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "x.log", max_age=DAY)
    bench.file.write(b"one\n")
    bench.time.now += 2 * DAY  # without the timers: the machine slept
    bench.file.write(b"two\n")
    bench.time.go(0)
    assert not bench.path.exists()


def test_a_file_that_was_rotated_for_its_size_is_young_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "x.log", max_age=HOUR)
    bench.file.max_size = 8
    bench.file.write(b"one\n")
    bench.time.go(HOUR - 60)
    bench.file.write(b"two...\n")
    bench.time.go(HOUR - 120)
    assert bench.contents() == [b"one\n", b"two...\n"]
    assert bench.path.exists()
    bench.time.go(120)
    assert not bench.path.exists()


def test_a_thousand_files_are_not_rotated_in_one_turn(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "0.log", rotate_at="0 0 * * *")
    files = [bench.file]
    for number in range(1, 300):
        bench.path = tmp_path / f"{number}.log"
        files.append(bench.open())
    for file in files:
        file.write(b"one\n")
    turns = len(bench.time.timers)
    bench.time.go(DAY)
    assert not list(tmp_path.glob("*.log"))
    assert len(bench.time.timers) > turns + 1
    for file in files:
        file.close()


def test_a_rotation_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path / "x.log", max_age=HOUR)
    bench.file.write(b"one\n")
    with monkeypatch.context() as patch:

        def fail() -> bool:
            raise OSError(5, "no")

        patch.setattr(bench.file, "rotate", fail)
        bench.time.go(HOUR)
        assert bench.path.exists()
    bench.time.go(60)
    assert not bench.path.exists()


def test_new_rules_hold_for_what_is_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "x.log")
    bench.file.write(b"one\n")
    bench.time.go(HOUR)
    bench.times.keep(bench.file, LogSpec(max_age=2 * HOUR))
    bench.time.go(HOUR - 1)
    assert bench.path.exists()
    bench.time.go(1)
    assert not bench.path.exists()
