"""Days of an agent's life on a fake clock: what PM2 gets wrong, and when and how often it is restarted."""

from __future__ import annotations

import pytest
from lives import CRASH, HOUR, SERVES, app, delays, started
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Desired, Status
from pypm.core.policy import JITTER, restart_delay
from pypm.testing import Program

# --- what PM2 gets wrong ---


def test_an_app_that_was_stable_and_then_breaks_is_slowed_and_given_up() -> None:
    life = started(app(), Program(lives=20.0, code=1), CRASH)
    life.run(15 + 20)
    assert len(life.starts) <= 20, "PM2: 488 starts in these 15 s"
    life.run(HOUR)
    assert life.instance.status is Status.ERRORED
    assert life.instance.reason == "exit code 1; 16 restarts within 15m"
    assert len(life.starts) == 1 + 16


def test_the_brake_works_at_any_age() -> None:
    life = started(app(), Program(lives=100 * 24 * HOUR, code=1), CRASH)
    life.run(100 * 24 * HOUR + HOUR)
    assert life.instance.status is Status.ERRORED
    assert len(life.starts) == 17


@pytest.mark.parametrize("seconds", [2.0, 10.0, 30.0])
def test_a_slow_starter_that_always_fails_is_given_up(seconds: float) -> None:
    life = started(app(), Program(lives=seconds, code=1))
    life.run(HOUR)
    assert life.instance.status is Status.ERRORED
    assert life.instance.reason == "exit code 1; 16 restarts within 15m"


def test_errored_is_the_end_also_with_a_delay() -> None:
    life = started(app(delay=1.0, max_restarts=3), CRASH)
    life.run(HOUR)
    assert life.instance.status is Status.ERRORED
    assert life.statuses[-1] is Status.ERRORED
    assert life.instance.deadline is None
    assert len(life.starts) == 4


def test_errored_is_the_end_also_with_a_delay_and_no_autorestart() -> None:
    life = started(app(delay=1.0, autorestart="never"), CRASH)
    life.run(HOUR)
    assert life.instance.status is Status.ERRORED
    assert life.instance.reason == "exit code 1; autorestart is off"
    assert len(life.starts) == 1


@pytest.mark.parametrize(("number", "words"), [(9, "killed by SIGKILL"), (15, "killed by SIGTERM")])
def test_a_death_by_signal_is_no_exit_code(number: int, words: str) -> None:
    life = started(app(stop_exit_codes=(0, number, 128 + number)), Program(lives=60.0, signal=number), SERVES)
    life.run(61)
    assert life.instance.status is Status.ONLINE, "it was not taken for a clean finish"
    last = life.instance.last
    assert last is not None
    assert (last.code, last.signal, last.reason) == (None, number, words)
    assert life.instance.reason == f"restarted: {words}"


def test_a_death_by_signal_is_a_failure() -> None:
    life = started(app(autorestart="on-failure"), Program(lives=60.0, signal=9), SERVES)
    life.run(61)
    assert life.instance.status is Status.ONLINE
    life = started(app(autorestart="never"), Program(lives=60.0, signal=11))
    life.run(61)
    assert life.instance.status is Status.ERRORED
    assert life.instance.reason == "killed by SIGSEGV; autorestart is off"


# --- how soon ---


def test_the_first_restart_is_at_once_and_the_delays_grow() -> None:
    life = started(app(max_restarts=None), CRASH)
    life.run(200)
    assert delays(life)[0] == 0.05, "at once"
    waits = [delay - 0.05 for delay in delays(life)[1:]]
    for step, wait in enumerate(waits[:10]):
        assert wait == pytest.approx(0.1 * 1.5**step, rel=JITTER + 0.001)
    assert max(waits) <= 15.0
    assert min(waits[16:]) >= 15.0 * (1 - JITTER)


