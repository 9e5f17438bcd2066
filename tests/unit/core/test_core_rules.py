"""Rules for how runs end: what fits, what follows, and what does not count as a failure."""

from __future__ import annotations

import pytest
from lives import HOUR, SERVES, app, started
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import ReadLog
from pypm.core.instance import After, RunEnd, Status
from pypm.core.rules import LogMatch, Ruling, hold_time, patterns_to_read, rule_for, search_lines
from pypm.core.spec import Rule
from pypm.core.state import App, assemble, decode, encode_app, encode_instance
from pypm.testing import Program

END = RunEnd(at=10.0, uptime=5.0, reason="exit code 75", code=75, ready=True, run_id="r1", cause="exit")
RATE = r"rate limit.*retry after (\d+)"
LIMITED = Program(lives=5.0, code=75, writes=("begin", "rate limit reached, retry after 30", "bye"))


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Rule("hold"), True),
        (Rule("hold", causes=("exit", "signal")), True),
        (Rule("hold", causes=("oom",)), False),
        (Rule("hold", codes=(1, 75)), True),
        (Rule("hold", codes=(1,)), False),
        (Rule("hold", signals=("SIGSEGV",)), False),
        (Rule("hold", causes=("exit",), codes=(3,)), False),
    ],
    ids=str,
)
def test_all_conditions_that_are_given_have_to_fit(rule: Rule, fits: bool) -> None:
    assert (rule_for((rule,), END) is not None) is fits


def test_a_signal_fits_by_its_name() -> None:
    killed = replace(END, code=None, signal=11, cause="signal")
    assert rule_for((Rule("stop", signals=("SIGABRT", "SIGSEGV")),), killed) is not None


@pytest.mark.parametrize("rule", [Rule("hold", codes=(75,)), Rule("hold", signals=("SIGTERM",))], ids=str)
def test_how_a_run_ended_that_we_have_ended_says_nothing(rule: Rule) -> None:
    planned = replace(END, planned=True, signal=15, cause="memory")
    assert rule_for((rule,), planned) is None
    assert rule_for((Rule("hold", causes=("memory",)),), planned) is not None


def test_the_first_rule_that_fits_decides() -> None:
    rules = (Rule("stop", codes=(3,)), Rule("hold", codes=(75,)), Rule("stop"))
    ruling = rule_for(rules, END)
    assert ruling == Ruling(rules[1], 2, None)


def test_the_log_is_read_only_where_that_can_decide() -> None:
    rules = (
        Rule("hold", codes=(3,), log="never asked"),
        Rule("hold", log="one"),
        Rule("hold", log="one", codes=(75,)),
        Rule("stop", codes=(75,)),
        Rule("hold", log="too late"),
    )
    assert patterns_to_read(rules, END) == ("one",)
    assert patterns_to_read(rules, replace(END, cause="spawn", code=None)) == ()
    assert patterns_to_read(rules, replace(END, cause="dependency", code=None)) == ()
    assert patterns_to_read(rules[3:], END) == ()


def test_the_newest_line_that_matches_counts() -> None:
    found = search_lines([RATE, "nothing"], ["rate limit, retry after 9", "rate limit, retry after 60 ", "x"])
    assert found == (LogMatch(RATE, "rate limit, retry after 60", ("60",)),)


@pytest.mark.parametrize(
    ("like", "groups", "seconds"),
    [
        ("$1s", ("30",), 30.0),
        ("$1", ("30",), 30.0),
        ("$1", ("1m30s",), 90.0),
        ("$1m $2s", ("2", "5"), 125.0),
        ("$1ms", ("90000",), 90.0),
        ("$1h", ("99",), 600.0),
        ("$1", ("0",), 1.0),
        ("$1", ("soon",), 600.0),
        ("$2s", ("30",), 600.0),
    ],
)
def test_a_time_from_the_log_has_its_bounds(like: str, groups: tuple[str, ...], seconds: float) -> None:
    rule = Rule("hold", log="x", hold_like=like, longest=600.0)
    assert hold_time(Ruling(rule, 1, LogMatch("x", "x", groups))) == seconds


# --- lives ---


