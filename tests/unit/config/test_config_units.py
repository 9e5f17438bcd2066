"""Durations and sizes: every accepted form, every refused one, and there and back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypm.config.units import format_duration, format_size, parse_duration, parse_size
from pypm.core.errors import ConfigError

UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (500, 0.5),
        (1.5, 0.0015),
        ("2500", 2.5),
        ("500ms", 0.5),
        ("5s", 5.0),
        ("10m", 600.0),
        ("1.5h", 5400.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("1d", 86400.0),
        ("1m500ms", 60.5),
        (" 5s ", 5.0),
    ],
)
def test_durations_that_are_understood(value, seconds):
    assert parse_duration(value) == pytest.approx(seconds)


NO_NUMBERS = [
    True,
    False,
    -1,
    -0.5,
    math.nan,
    None,
    [],
    {},
    "",
    "  ",
    "-5s",
    "5 x",
    "s",
    "5s5",
    "٥s",
    "nan",
    "1e3",
]


@pytest.mark.parametrize("value", [*NO_NUMBERS, "30m1h", "5S", "5M", math.inf, 10**400, "9" * 5000, "40000d"])
def test_other_durations_name_the_value_and_what_is_expected(value):
    with pytest.raises(ConfigError) as caught:
        parse_duration(value)
    assert '"500ms", "5s", "10m", "1h30m", "1d"' in caught.value.message
    if isinstance(value, str) and len(value) < 50:
        assert repr(value) in caught.value.message


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 0),
        (300, 300),
        ("300", 300),
        ("10B", 10),
        ("512K", 512 * 1024),
        ("300M", 300 * 1024**2),
        ("300mb", 300 * 1024**2),
        ("1 GiB", 1024**3),
        ("1.5G", 3 * 1024**3 // 2),
        ("2T", 2 * 1024**4),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_sizes_that_are_understood(value, size):
    assert parse_size(value) == size


@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, "5X", "10BB", "10IB", math.inf, 2**63, "9" * 5000, "9999999999T"]
)
def test_other_sizes_name_the_value_and_what_is_expected(value):
    with pytest.raises(ConfigError) as caught:
        parse_size(value)
    assert '"512K", "300M", "1.5G"' in caught.value.message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0, "0s"),
        (0.04, "40ms"),
        (1, "1s"),
        (2.56, "2.5s"),
        (9.99, "9.9s"),
        (59.9, "59s"),
        (60, "1m"),
        (61, "1m 1s"),
        (3600, "1h"),
        (3601, "1h"),
        (4320, "1h 12m"),
        (90000, "1d 1h"),
        (259200, "3d"),
    ],
)
def test_durations_for_people(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1K"),
        (1536, "1.5K"),
        (10 * 1024, "10K"),
        (312 * 1024**2, "312M"),
        (1023.9 * 1024, "1M"),
        (1.5 * 1024**3, "1.5G"),
        (3000 * 1024**4, "3000T"),
    ],
)
def test_sizes_for_people(size, text):
    assert format_size(size) == text


@settings(deadline=None)
@given(st.lists(st.integers(0, 999), min_size=5, max_size=5), st.integers(1, 31), st.sampled_from(["", " "]))
def test_any_units_in_order_add_up(counts, chosen, blank):
    parts = [
        (count, unit)
        for bit, (count, unit) in enumerate(zip(counts, UNITS, strict=True))
        if chosen & 1 << bit
    ]
    text = blank.join(f"{count}{unit}" for count, unit in parts)
    assert parse_duration(text) == pytest.approx(sum(count * UNITS[unit] for count, unit in parts))


@settings(deadline=None)
@given(st.floats(0, 10**8))
def test_a_duration_for_people_can_be_read_back_rounded_down(seconds):
    read = parse_duration(format_duration(seconds))
    assert seconds * 0.95 - 0.1 <= read <= seconds + 1e-9


@settings(deadline=None)
@given(st.integers(0, 2**50))
def test_a_size_for_people_can_be_read_back_nearly(size):
    text = format_size(size)
    assert parse_size(text) == pytest.approx(size, rel=0.055)
    assert len(text) <= 5


@settings(deadline=None)
@given(
    st.one_of(
        st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(), st.lists(st.text())
    )
)
def test_whatever_comes_is_a_sound_number_or_a_config_error(value):
    for parse in (parse_duration, parse_size):
        try:
            result = parse(value)
        except ConfigError:
            continue
        assert math.isfinite(result)
        assert result >= 0
