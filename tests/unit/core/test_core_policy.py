"""The small parts of the restart policy and its words."""

from __future__ import annotations

import signal

import pytest
from msgspec.structs import replace

from pypm.core.instance import Instance, RunEnd, Status, settled_at
from pypm.core.policy import (
    describe_duration,
    describe_exit,
    recent,
    should_restart,
    signal_name,
    was_healthy,
)
from pypm.core.spec import AppSpec, RestartPolicy, instance_name

SPEC = AppSpec("agent", ("/bin/agent",), "/")


def instance(**fields: object) -> Instance:
    return Instance(id=1, app="agent", index=0, created=0.0, since=0.0, spec=SPEC, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0ms"),
        (0.1, "100ms"),
        (0.25, "250ms"),
        (1.0, "1s"),
        (1.5, "1.5s"),
        (59.0, "59s"),
        (60.0, "1m"),
        (90.0, "90s"),
        (900.0, "15m"),
        (3600.0, "1h"),
        (172800.0, "2d"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert describe_duration(seconds) == words


def test_ways_to_end() -> None:
    assert describe_exit(3, None, False) == "exit code 3"
    assert describe_exit(None, "SIGSEGV", True) == "killed by SIGSEGV (core dumped)"
    assert describe_exit(None, "SIGKILL", False) == "killed by SIGKILL"
    assert describe_exit(None, None, False) == "ended while no master watched; its exit status is unknown"


def test_signals_have_their_names() -> None:
    assert signal_name(signal.SIGSEGV) == "SIGSEGV"
    assert signal_name(99) == "signal 99"


def test_only_restarts_within_the_window_count_and_no_more_are_kept_than_needed() -> None:
    policy = RestartPolicy(max_restarts=3, window=10.0)
    assert recent((1.0, 5.0, 9.0), policy, 15.0) == (5.0, 9.0)
    assert recent((1.0, 2.0, 3.0, 4.0), policy, 5.0) == (2.0, 3.0, 4.0)
    assert recent((1.0, 2.0), replace(policy, max_restarts=None), 2.0) == ()
    assert recent((1.0, 2.0), replace(policy, max_restarts=0), 2.0) == ()


def test_healthy_is_who_was_ready_and_long_up() -> None:
    policy = RestartPolicy(backoff_reset=30.0)
    end = RunEnd(at=0.0, uptime=30.0, reason="", ready=True)
    assert was_healthy(end, policy)
    assert not was_healthy(replace(end, uptime=29.9), policy)
    assert not was_healthy(replace(end, ready=False), policy)


def test_a_verdict_has_its_reason_and_delay() -> None:
    end = RunEnd(at=0.0, uptime=1.0, reason="exit code 1", code=1, ready=True)
    assert should_restart(instance(), end, 0.0) == ("restart", "exit code 1", 0.0)
    kind, reason, delay = should_restart(instance(failures=3), end, 0.0)
    assert (kind, reason) == ("restart", "exit code 1")
    assert delay == pytest.approx(0.1 * 1.5**2, rel=0.11)


def test_names_of_instances() -> None:
    assert instance_name("web", 0, 1) == "web"
    assert instance_name("web", 0, 2) == "web:0"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.STARTING, None),
        (Status.STOPPING, None),
        (Status.BACKOFF, 0.0),
        (Status.ERRORED, 0.0),
        (Status.STOPPED, 0.0),
    ],
)
def test_when_a_start_is_decided(status: Status, expected: float | None) -> None:
    assert settled_at(instance(status=status)) == expected
