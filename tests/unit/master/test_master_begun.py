"""Notes of begun runs, in memory that the next master opens."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pypm.master.begun import BegunRuns, Note, new_memory


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = new_memory()
    yield descriptor
    os.close(descriptor)


def note(number: int) -> Note:
    return Note(number, f"{number:012x}", "f" * 32, 1000 + number, 77)


def test_the_next_master_finds_what_is_not_saved_in_its_order(memory: int) -> None:
    begun = BegunRuns(memory)
    for number in range(3):
        begun.add(note(number))
    begun.saved(1)
    begun.add(note(3))
    following = BegunRuns(memory)
    assert following.notes() == [note(1), note(2), note(3)]
    assert following.count() == 3
    following.saved(3)
    assert BegunRuns(memory).notes() == []


def test_what_was_saved_makes_room(memory: int) -> None:
    begun = BegunRuns(memory)
    size = os.fstat(memory).st_size
    for number in range(5000):
        begun.add(note(number))
        begun.saved(1)
    assert begun.notes() == []
    assert os.fstat(memory).st_size == size


def test_more_than_there_is_room_for(memory: int) -> None:
    begun = BegunRuns(memory)
    notes = [note(number) for number in range(5000)]
    for each in notes:
        begun.add(each)
    assert begun.notes() == notes
    assert BegunRuns(memory).notes() == notes


def test_one_master_after_the_other_and_back(memory: int) -> None:
    """An update that fails: the old master goes on with what the newer one has left."""
    old = BegunRuns(memory)
    old.add(note(0))
    newer = BegunRuns(memory)
    newer.saved(1)
    for number in range(1, 5000):
        newer.add(note(number))
    old.add(note(5000))
    assert old.count() == 5000
    old.saved(4999)
    assert newer.notes() == [note(5000)]