def test_exp_backoff_names_the_first_delay() -> None:
    life = started(app(backoff=2.0, max_backoff=5.0, max_restarts=None), CRASH)
    life.run(60)
    waits = [delay - 0.05 for delay in delays(life)]
    for wait, wanted in zip(waits, (2.0, 3.0, 4.5, 5.0, 5.0), strict=False):
        assert wanted * (1 - JITTER) <= wait + 1e-6
        assert wait <= min(wanted * (1 + JITTER), 5.0) + 1e-6


def test_exp_backoff_wins_over_restart_delay() -> None:
    life = started(app(backoff=2.0, delay=60.0), CRASH)
    life.run(10)
    assert len(life.starts) > 2


def test_restart_delay_is_constant_and_holds_for_the_first_one_too() -> None:
    life = started(app(delay=3.0), CRASH)
    life.run(31)
    assert set(delays(life)) == {3.05}


def test_a_restart_delay_of_zero_is_at_once_always() -> None:
    life = started(app(delay=0.0, max_restarts=50), CRASH)
    life.run(60)
    assert delays(life) == [0.05] * 50
    assert life.instance.status is Status.ERRORED
    assert Status.BACKOFF not in life.statuses


def test_instances_do_not_fail_in_step() -> None:
    first, second = (started(app(max_restarts=None), CRASH) for _ in range(2))
    assert first.instance.index == second.instance.index
    first.run(5)
    second.run(5)
    assert first.starts == second.starts, "the same life gives the same delays: a replay is exact"
    copies = [replace(first.instance, index=index, failures=5) for index in range(8)]
    assert len({restart_delay(copy, healthy=False) for copy in copies}) == 8


def test_a_healthy_uptime_begins_the_delays_anew() -> None:
    life = started(app(max_restarts=None), *[CRASH] * 8, Program(lives=31.0, code=1), CRASH)
    life.run(60)
    healthy = next(index for index, delay in enumerate(delays(life)) if delay >= 31)
    assert delays(life)[healthy] == 31.0, "at once after the healthy run"
    assert delays(life)[healthy + 1] < 0.05 + 0.1 * 1.2, "and the next delay is the second one"
    life.run(HOUR)


def test_an_uptime_below_the_limit_does_not() -> None:
    life = started(app(max_restarts=None), *[CRASH] * 8, Program(lives=29.0, code=1), CRASH)
    life.run(60)
    healthy = next(index for index, delay in enumerate(delays(life)) if delay >= 29)
    assert delays(life)[healthy] > 30.0


def test_the_wait_is_told_with_its_reason() -> None:
    life = started(app(), CRASH)
    life.run(0.12)
    assert life.instance.status is Status.BACKOFF
    assert life.instance.reason == "exit code 1"
    assert life.instance.deadline is not None
    assert life.instance.deadline > life.clock()


# --- how often ---


def test_the_window_of_the_brake_slides() -> None:
    life = started(app(delay=0.0, max_restarts=3, window=60.0), Program(lives=25.0, code=1))
    life.run(HOUR)
    assert len(life.starts) > 100, "never more than 3 restarts within a minute: it goes on"
    life = started(app(delay=0.0, max_restarts=3, window=60.0), Program(lives=19.0, code=1))
    life.run(HOUR)
    assert life.instance.reason == "exit code 1; 3 restarts within 1m"


def test_max_restarts_zero_means_none() -> None:
    life = started(app(max_restarts=0), CRASH)
    life.run(10)
    assert life.instance.status is Status.ERRORED
    assert life.instance.reason == "exit code 1; max_restarts is 0"
    assert len(life.starts) == 1


def test_max_restarts_one_means_one() -> None:
    life = started(app(max_restarts=1), CRASH)
    life.run(10)
    assert life.instance.reason == "exit code 1; 1 restart within 15m"
    assert len(life.starts) == 2


def test_no_max_restarts_means_no_limit() -> None:
    life = started(app(max_restarts=None, delay=0.0), CRASH)
    life.run(500)
    assert len(life.starts) in (10_000, 10_001)
    assert life.instance.status is Status.ONLINE
    assert life.instance.restart_times == ()
    assert len(life.instance.runs) == 10


