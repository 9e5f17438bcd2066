"""What whole trees use, asked again and again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from children import SHELL, children_of, running

from pypm.system import meter as meter_module
from pypm.system.meter import TreeMeter
from pypm.system.usage import measure_whole, proportional_memory
from pypm.testing import wait_until

MIB = 2**20


@contextmanager
def tree(script: str) -> Iterator[int]:
    """A shell that runs a script; its children are ended with it, also those that have left its session."""
    with running([SHELL, "-c", script]) as pid:
        left: set[int] = set()
        try:
            wait_until(lambda: left.update(descendants(pid)) or left, 20.0)
            yield pid
        finally:
            left.update(descendants(pid))
            for each in left:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)


def descendants(pid: int) -> set[int]:
    children = children_of(pid)
    return {*children, *(each for child in children for each in descendants(child))}


def following(*roots: int) -> TreeMeter:
    meter = TreeMeter()
    meter.follow(roots)
    return meter


def test_what_begins_after_the_first_look_is_found_by_the_next_ones() -> None:
    with running(["/bin/sleep", "4711.1"]) as idle:
        meter = following(idle)
        assert meter.measure([idle])[idle].processes == 1
    with tree("sleep 4711.3 & setsid sleep 4711.4 & wait") as pid:
        meter.follow([pid])
        wait_until(lambda: meter.measure([pid])[pid].processes == 3, 20.0)
        assert meter.measure([pid])[pid].threads == 3
        assert meter.measure([idle]) == {}, "it is not followed any more"


def test_where_nothing_has_begun_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(["/bin/sleep", "4712"]) as pid:
        meter = following(pid)
        monkeypatch.setattr(meter_module, "_read_last_pid", lambda: 77)
        for _ in range(2):
            meter.measure([pid])
        listed: list[str] = []
        listdir = os.listdir

        def counted(path: str) -> list[str]:
            listed.append(path)
            return listdir(path)

        monkeypatch.setattr(os, "listdir", counted)
        for _ in range(5):
            assert meter.measure([pid])[pid].processes == 1
        assert listed == []
        monkeypatch.setattr(meter_module, "_read_last_pid", lambda: 78)
        for _ in range(5):
            meter.measure([pid])
        assert listed == ["/proc"] * 2, "once more, for what was being forked during the first look"


def test_an_orphan_stays_with_its_tree_also_where_it_has_left_its_session() -> None:
    with tree("(setsid sleep 4713 & wait) & wait") as pid:
        meter = following(pid)
        wait_until(lambda: meter.measure([pid])[pid].processes == 3, 20.0)
        inner = next(each for each in children_of(pid) if children_of(each))
        orphan = children_of(inner)[0]
        os.kill(inner, signal.SIGKILL)
        try:
            wait_until(lambda: meter.measure([pid])[pid].processes == 2, 20.0)
            os.kill(pid, 0)
        finally:
            os.kill(orphan, signal.SIGKILL)
        wait_until(lambda: meter.measure([pid])[pid].processes == 1, 20.0)


def test_a_number_that_is_another_processs_now_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with running([SHELL, "-c", "sleep 4714 & wait"]) as pid:
        meter = following(pid)
        wait_until(lambda: meter.measure([pid])[pid].processes == 2, 20.0)
        child = children_of(pid)[0]
        read = meter_module._stat

        def reborn(each: int) -> list[bytes] | None:
            fields = read(each)
            if each == child and fields is not None:
                return [*fields[:1], b"1", b"1", b"1", *fields[4:19], b"1", *fields[20:]]
            return fields

        monkeypatch.setattr(meter_module, "_stat", reborn)
        assert meter.measure([pid])[pid].processes == 1
        assert meter.measure([pid])[pid].processes == 1, "it is not in the tree as it is now"


def test_a_tree_within_another_one_goes_back_to_it() -> None:
    with tree("setsid sleep 4715 & wait") as pid:
        meter = following(pid)
        wait_until(lambda: meter.measure([pid])[pid].processes == 2, 20.0)
        inner = children_of(pid)[0]
        meter.follow([pid, inner])
        usages = meter.measure([pid, inner])
        assert (usages[pid].processes, usages[inner].processes) == (1, 1)
        meter.follow([pid])
        assert meter.measure([pid])[pid].processes == 2


def test_pages_that_a_forked_child_shares_count_once() -> None:
    ballast = bytearray(64 * MIB)
    for start in range(0, len(ballast), 4096):
        ballast[start] = 1
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        meter = following(os.getpid())
        resident = meter.measure([os.getpid()])[os.getpid()].memory
        proportional = meter.proportional([os.getpid()])
        assert proportional is not None
        assert resident - proportional > 48 * MIB
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_the_whole_usage_of_processes() -> None:
    usage = measure_whole([os.getpid()])
    assert usage.proportional is not None
    assert usage.proportional > MIB
    assert usage.descriptors is not None
    assert usage.descriptors >= 3
    read, write = os.pipe()
    again = measure_whole([os.getpid()])
    os.close(read)
    os.close(write)
    assert again.descriptors == usage.descriptors + 2
    assert usage.read_bytes is not None
    assert usage.written_bytes is not None
    assert proportional_memory([]) == 0
    assert measure_whole([2**22 + 7]) == (0, 0, 0, 0), "one that is gone uses nothing"
