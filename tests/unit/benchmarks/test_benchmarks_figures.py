"""What is said about samples."""

from __future__ import annotations

import pytest

from benchmarks.figures import Samples, format_number


def test_median_and_worst() -> None:
    samples = Samples.of([5.0, 1.0, 2.0, 9.0])
    assert samples.median == 3.5
    assert samples.worst == 9.0


def test_nothing_is_not_a_sample() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Samples.of([])


@pytest.mark.parametrize(
    ("values", "is_wide"),
    [
        ([10.0], False),
        ([10.0, 10.1, 9.9, 10.0], False),
        ([10.0, 20.0, 30.0, 40.0], True),
        ([0.0, 0.0, 0.0], False),
        ([10.0] * 9 + [1000.0], False),  # one outlier says nothing about the middle half
    ],
)
def test_wide_means_that_the_middle_half_spreads_over_half_of_the_median(
    values: list[float], is_wide: bool
) -> None:
    assert Samples.of(values).is_wide is is_wide


def test_spread_is_the_interquartile_range_over_the_median() -> None:
    assert Samples.of([1.0, 2.0, 3.0, 4.0, 5.0]).spread == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0000123, "1.23e-05"),
        (0.03853, "0.0385"),
        (5.789, "5.79"),
        (39.61, "39.6"),
        (3.0, "3"),
        (123.4, "123"),
        (1007.2, "1,007"),
        (7368205.0, "7,368,205"),
    ],
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert format_number(value) == text
