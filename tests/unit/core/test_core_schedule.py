"""What is due by a schedule: clocks that jump, masters that are away, hours that come twice."""

from __future__ import annotations

from datetime import datetime
from math import floor
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pypm.core.schedule import GRACE, SET_BACK, Look, look, next_run, offset_of, reason_of, schedule_of
from pypm.core.spec import AppSpec, ScheduleSpec
from pypm.system.cron import next_moment

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600.0
DAY = 24 * HOUR
HOURLY = ScheduleSpec(cron="0 * * * *")
QUARTERS = ScheduleSpec(every=900.0)
NOON = 1_800_000_000.0  # a whole hour


def hours(after: float) -> float:
    return (floor(after / HOUR) + 1) * HOUR


def never(after: float) -> float | None:
    return None


def berlin(line: str):
    return lambda after: next_moment(line, after, BERLIN)


def at(*parts: int, fold: int = 0) -> float:
    return datetime(*parts, tzinfo=BERLIN, fold=fold).timestamp()


def moments_of(line: str, begin: float, end: float) -> list[str]:
    """What runs in a time, looked at every minute: each as local time."""
    schedule, last, now, found = ScheduleSpec(cron=line), begin, begin, []
    while now < end:
        now += 60.0
        done = look(schedule, berlin(line), last, now)
        last = done.moment
        if done.action == "run":
            found.append(datetime.fromtimestamp(done.moment, BERLIN).strftime("%d %H:%M %Z"))
    return found


# --- what is due ---


def test_a_moment_is_due_when_it_comes_and_once() -> None:
    assert look(HOURLY, hours, NOON, NOON + HOUR - 0.1) == Look("wait", NOON)
    assert look(HOURLY, hours, NOON, NOON + HOUR) == Look("run", NOON + HOUR)
    assert look(HOURLY, hours, NOON + HOUR, NOON + HOUR) == Look("wait", NOON + HOUR)
    assert next_run(HOURLY, hours, NOON + HOUR, 0.0) == NOON + 2 * HOUR


def test_an_interval_counts_from_the_last_moment() -> None:
    begin = NOON + 7.5
    assert next_run(QUARTERS, never, begin, 0.0) == begin + 900.0
    assert look(QUARTERS, never, begin, begin + 899.9).action == "wait"
    assert look(QUARTERS, never, begin, begin + 901.0) == Look("run", begin + 900.0)
    late = look(QUARTERS, never, begin, begin + 10 * 900.0 + 5.0)
    assert late == Look("run", begin + 9000.0), "one run, and the pace is kept"


def test_what_never_comes_is_never_due() -> None:
    assert next_run(HOURLY, never, NOON, 0.0) is None
    assert look(HOURLY, never, NOON, NOON + DAY).action == "wait"


def test_late_is_not_missed_and_missed_is_made_up_for_where_that_is_wanted() -> None:
    daily, calendar = ScheduleSpec(cron="0 4 * * *"), berlin("0 4 * * *")
    four, last = at(2026, 11, 22, 4), at(2026, 11, 21, 4)
    assert look(daily, calendar, last, four + GRACE) == Look("run", four)
    away = four + GRACE + 1.0
    assert look(daily, calendar, last, away) == Look("skip", four, missed=True)
    eager = replace(daily, catch_up=True)
    assert look(eager, calendar, last, away) == Look("run", four, missed=True)
    assert look(eager, calendar, four, away).action == "wait", "once"


def test_of_many_missed_moments_one_is_made_up_for() -> None:
    minutely = ScheduleSpec(cron="* * * * *", catch_up=True)
    now = at(2026, 11, 22, 12, 0) + 30.0
    done = look(minutely, berlin("* * * * *"), at(2024, 1, 1), now)
    assert done == Look("run", at(2026, 11, 22, 12, 0))
    yearly = ScheduleSpec(cron="0 0 29 2 *", catch_up=True)
    done = look(yearly, berlin("0 0 29 2 *"), at(2015, 1, 1), now)
    assert done == Look("run", at(2024, 2, 29), missed=True)


def test_what_the_last_master_has_begun_is_not_begun_again() -> None:
    due = NOON + HOUR
    assert look(HOURLY, hours, NOON, due + 1.0, began=due + 0.01) == Look("skip", due)
    assert look(HOURLY, hours, NOON, due + 1.0, began=due - 5.0).action == "run"


# --- the clock is set ---


@pytest.mark.parametrize("back", [60.0, HOUR, 5 * HOUR, DAY])
def test_no_moment_comes_twice_when_the_clock_is_set_back(back: float) -> None:
    done = NOON + HOUR
    now = done + 10.0 - back
    runs = []
    while now < done + 2 * HOUR:
        now += 60.0
        seen = look(HOURLY, hours, done if not runs else runs[-1], now)
        if seen.action == "run":
            runs.append(seen.moment)
    assert runs == [NOON + 2 * HOUR, NOON + 3 * HOUR]


def test_a_clock_that_was_wrong_by_more_than_a_day_is_not_waited_for() -> None:
    assert look(HOURLY, hours, NOON + SET_BACK + 1.0, NOON) == Look("anew", NOON)


def test_an_interval_begins_anew_when_the_clock_is_set_back() -> None:
    assert look(QUARTERS, never, NOON, NOON - 600.0) == Look("anew", NOON - 600.0)
    assert look(QUARTERS, never, NOON, NOON - 0.5).action == "wait", (
        "clocks that are kept right move a little"
    )


