from __future__ import annotations

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from pypm.system.cron import next_moment

BERLIN = ZoneInfo("Europe/Berlin")


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=BERLIN).timestamp()


def test_the_moments_are_those_of_the_local_clock_also_when_it_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert next_moment("0 0 * * *", at(2026, 10, 24, 12)) == at(2026, 10, 25)
    # The night in which the clock goes back has 25 hours.
    assert next_moment("0 0 * * *", at(2026, 10, 25)) == at(2026, 10, 26) == at(2026, 10, 25) + 25 * 3600
    assert next_moment("30 4 * * 1", at(2026, 11, 22, 12)) == at(2026, 11, 23, 4, 30)


def test_a_moment_is_later_than_the_time_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert next_moment("* * * * *", 60.0) == 120.0
    assert next_moment("* * * * *", 60.5) == 120.0


def test_what_never_comes_and_what_is_no_cron_line() -> None:
    for line in ("0 0 30 2 *", "every day", "* * * *", ""):
        with pytest.raises(ValueError, match=r"Bad|Wrong"):
            next_moment(line, 0.0)


def test_the_zone_of_the_machine_is_used_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    moment = next_moment("0 0 * * *", 86400.0 * 365)
    assert moment is not None
    assert time.localtime(moment)[3:6] == (0, 0, 0)
