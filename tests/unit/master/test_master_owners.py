"""Whose process it is that speaks, with a made-up /proc."""

from __future__ import annotations

import pytest

from pypm.master import owners as module
from pypm.master.owners import KEPT, Owner, Owners
from pypm.system.kinship import Kinship

FIRST, SECOND = Owner(1, "r1"), Owner(2, "r2")


class FakeProc:
    """Processes by pid: their relatives, the run whose mark they bear, and how often that was looked up."""

    def __init__(self) -> None:
        self.kinships: dict[int, Kinship] = {}
        self.marks: dict[int, str] = {}
        self.reads = 0

    def add(self, pid: int, parent: int, session: int, ticks: int = 50, mark: str | None = None) -> None:
        self.kinships[pid] = Kinship(parent, session, session, ticks)
        if mark is not None:
            self.marks[pid] = mark

    def remove(self, pid: int) -> None:
        del self.kinships[pid]
        self.marks.pop(pid, None)

    def read_kinship(self, pid: int) -> Kinship | None:
        self.reads += 1
        return self.kinships.get(pid)

    def run_of(self, pid: int, home: str) -> str | None:
        assert home == "/home"
        self.reads += 1
        return self.marks.get(pid)


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch) -> FakeProc:
    fake = FakeProc()
    monkeypatch.setattr(module, "read_kinship", fake.read_kinship)
    monkeypatch.setattr(module, "run_of", fake.run_of)
    fake.add(100, 1, 100)
    fake.add(200, 1, 200)
    return fake


@pytest.fixture
def owners(proc: FakeProc) -> Owners:
    known = Owners("/home")
    known.begun(FIRST, 100)
    known.begun(SECOND, 200)
    return known


def test_a_main_process_is_known_without_a_look(owners: Owners, proc: FakeProc) -> None:
    assert owners.of(100) == FIRST
    assert owners.of(200) == SECOND
    assert proc.reads == 0


def test_by_session(owners: Owners, proc: FakeProc) -> None:
    proc.add(101, 1, 100)
    assert owners.of(101) == FIRST


def test_by_an_ancestor(owners: Owners, proc: FakeProc) -> None:
    proc.add(101, 100, 101)
    proc.add(102, 101, 102)
    assert owners.of(102) == FIRST


def test_by_an_ancestor_that_is_in_the_session(owners: Owners, proc: FakeProc) -> None:
    proc.add(101, 1, 100)
    proc.add(102, 101, 102)
    assert owners.of(102) == FIRST


def test_by_its_mark_where_its_parents_are_gone(owners: Owners, proc: FakeProc) -> None:
    proc.add(101, 1, 101, mark="r2")
    assert owners.of(101) == SECOND
    proc.add(102, 1, 102, mark="another run")
    assert owners.of(102) is None


def test_a_stranger_is_looked_up_once(owners: Owners, proc: FakeProc) -> None:
    proc.add(300, 1, 300)
    assert owners.of(300) is None
    proc.reads = 0
    assert owners.of(300) is None
    assert proc.reads == 1, "is it still the same one?"


def test_one_that_is_gone_is_who_it_was(owners: Owners, proc: FakeProc) -> None:
    proc.add(101, 100, 100)
    assert owners.of(101) == FIRST
    proc.remove(101)
    assert owners.of(101) == FIRST
    assert owners.of(102) is None, "nobody has ever seen this one"


def test_a_pid_that_was_given_anew_is_another_one(owners: Owners, proc: FakeProc) -> None:
    proc.add(101, 100, 100)
    assert owners.of(101) == FIRST
    proc.add(101, 200, 200, ticks=60)
    assert owners.of(101) == SECOND


def test_nobody_speaks_for_a_run_that_is_over(owners: Owners, proc: FakeProc) -> None:
    proc.add(101, 100, 100)
    assert owners.of(101) == FIRST
    owners.over("r1")
    assert owners.of(101) is None
    assert owners.of(100) is None
    assert owners.of(200) == SECOND
    owners.over("r1")


def test_a_later_run_with_the_same_pid_stays(owners: Owners) -> None:
    later = Owner(1, "r3")
    owners.begun(later, 100)
    owners.over("r1")
    assert owners.of(100) == later


def test_a_run_may_have_two_main_processes(owners: Owners, proc: FakeProc) -> None:
    proc.add(150, 1, 150)
    owners.begun(FIRST, 150)
    proc.add(151, 150, 151)
    assert owners.of(150) == owners.of(151) == FIRST
    owners.over("r1")
    assert owners.of(150) is None


def test_no_more_is_remembered_than_that(owners: Owners, proc: FakeProc) -> None:
    for pid in range(1000, 1000 + 2 * KEPT):
        proc.add(pid, 1, pid)
        owners.of(pid)
    assert len(owners._answers) <= KEPT


def test_a_circle_of_parents_has_an_end(owners: Owners, proc: FakeProc) -> None:
    """/proc is read while pids are given anew, so it may show what never was."""
    proc.add(300, 301, 300)
    proc.add(301, 300, 301)
    assert owners.of(300) is None