def test_a_clock_that_is_set_forward_is_like_time_without_a_master() -> None:
    jumped = NOON + 5 * HOUR + 600.0
    assert look(HOURLY, hours, NOON, jumped) == Look("skip", NOON + 5 * HOUR, missed=True)
    assert look(replace(HOURLY, catch_up=True), hours, NOON, jumped).action == "run"


# --- the hour changes ---


def test_what_has_a_fixed_hour_runs_once_when_that_hour_is_left_out() -> None:
    night = (at(2026, 3, 28, 12), at(2026, 3, 30, 12))
    assert moments_of("30 2 * * *", *night) == ["29 03:00 CEST", "30 02:30 CEST"]
    assert moments_of("0 3 * * *", *night) == ["29 03:00 CEST", "30 03:00 CEST"]


def test_what_has_a_fixed_hour_runs_once_when_that_hour_comes_twice() -> None:
    night = (at(2026, 10, 24, 12), at(2026, 10, 26, 12))
    assert moments_of("30 2 * * *", *night) == ["25 02:30 CEST", "26 02:30 CET"]


def test_what_has_a_fixed_hour_is_over_for_who_begins_in_its_second_pass() -> None:
    second = at(2026, 10, 25, 2, 10, fold=1)
    assert moments_of("30 2 * * *", second, at(2026, 10, 26, 12)) == ["26 02:30 CET"]


def test_what_runs_each_hour_follows_the_hours_as_they_pass() -> None:
    assert moments_of("0 * * * *", at(2026, 3, 29, 0, 30), at(2026, 3, 29, 4, 30)) == [
        "29 01:00 CET",
        "29 03:00 CEST",
        "29 04:00 CEST",
    ]
    assert moments_of("*/30 * * * *", at(2026, 10, 25, 1, 45), at(2026, 10, 25, 3, 15)) == [
        "25 02:00 CEST",
        "25 02:30 CEST",
        "25 02:00 CET",
        "25 02:30 CET",
        "25 03:00 CET",
    ]


# --- spread and words ---


def test_the_jitter_puts_all_moments_off_by_as_much_and_differs_between_instances() -> None:
    spread = replace(HOURLY, jitter=600.0)
    offsets = {offset_of(spread, f"host/app:{index}") for index in range(100)}
    assert len(offsets) == 100
    assert all(0.0 <= offset < 600.0 for offset in offsets)
    assert max(offsets) - min(offsets) > 400.0
    offset = offset_of(spread, "host/app:0")
    assert offset == offset_of(spread, "host/app:0"), "for every master"
    assert look(spread, hours, NOON, NOON + HOUR + offset - 0.01, offset).action == "wait"
    assert look(spread, hours, NOON, NOON + HOUR + offset, offset) == Look("run", NOON + HOUR)


def test_the_schedule_of_an_app_and_its_words() -> None:
    app = AppSpec("a", ("/bin/a",), "/")
    assert schedule_of(app) is None
    restarted = replace(app, cron_restart="0 4 * * *")
    assert schedule_of(restarted) == ScheduleSpec(cron="0 4 * * *")
    assert reason_of(restarted) == "cron_restart 0 4 * * *"
    job = replace(app, schedule=QUARTERS)
    assert schedule_of(job) == QUARTERS
    assert reason_of(job) == "schedule every 15m"
    assert reason_of(job, missed=True) == "schedule every 15m, made up for"


# --- whatever the clock does ---

steps = st.lists(
    st.sampled_from([1.0, 30.0, 61.0, 900.0, HOUR, 7 * HOUR, -1.0, -30.0, -HOUR, -DAY]), max_size=60
)
schedules = st.builds(
    ScheduleSpec,
    cron=st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 4 * * 1", "15 30 3 * * *"]),
    catch_up=st.booleans(),
    jitter=st.sampled_from([0.0, 300.0]),
)


@given(schedule=schedules, begin=st.sampled_from([at(2026, 3, 28, 20), at(2026, 10, 24, 20)]), jumps=steps)
def test_each_moment_comes_at_most_once_and_in_order(
    schedule: ScheduleSpec, begin: float, jumps: list[float]
) -> None:
    assert schedule.cron is not None
    calendar, offset = berlin(schedule.cron), offset_of(schedule, "host/app:0")
    last, now = begin, begin
    for jump in jumps:
        now += jump
        done = look(schedule, calendar, last, now, offset)
        if done.action == "anew":
            assert last - now > SET_BACK
        elif done.action != "wait":
            assert last < done.moment <= now - offset
            assert done.moment == calendar(done.moment - 1.0), "a moment of the line"
            following = calendar(done.moment)
            assert following is None or following + offset > now, "the last one that has passed"
            assert done.missed == (now - done.moment - offset > GRACE)
            assert (done.action == "skip") == (done.missed and not schedule.catch_up)
        else:
            following = calendar(last)
            assert following is None or following + offset > now, "nothing is overlooked"
        last = done.moment


@given(every=st.floats(1.0, 1e6), jumps=steps)
def test_an_interval_keeps_its_pace(every: float, jumps: list[float]) -> None:
    schedule = ScheduleSpec(every=every, catch_up=True)
    last, now = NOON, NOON
    for jump in jumps:
        now += jump
        done = look(schedule, never, last, now)
        if done.action == "run":
            assert last < done.moment <= now < done.moment + every * 1.000001
        elif done.action == "wait":
            assert now < last + every * 1.000001
        else:
            assert (done.action, done.moment) == ("anew", now)
        last = done.moment
