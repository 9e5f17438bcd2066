from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from pypm.core.date_format import DateFormatError, compile_date_format

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))
LATE = datetime(2026, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=5, minutes=45)))


@pytest.mark.parametrize(
    ("text", "early", "late"),
    [
        ("YYYY-MM-DDTHH:mm:ss.SSSZ", "2026-03-04T05:06:07.089-03:30", "2026-12-31T23:59:59.000+05:45"),
        ("YYYY-MM-DD HH:mm Z", "2026-03-04 05:06 -03:30", "2026-12-31 23:59 +05:45"),
        ("D/M/YY h:m:s a", "4/3/26 5:6:7 am", "31/12/26 11:59:59 pm"),
        ("DDMM hh A ZZ", "0403 05 AM -0330", "3112 11 PM +0545"),
        ("H[ o'clock, Dd]", "5 o'clock, Dd", "23 o'clock, Dd"),
        ("X x", "1772613367 1772613367089", "1798740899 1798740899000"),
    ],
)
def test_letters(text: str, early: str, late: str) -> None:
    write = compile_date_format(text)
    assert (write(MOMENT), write(LATE)) == (early, late)


def test_noon_and_midnight() -> None:
    write = compile_date_format("hhA")
    at = [write(MOMENT.replace(hour=hour)) for hour in (0, 11, 12, 13)]
    assert at == ["12AM", "11AM", "12PM", "01PM"]


@pytest.mark.parametrize(
    "text", ["MMMM", "Do", "S", "SS", "YYY", "at HH", "[", "a]", " ", "H\nm", "[x]" * 90]
)
def test_what_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(DateFormatError):
        compile_date_format(text)
