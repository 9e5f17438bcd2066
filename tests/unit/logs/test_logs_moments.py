from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pypm.logs.moments import parse_moment

NOW = datetime(2026, 11, 22, 16, 23, 42, 500_000, UTC)


@pytest.fixture(autouse=True)
def vienna(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is an hour ahead of UTC (two in summer), without a zone database."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(text: str) -> int:
    return round(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-11-22T16:23:42.5"),
        ("90s", "2026-11-22T16:22:12.5"),
        ("1h", "2026-11-22T15:23:42.5"),
        ("-1h", "2026-11-22T15:23:42.5"),
        ("5 minutes ago", "2026-11-22T16:18:42.5"),
        ("1 hour 2 mins 3 sec", "2026-11-22T15:21:39.5"),
        ("2 days ago", "2026-11-20T16:23:42.5"),
        ("1 week", "2026-11-15T16:23:42.5"),
        ("2h30m", "2026-11-22T13:53:42.5"),
        ("1h 30min ago", "2026-11-22T14:53:42.5"),
        ("1.5h", "2026-11-22T14:53:42.5"),
        ("500ms", "2026-11-22T16:23:42"),
        ("1d", "2026-11-21T16:23:42.5"),
        ("2w", "2026-11-08T16:23:42.5"),
        ("10:30", "2026-11-22T09:30:00"),
        ("9:05:07", "2026-11-22T08:05:07"),
        ("today", "2026-11-21T23:00:00"),
        ("yesterday", "2026-11-20T23:00:00"),
        ("yesterday 18:00", "2026-11-21T17:00:00"),
        ("2026-11-22", "2026-11-21T23:00:00"),
        ("2026-07-01 10:30", "2026-07-01T08:30:00"),
        ("2026-11-22 10:30:15", "2026-11-22T09:30:15"),
        ("2026-11-22T10:30:15.250", "2026-11-22T09:30:15.25"),
        ("2026-11-22T10:30:15Z", "2026-11-22T10:30:15"),
        ("2026-11-22T10:30:15.598Z", "2026-11-22T10:30:15.598"),
        ("2026-11-22 10:30 +02:00", "2026-11-22T08:30:00"),
        ("2026-11-22T10:30:15-0500", "2026-11-22T15:30:15"),
        ("@1795343400", "2026-11-22T10:30:00"),
        ("@1795343400.25", "2026-11-22T10:30:00.25"),
    ],
)
def test_moments(text: str, moment: str) -> None:
    assert parse_moment(text, NOW) == utc(moment)


def test_a_time_of_day_that_is_yet_to_come_is_yesterdays_where_the_past_is_meant() -> None:
    assert parse_moment("23:50", NOW) == utc("2026-11-22T22:50:00")
    assert parse_moment("23:50", NOW, past=True) == utc("2026-11-21T22:50:00")
    assert parse_moment("10:30", NOW, past=True) == utc("2026-11-22T09:30:00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foo",
        "1",
        "1x",
        "3 months",
        "10",
        "25:00",
        "10:60",
        "10:30:61",
        "2026-13-01",
        "2026-02-30",
        "2026-11-22 foo",
        "22.11.2026",
        "yesterday foo",
        "1h foo",
        "@",
        "@x",
        "2026-11-22T10:30+99:00",
        "h",
        "١٠:٣٠",
    ],
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the caller's
        parse_moment(text, NOW)
