"""``wait_until`` gives what it waited for, or says what did not come."""

from __future__ import annotations

import pytest

from pypm.testing import wait_until


def test_it_gives_the_first_true_value() -> None:
    values = iter([0, None, "", "here"])
    assert wait_until(lambda: next(values)) == "here"


def test_it_looks_once_also_without_any_time() -> None:
    assert wait_until(lambda: 7, timeout=0.0) == 7


def test_it_says_what_did_not_come() -> None:
    with pytest.raises(AssertionError, match=r"not within 0.02 s: the moon \(last value: 0\)"):
        wait_until(lambda: 0, timeout=0.02, what="the moon")

    def full_house() -> list[int]:
        return []

    with pytest.raises(AssertionError, match="full_house"):
        wait_until(full_house, timeout=0.0)


def test_an_error_of_the_condition_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0)
