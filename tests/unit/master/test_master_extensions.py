"""The waits of several processes of one run: the longest holds, and only news is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pypm.core.events import Event, Extended, ExtensionReset
from pypm.master.extensions import Extensions

RESET = ExtensionReset("r")


def extensions(*gone: int) -> Extensions:
    """Of a run whose processes live, but for those that are ``gone``."""
    return Extensions("r", lambda pid: pid not in gone)


def test_the_longest_wait_holds() -> None:
    waits = extensions()
    assert waits.extend(1, 100, "a", now=0) == [Extended("r", 100, "a")]
    assert waits.extend(2, 50, "b", now=10) == [], "sooner than what holds"
    assert waits.extend(2, 200, "b", now=20) == [Extended("r", 200, "b")]
    assert waits.reset(2, 0, "", now=30) == [RESET, Extended("r", 70, "a")]
    assert waits.reset(1, 0, "", now=40) == [RESET]


def test_a_wait_that_ends_while_a_longer_one_holds_is_no_news() -> None:
    waits = extensions()
    waits.extend(1, 100, "a", now=0)
    waits.extend(2, 50, "b", now=0)
    assert waits.reset(2, 0, "", now=10) == []
    assert waits.reset(1, 0, "", now=20) == [RESET]


def test_a_reset_is_told_also_by_a_master_that_has_not_heard_of_the_wait() -> None:
    assert extensions().reset(1, 0, "", now=5) == [RESET]


def test_a_reset_may_name_what_is_waited_for_instead() -> None:
    waits = extensions()
    waits.extend(1, 600, "outer", now=0)
    assert waits.reset(1, 30, "inner", now=10) == [RESET, Extended("r", 30, "inner")]


def test_it_never_shortens() -> None:
    waits = extensions()
    waits.extend(1, 100, "a", now=0)
    assert waits.extend(1, 10, "b", now=0) == []
    assert waits.reset(2, 0, "", now=0) == []


def test_a_repeated_wait_moves_the_deadline_only_beyond_the_drift() -> None:
    waits = extensions()
    waits.extend(1, 100, "a", now=0)
    assert waits.repeat(1, 99.5, "a", now=1) == []
    assert waits.repeat(1, 100, "a", now=1.5) == [Extended("r", 100, "a")]


def test_a_wait_that_has_run_out_leaves_nothing_to_go_back_to() -> None:
    waits = extensions()
    waits.extend(1, 10, "a", now=0)
    waits.extend(2, 100, "b", now=0)
    assert waits.reset(2, 0, "", now=50) == [RESET]


def test_many_processes_are_bounded() -> None:
    waits = extensions()
    for pid in range(1000):
        assert waits.extend(pid, 100 + pid, "", now=0) == [Extended("r", 100 + pid, "")]
    assert len(waits._waits) == 100


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(["extend", "reset", "repeat"]), st.integers(0, 50)),
        max_size=40,
    )
)
def test_what_was_told_is_what_the_processes_wait_for(steps: list[tuple[int, str, int]]) -> None:
    """Replayed by its listener, the deadline is the longest of the processes' own, at any time."""
    waits = extensions()
    told = 0.0
    own: dict[int, float] = {}
    for now, (pid, kind, seconds) in enumerate(steps):
        events: list[Event]
        if kind == "extend":
            events = waits.extend(pid, seconds, "", now)
            own[pid] = max(own.get(pid, 0.0), now + seconds)
        elif kind == "reset" or not seconds:
            events = waits.reset(pid, 0, "", now)
            own.pop(pid, None)
        else:
            events = waits.repeat(pid, seconds, "", now)
            own[pid] = max(own.get(pid, 0.0), now + seconds)
        for event in events:
            told = max(told, now + event.seconds) if isinstance(event, Extended) else 0.0
        expected = max(own.values(), default=0.0)
        assert abs(max(told - now, 0.0) - max(expected - now, 0.0)) <= 1.0


def test_who_was_killed_while_it_waited_is_not_waited_for() -> None:
    gone: list[int] = []
    waits = Extensions("r", lambda pid: pid not in gone)
    assert waits.extend(1, 3600, "a child", now=0) == [Extended("r", 3600, "a child")]
    assert waits.repeat(2, 0, "", now=5) == []
    gone.append(1)
    assert waits.repeat(2, 0, "", now=10) == [RESET]
    assert waits.repeat(2, 0, "", now=15) == []


def test_the_wait_of_one_that_lives_holds_when_another_is_killed() -> None:
    gone: list[int] = []
    waits = Extensions("r", lambda pid: pid not in gone)
    waits.extend(1, 3600, "a", now=0)
    waits.extend(2, 100, "b", now=0)
    gone.append(1)
    assert waits.repeat(2, 90, "b", now=10) in ([], [RESET, Extended("r", 90, "b")])
    assert waits.reset(3, 0, "", now=20) == [RESET, Extended("r", 80, "b")]
