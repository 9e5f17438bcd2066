"""Simulated agent-days: the judgement of the state machine, in small; the benchmark has 10,000 of them."""

from __future__ import annotations

from benchmarks.agent_days import simulate


def test_nobody_is_disturbed_and_no_stall_is_missed() -> None:
    outcome = simulate(60)
    assert outcome.stalls > 10
    assert (outcome.disturbed, outcome.missed, outcome.wrong_reasons) == ([], [], [])
    assert outcome.slowest <= 1.0
