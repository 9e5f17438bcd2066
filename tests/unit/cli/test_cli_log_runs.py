"""The runs that ``--run`` knows: those that an instance remembers, and those that its logs tell of."""

from __future__ import annotations

import pytest

from pypm.cli.log_runs import woven


@pytest.mark.parametrize(
    ("known", "written", "runs"),
    [
        ("", "", ""),
        ("", "ab", "ba"),
        ("c", "abc", "cba"),
        ("c", "ab", "cba"),  # the present one has printed nothing yet
        ("db", "abcd", "dcba"),  # c was ended by a reload
        ("dba", "bcd", "dcba"),
        ("cb", "a", "cba"),
        ("b", "abc", "bca"),  # c was one that did not come up in a reload
        ("cba", "", "cba"),
    ],
)
def test_runs_of_a_log_are_woven_in(known: str, written: str, runs: str) -> None:
    assert woven([f"{ord(run):012x}" for run in known], map(ord, written)) == tuple(
        f"{ord(run):012x}" for run in runs
    )
