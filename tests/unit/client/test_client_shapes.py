"""The types of the Python interface have the fields that the master tells."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from pypm.core.instance import Health, Status
from pypm.master import rows
from pypm.master.usage_rows import UsageReport
from pypm.protocol import shapes


@pytest.mark.parametrize(
    ("told", "shape"),
    [
        (rows.Row, shapes.Row),
        (rows.Detail, shapes.Detail),
        (rows.LastExit, shapes.Exit),
        (UsageReport, shapes.Usage),
    ],
)
def test_fields(told: type, shape: type) -> None:
    assert set(told.__struct_fields__) == set(get_type_hints(shape))  # type: ignore[attr-defined]


def test_words() -> None:
    assert set(get_args(shapes.Status)) == {str(each) for each in Status}
    assert set(get_args(shapes.Health)) == {str(each) for each in Health}
