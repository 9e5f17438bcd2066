"""The order of ``pypm list --sort``."""

from __future__ import annotations

import pytest
from scripted_master import make_row

from pypm.cli.sorting import FIELDS, sorted_rows
from pypm.core.errors import UsageError

ROWS = [
    make_row(0, "b", memory_bytes=300, uptime_seconds=5.0),
    make_row(1, "a", memory_bytes=100, uptime_seconds=9.0),
    make_row(2, "c", status="stopped"),
    make_row(3, "d", memory_bytes=200, uptime_seconds=7.0),
]


def order(wanted: str) -> list[int]:
    return [row["id"] for row in sorted_rows(ROWS, wanted)]


def test_ascending_unless_said_otherwise_and_what_has_no_value_last() -> None:
    assert order("name") == order("name:asc") == [1, 0, 2, 3]
    assert order("name:desc") == [3, 2, 0, 1]
    assert order("memory") == [1, 3, 0, 2]
    assert order("mem:desc") == [0, 3, 1, 2]
    assert order("uptime:desc") == [1, 3, 0, 2]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_is_one_of_a_row(field: str) -> None:
    assert sorted(order(field)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("wanted", "hint"), [("memori", "memory"), ("?", "there are: id"), ("cpu:up", "asc")]
)
def test_another_word_is_an_error_that_names_the_right_ones(wanted: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        order(wanted)
    assert hint in str(caught.value.hint)