def test_delays_do_not_overflow_after_very_many_failures() -> None:
    life = started(app(max_restarts=None), CRASH)
    life.run(24 * HOUR)
    assert life.instance.failures > 5000
    assert delays(life)[-1] <= 15.05


# --- whether ---


@pytest.mark.parametrize(
    ("policy", "code", "status", "reason"),
    [
        ("always", 0, Status.ONLINE, "restarted: exit code 0"),
        ("always", 1, Status.ONLINE, "restarted: exit code 1"),
        ("on-failure", 0, Status.EXITED, "exit code 0"),
        ("on-failure", 1, Status.ONLINE, "restarted: exit code 1"),
        ("never", 0, Status.EXITED, "exit code 0"),
        ("never", 1, Status.ERRORED, "exit code 1; autorestart is off"),
    ],
)
def test_autorestart(policy: str, code: int, status: Status, reason: str) -> None:
    life = started(app(autorestart=policy), Program(lives=5.0, code=code), SERVES)
    life.run(6)
    assert (life.instance.status, life.instance.reason) == (status, reason)
    assert life.instance.desired is Desired.UP


@pytest.mark.parametrize("policy", ["always", "on-failure", "never"])
def test_a_stop_exit_code_is_an_end_that_is_fine(policy: str) -> None:
    life = started(app(autorestart=policy, stop_exit_codes=(3, 4)), Program(lives=5.0, code=4), SERVES)
    life.run(6)
    assert life.instance.status is Status.EXITED
    assert life.instance.reason == "exit code 4, which is one of its stop_exit_codes"


def test_what_exited_or_was_given_up_can_be_started() -> None:
    for first in (Program(lives=5.0, code=0), Program(lives=5.0, code=1)):
        life = started(app(autorestart="never"), first, SERVES)
        life.run(6)
        assert life.instance.status in (Status.EXITED, Status.ERRORED)
        life.handle(ev.StartRequested())
        life.run(6)
        assert life.instance.status is Status.ONLINE
        assert life.instance.restarts == 0, "nobody restarted it"


# --- spawn failures ---


def test_what_cannot_be_started_is_a_failure_that_ends() -> None:
    life = started(app(max_restarts=4), Program(fails="/bin/agent: no such file or folder"))
    life.run(HOUR)
    assert life.instance.status is Status.ERRORED
    assert life.instance.reason == (
        "could not start: /bin/agent: no such file or folder; 4 restarts within 15m"
    )
    assert len(life.starts) == 5
    last = life.instance.last
    assert last is not None
    assert (last.code, last.signal, last.uptime) == (None, None, 0.0)


def test_what_could_not_be_started_once_is_tried_again() -> None:
    life = started(app(), Program(fails="the limit of processes is reached"), SERVES)
    life.run(1)
    assert life.instance.status is Status.ONLINE
    assert life.instance.reason == "restarted: could not start: the limit of processes is reached"


def test_a_spawn_failure_with_restarts_off_is_given_up() -> None:
    life = started(app(autorestart="never", stop_exit_codes=(0,)), Program(fails="no"))
    life.run(1)
    assert life.instance.status is Status.ERRORED


# --- who ends by itself ---


def test_who_does_its_work_and_ends_is_started_again_for_ever_but_slowly() -> None:
    life = started(app(max_restarts=2), Program(lives=1.5))
    life.run(300.0)
    assert len(life.starts) > 10
    assert life.instance.status in (Status.ONLINE, Status.BACKOFF)
    assert life.instance.restarts == len(life.starts) - 1
    assert delays(life)[-2] > 10.0


@pytest.mark.parametrize("program", [Program(lives=0.5), Program(lives=1.5, code=1)], ids=["soon", "failing"])
def test_who_ends_too_soon_or_failing_is_braked(program: Program) -> None:
    life = started(app(max_restarts=2), program)
    life.run(300.0)
    assert life.instance.status is Status.ERRORED
    assert len(life.starts) == 3