def test_held_for_a_time_is_no_failure_and_never_braked() -> None:
    spec = app(rules=(Rule("hold", codes=(75,), hold_for=600.0),), max_restarts=2)
    life = started(spec, Program(lives=5.0, code=75))
    life.run(6.0)
    held = life.instance
    assert (held.status, held.reason) == (Status.HELD, "exit code 75; held for 10m")
    assert (held.deadline, held.failures, held.restart_times) == (life.starts[0] + 605.0, 0, ())
    assert held.last is not None
    assert held.last.rule == "rule 1 (exit code 75): hold"
    life.run(3 * HOUR)
    assert len(life.starts) == 1 + int(3 * HOUR // 605)
    assert life.instance.restarts == len(life.starts) - 1


def test_what_has_ended_without_a_master_is_held_from_its_end_on() -> None:
    life = started(app(rules=(Rule("hold", hold_for=600.0),)), SERVES)
    life.run(1000.0)
    ended = life.clock() - 100.0
    life.handle(ev.Exited("run1", 1, at=ended))
    assert life.instance.deadline == ended + 600.0
    late = started(app(rules=(Rule("hold", hold_for=600.0),)), SERVES)
    late.run(1000.0)
    late.handle(ev.Exited("run1", 1, at=late.clock() - 900.0))
    late.run(1.0)
    assert late.instance.status is Status.ONLINE


def test_held_until_told() -> None:
    spec = app(rules=(Rule("hold", codes=(77,), reason="login failed"),))
    life = started(spec, Program(lives=5.0, code=77), SERVES)
    life.run(HOUR)
    assert (life.instance.status, life.instance.deadline) == (Status.HELD, None)
    assert life.instance.reason == "login failed (exit code 77); held until told"
    life.handle(ev.StartRequested())
    life.run(1.0)
    assert life.instance.status is Status.ONLINE


def test_the_log_says_for_how_long() -> None:
    spec = app(rules=(Rule("hold", log=RATE, hold_like="$1s"), Rule("stop")))
    life = started(spec, LIMITED, SERVES)
    life.run(10.0)
    line = LIMITED.writes[1]
    assert life.instance.reason == f'exit code 75, "{line}"; held for 30s'
    assert life.instance.deadline == life.starts[0] + 35.0
    life.run(30.0)
    assert life.instance.status is Status.ONLINE


def test_a_log_that_says_nothing_leaves_it_to_the_next_rule() -> None:
    spec = app(rules=(Rule("hold", log="never"), Rule("stop", reason="no more")))
    life = started(spec, LIMITED)
    life.run(10.0)
    assert (life.instance.status, life.instance.reason) == (
        Status.ERRORED,
        "no more (exit code 75); not restarted",
    )


def test_a_log_that_cannot_be_read_in_time_decides_nothing() -> None:
    spec = app(rules=(Rule("hold", log="x"),), delay=60.0)
    life = started(spec, SERVES)
    life.run(1.0)
    life.handle(ev.Exited(life.process.run_id, 1))
    reading = life.instance
    life.instance = reading  # the answer never comes
    life._scheduled = [each for each in life._scheduled if each[2]]
    life.run(2.9)
    assert life.instance.status is Status.STOPPING
    life.run(0.2)
    assert (life.instance.status, life.instance.reason) == (Status.BACKOFF, "exit code 1")


def test_stop_is_an_end_that_is_fine_only_where_its_exit_code_was_expected() -> None:
    for program, rule, status in (
        (Program(lives=5.0, code=3), Rule("stop", codes=(3,)), Status.EXITED),
        (Program(lives=5.0, code=0), Rule("stop", causes=("exit",)), Status.EXITED),
        (Program(lives=5.0, code=3), Rule("stop", causes=("exit",)), Status.ERRORED),
        (Program(lives=5.0, signal=9), Rule("stop", causes=("signal",)), Status.ERRORED),
    ):
        life = started(app(rules=(rule,)), program)
        life.run(6.0)
        assert life.instance.status is status


def test_a_restart_has_its_own_delay_and_keeps_the_brake() -> None:
    spec = app(rules=(Rule("restart", signals=("SIGKILL",), delay=5.0),), max_restarts=3)
    life = started(spec, Program(lives=1.0, signal=9))
    life.run(100.0)
    assert life.starts == [life.starts[0] + 6.0 * number for number in range(4)]
    assert life.instance.status is Status.ERRORED


def test_a_rule_wins_over_the_exit_codes_and_over_autorestart() -> None:
    spec = app(rules=(Rule("restart", codes=(3,)),), stop_exit_codes=(3,), autorestart="never")
    life = started(spec, Program(lives=5.0, code=3), SERVES)
    life.run(6.0)
    assert life.instance.status is Status.ONLINE


def test_a_program_that_cannot_be_started_can_be_held() -> None:
    life = started(app(rules=(Rule("hold", causes=("spawn",)),)), Program(fails="no such file"))
    life.run(1.0)
    assert life.instance.reason == "could not start: no such file; held until told"


def test_what_an_operator_ended_is_no_rules_business() -> None:
    life = started(app(rules=(Rule("hold"),)), SERVES)
    life.run(1.0)
    life.handle(ev.StopRequested())
    life.run(1.0)
    assert life.instance.status is Status.STOPPED


def test_an_operator_wins_over_a_log_that_is_being_read() -> None:
    life = started(app(rules=(Rule("hold", log="x"),)), SERVES)
    life.run(1.0)
    life.handle(ev.Exited(life.process.run_id, 1))
    assert life.instance.run is not None
    assert life.instance.run.reading
    life.handle(ev.StopRequested())
    life.run(0.1)
    assert life.instance.status is Status.STOPPED


def test_the_next_master_looks_again_and_finds_what_was_decided() -> None:
    spec = app(rules=(Rule("hold", log=RATE, hold_like="$1s"),))
    life = started(spec, LIMITED, SERVES)
    life.run(1.0)
    life.handle(ev.Exited(life.process.run_id, 75))
    saved = assemble("b", 0, 0, 1, {}, [encode_app(App(spec, 0.0), "")], [encode_instance(life.instance)])
    restored = decode(saved).instances[0]
    assert restored == life.instance
    life.instance = restored
    life.handle(ev.Recovered())
    life.run(0.1)
    held = life.instance
    assert held.status is Status.HELD
    assert held.after is After.STOP
    saved = assemble("b", 0, 0, 1, {}, [encode_app(App(spec, 0.0), "")], [encode_instance(held)])
    assert decode(saved).instances[0] == held
    life.handle(ev.Recovered())
    life.run(30.0)
    assert life.instance.status is Status.ONLINE


def test_reading_is_ordered_once() -> None:
    life = started(app(rules=(Rule("hold", log="x"),)), SERVES)
    life.run(1.0)
    orders = []
    life._perform = orders.append  # type: ignore[method-assign]
    life.handle(ev.Exited(life.process.run_id, 1))
    life.handle(ev.TreeGone(life.process.run_id))
    assert [order for order in orders if isinstance(order, ReadLog)] == [ReadLog(("x",))]


# --- causes ---


@pytest.mark.parametrize(
    ("event", "cause", "reason"),
    [
        (ev.Exited("run1", 3), "exit", "exit code 3"),
        (ev.Exited("run1", None, 11), "signal", "killed by SIGSEGV"),
        (ev.Exited("run1", None, 9, oom="out of memory"), "oom", "killed by SIGKILL: out of memory"),
        (ev.Exited("run1"), "unknown", "ended while no master watched; its exit status is unknown"),
        (ev.Exited("run1", reason="the machine was restarted"), "reboot", "the machine was restarted"),
        (ev.RestartRequested(), "operator", "restarted by operator"),
        (ev.RestartRequested(by="root (pypm restart a)"), "operator", "restarted by root (pypm restart a)"),
        (ev.RestartRequested(reason="a change of env", cause="config"), "config", "a change of env"),
        (ev.StopRequested(by="root"), "operator", "stopped by root"),
        (ev.MemoryOver("run1", 2**30), "memory", "memory 1024M > 100M"),
        (ev.WatchdogTriggered("run1"), "watchdog", "the agent asked for it (watchdog trigger)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ev.Event) else value,
)
def test_every_end_has_its_cause(event: ev.Event, cause: str, reason: str) -> None:
    life = started(app(max_memory=100 * 2**20), SERVES)
    life.run(1.0)
    life.handle(event)
    life.run(11.0)
    last = life.instance.last
    assert last is not None
    assert (last.cause, last.reason) == (cause, reason)


def test_the_clocks_have_causes_of_their_own() -> None:
    late = started(app(wait_ready=True, listen_timeout=3.0), SERVES)
    late.run(4.0)
    assert late.instance.last is not None
    assert late.instance.last.cause == "not-ready"
    broken = started(app(), Program(fails="no such file"))
    broken.run(0.05)
    assert broken.instance.last is not None
    assert broken.instance.last.cause == "spawn"


def test_who_stops_what_was_being_restarted_is_the_cause() -> None:
    life = started(app(max_memory=2**20), Program(grace=5.0))
    life.run(1.0)
    life.handle(ev.MemoryOver("run1", 2**30))
    life.handle(ev.StopRequested(by="alice"))
    life.run(6.0)
    last = life.instance.last
    assert last is not None
    assert (last.cause, last.reason) == ("operator", "stopped by alice")
