"""Probes on the fake clock: which are asked, what their answers count, and what follows."""

from __future__ import annotations

import pytest
from invariants import checked_step
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Persist, Publish, Signal, Snapshot, Tell
from pypm.core.instance import Health, Instance, ProbeResult, ProbeState, Run, Status
from pypm.core.probe_spec import ProbeKind, ProbeSpec
from pypm.core.probes import counted, wanted
from pypm.core.spec import AppSpec, HealthSpec, Rung
from pypm.core.state import App, assemble, decode, encode_app, encode_instance
from pypm.testing.simulation import Program, Simulation

PROBE = ProbeSpec(tcp="127.0.0.1:1")
YES: ProbeResult = "success"
NO: ProbeResult = "failure"
DUNNO: ProbeResult = "unknown"


class Life(Simulation):
    """A run whose probes a test answers."""

    def __init__(self, health: HealthSpec, program: Program | None = None, **spec: object) -> None:
        app = AppSpec("a", ("/a",), "/", health=health, **spec)  # type: ignore[arg-type]
        super().__init__(app, [program or Program()])
        self.handle(ev.StartRequested())

    @property
    def run_now(self) -> Run:
        assert self.instance.run is not None
        return self.instance.run

    def answer(self, kind: ProbeKind, *results: ProbeResult, output: str = "x") -> None:
        for result in results:
            self.handle(ev.Probed(self.run_now.run_id, kind, result, output))

    def asked(self) -> set[ProbeKind]:
        return set(wanted(self.instance))


def life(program: Program | None = None, **probes: object) -> Life:
    found = Life(HealthSpec(**probes), program)  # type: ignore[arg-type]
    found.run(0.0)
    return found


def test_startup_holds_back_the_others() -> None:
    it = life(startup=PROBE, liveness=PROBE, readiness=PROBE)
    assert (it.instance.status, it.asked()) == (Status.STARTING, {"startup"})
    it.answer("liveness", NO, NO, NO, NO)
    it.answer("readiness", YES)
    assert it.instance.status is Status.STARTING
    it.answer("startup", YES)
    assert (it.instance.status, it.asked()) == (Status.ONLINE, {"liveness", "readiness"})
    assert not it.run_now.is_ready, "that it is up does not say that it can be used"
    it.answer("readiness", YES)
    assert it.run_now.is_ready


def test_a_startup_probe_has_no_other_budget() -> None:
    it = life(startup=replace(PROBE, failure_threshold=3))
    it.run(100_000.0)
    it.answer("startup", NO, NO, DUNNO, NO, output="refused")
    assert it.instance.reason == "the startup probe failed 3 times: refused"
    assert it.instance.stop_cause == "not-ready"
    assert it.instance.status is Status.STOPPING


def test_readiness_alone_has_the_time_to_be_ready() -> None:
    it = Life(HealthSpec(readiness=PROBE), listen_timeout=5.0)
    it.run(0.0)
    it.answer("readiness", *[NO] * 50, output="refused")
    assert it.instance.status is Status.STARTING, "readiness does not restart"
    it.run(5.0)
    assert it.instance.runs[0].reason == "not ready within 5s (readiness probe: refused)"


def test_the_word_of_the_agent_is_enough() -> None:
    it = life(Program(ready=2.0), readiness=PROBE)
    it.answer("readiness", NO)
    it.run(3.0)
    assert (it.instance.status, it.run_now.is_ready) == (Status.ONLINE, True)
    it.answer("readiness", NO, NO)
    assert not it.run_now.is_ready, "but not for ever"


def test_readiness_never_restarts_and_recovers_by_its_threshold() -> None:
    it = life(readiness=replace(PROBE, success_threshold=2, failure_threshold=2))
    it.answer("readiness", YES, YES)
    assert it.run_now.is_ready
    it.answer("readiness", NO)
    assert (it.run_now.is_ready, it.instance.reason) == (True, "")
    it.answer("readiness", *[NO] * 100, output="503")
    assert it.instance.reason == "not ready: the readiness probe failed 101 times: 503"
    assert (it.instance.status, it.run_now.is_ready, it.instance.restarts) == (Status.ONLINE, False, 0)
    it.answer("readiness", YES)
    assert not it.run_now.is_ready
    it.answer("readiness", NO, YES, YES)
    assert (it.run_now.is_ready, it.instance.reason) == (True, "")


def test_liveness_restarts_after_so_many_failures_in_a_row() -> None:
    it = life(liveness=PROBE)
    assert it.instance.health is Health.UNKNOWN
    it.answer("liveness", YES)
    assert it.instance.health is Health.HEALTHY
    it.answer("liveness", NO, NO, YES, NO, NO, DUNNO)
    assert (it.instance.health, it.run_now.vitals.trouble) == (Health.HEALTHY, "")
    it.answer("liveness", NO, output="timed out")
    assert (it.instance.health, it.run_now.vitals.trouble) == (Health.UNHEALTHY, "probe")
    it.handle(ev.Captured(it.run_now.run_id, "/report"))
    it.run(0.0)
    end = it.instance.runs[0]
    assert (end.cause, end.reason) == ("probe", "the liveness probe failed 3 times: timed out")
    assert end.snapshot == "/report"
    assert it.run_now.probes.liveness == ProbeState(), "the next run begins anew"


def test_a_success_ends_the_ladder() -> None:
    ladder = (Rung("alert"), Rung("signal", "SIGUSR1", 30.0), Rung("restart", None, 30.0))
    probe = replace(PROBE, failure_threshold=1)
    it = life(Program(grace=None), liveness=probe, on_liveness=ladder)
    it.answer("liveness", NO)
    it.run(31.0)
    assert it.processes[0].signals == ["SIGUSR1"]
    it.answer("liveness", NO, YES)
    assert (it.instance.health, it.instance.reason) == (Health.HEALTHY, "")
    it.run(1000.0)
    assert (it.instance.status, it.instance.restarts) == (Status.ONLINE, 0)


def test_a_bad_line_is_not_taken_back_by_there_being_no_other() -> None:
    """What is written down about it before the restart takes longer than the time between two looks."""
    it = life(liveness=ProbeSpec(log_sick="CUDA", failure_threshold=1))
    it.answer("liveness", NO, YES, output="CUDA error: 3")
    it.handle(ev.Captured(it.run_now.run_id, "/report"))
    assert it.instance.status is Status.STOPPING
    assert it.instance.reason == "the liveness probe failed once: CUDA error: 3"


def test_a_bad_line_that_is_only_told_is_over_with_the_next_look() -> None:
    spec = ProbeSpec(log_sick="CUDA", failure_threshold=1)
    it = life(liveness=spec, on_liveness=(Rung("alert"),))
    it.answer("liveness", NO)
    assert it.instance.health is Health.UNHEALTHY
    it.answer("liveness", YES)
    assert it.instance.health is Health.HEALTHY


def test_an_unknown_answer_never_leads_to_anything() -> None:
    one = replace(PROBE, failure_threshold=1)
    it = life(startup=one, liveness=one, readiness=one)
    it.answer("startup", *[DUNNO] * 20)
    it.answer("startup", YES)
    it.answer("readiness", YES)
    it.answer("liveness", *[DUNNO] * 20)
    it.answer("readiness", *[DUNNO] * 20)
    assert (it.instance.status, it.run_now.is_ready) == (Status.ONLINE, True)
    assert it.run_now.probes.liveness.result == DUNNO
    before = it.instance
    it.answer("liveness", DUNNO)
    assert it.instance is before, "the same answer again is no step in its history"


def test_an_announced_wait_holds_the_startup_probe() -> None:
    it = life(startup=replace(PROBE, failure_threshold=1))
    it.handle(ev.Extended(it.run_now.run_id, 60.0, "loading weights"))
    it.run(59.0)
    it.answer("startup", NO)
    assert it.instance.status is Status.STARTING
    it.run(2.0)
    it.answer("startup", NO)
    assert it.instance.status is Status.STOPPING


def test_what_says_nothing_new_costs_nothing() -> None:
    it = life(liveness=PROBE)
    it.answer("liveness", YES, output="first")
    before = it.instance
    after, actions = checked_step(before, ev.Probed(it.run_now.run_id, "liveness", YES, "other"), 5.0)
    assert after is before
    assert actions == []


def test_what_is_counted_is_saved_and_no_more() -> None:
    it = life(liveness=replace(PROBE, failure_threshold=2), on_liveness=(Rung("alert"),))
    saved = []
    for result in (NO, NO, NO, NO, YES, YES):
        event = ev.Probed(it.run_now.run_id, "liveness", result, "x")
        it.instance, actions = checked_step(it.instance, event, it.clock())
        saved.append(Persist() in actions)
        assert actions.count(Publish()) <= 1
    assert saved == [True, True, False, False, True, False]


def test_the_next_master_goes_on_with_what_was_counted() -> None:
    it = life(liveness=replace(PROBE, failure_threshold=3))
    it.answer("liveness", YES, NO, NO)
    app = App(it.instance.spec, 0.0)
    data = assemble("boot", 0.0, 0.0, 1, {}, [encode_app(app, "")], [encode_instance(it.instance)])
    (adopted,) = decode(data).instances
    assert adopted == it.instance
    assert adopted.run is not None
    after, _ = checked_step(adopted, ev.Recovered(), 500.0)
    after, actions = checked_step(after, ev.Probed(adopted.run.run_id, "liveness", NO, "x"), 501.0)
    assert [type(action) for action in actions if isinstance(action, Tell | Snapshot)] == [Tell, Snapshot]
    assert after.run is not None
    assert after.run.vitals.trouble == "probe"


def test_an_answer_about_another_run_or_an_unknown_probe_is_stale() -> None:
    it = life(readiness=PROBE)
    before = it.instance
    it.handle(ev.Probed("other", "readiness", YES))
    it.answer("liveness", NO, NO, NO, NO)
    it.answer("startup", YES)
    assert it.instance is before


def test_nothing_is_asked_of_what_does_not_run() -> None:
    it = life(readiness=PROBE, liveness=PROBE)
    it.answer("readiness", YES)
    it.handle(ev.StopRequested())
    it.run(0.0)
    assert (it.instance.status, it.asked()) == (Status.STOPPED, set())


def test_an_exit_before_it_was_ready_is_told_as_that() -> None:
    it = life(Program(lives=5.0, code=1), readiness=PROBE)
    it.answer("readiness", NO)
    it.run(5.0)
    assert not it.instance.runs[0].ready


@pytest.mark.parametrize(
    ("answers", "passing"),
    [((), None), ((YES,), True), ((NO, NO), None), ((NO, NO, NO), False), ((NO, NO, DUNNO, NO), False)],
)
def test_thresholds(answers: tuple[ProbeResult, ...], passing: bool | None) -> None:
    state = ProbeState()
    for at, answer in enumerate(answers):
        state = counted(state, PROBE, answer, "x" * 1000, float(at))
        assert len(state.output) == 200
    assert state.passing is passing


def test_a_start_whose_probe_can_never_be_asked_ends_when_its_time_is_over() -> None:
    """Neither before that, nor by a few questions that nobody could ask: a passing lack is nobody's fault."""
    it = life(startup=PROBE)
    it.answer("startup", DUNNO, DUNNO, DUNNO, DUNNO)
    it.run(29.0)
    it.answer("startup", DUNNO)
    assert it.instance.status is Status.STARTING
    assert not it.run_now.vitals.trouble
    it.run(2.0)
    it.answer("startup", NO, DUNNO, DUNNO)
    assert not it.run_now.vitals.trouble, "it was asked meanwhile"
    it.answer("startup", DUNNO, output="there is no variable PORT")
    assert it.instance.reason == "the startup probe could not be asked 3 times: there is no variable PORT"
    it.run(1.0)
    end = it.instance.last
    assert end is not None
    assert (end.cause, end.planned) == ("not-ready", True)


def test_a_wait_and_an_alert_hold_for_a_start_that_cannot_be_asked_too() -> None:
    it = life(startup=replace(PROBE, failure_threshold=1), on_startup=(Rung("alert"),))
    it.handle(ev.Extended(it.run_now.run_id, 100.0, "loading"))
    it.run(99.0)
    it.answer("startup", DUNNO)
    assert not it.run_now.vitals.trouble
    it.run(2.0)
    it.answer("startup", DUNNO)
    assert it.run_now.vitals.trouble == "startup"
    it.answer("startup", YES)
    assert (it.instance.status, it.instance.reason) == (Status.ONLINE, "")


def test_since_is_when_the_answers_began() -> None:
    state = ProbeState()
    for at, answer in enumerate((YES, NO, NO, NO)):
        state = counted(state, PROBE, answer, f"{at}", float(at))
    assert (state.since, state.failures, state.output) == (1.0, 3, "3")


def test_a_signal_of_a_ladder_goes_to_the_main_process() -> None:
    it = life(liveness=replace(PROBE, failure_threshold=1), on_liveness=(Rung("signal", "SIGUSR1"),))
    event = ev.Probed(it.run_now.run_id, "liveness", NO, "x")
    _, actions = checked_step(it.instance, event, 1.0)
    assert Signal("SIGUSR1", group=False) in actions


def test_instances_without_probes_ask_nothing() -> None:
    assert wanted(Instance(0, "a", 0, 0.0, 0.0)) == {}
    assert life().asked() == set()


def test_a_probe_that_says_ready_takes_back_the_late_start_and_not_why_it_was_restarted() -> None:
    it = life(startup=PROBE, liveness=replace(PROBE, failure_threshold=1))
    it.answer("startup", YES)
    it.answer("liveness", NO, output="refused")
    it.handle(ev.Captured(it.run_now.run_id, "/report"))
    it.run(1.0)
    assert it.instance.status is Status.STARTING
    it.answer("startup", YES)
    assert it.instance.reason == "restarted: the liveness probe failed once: refused"

    it = life(startup=replace(PROBE, failure_threshold=1), on_startup=(Rung("alert"),))
    it.answer("startup", NO, output="refused")
    assert it.instance.reason == "the startup probe failed once: refused"
    it.answer("startup", YES)
    assert (it.instance.status, it.instance.reason) == (Status.ONLINE, "")
    it = life(Program(ready=5.0), startup=replace(PROBE, failure_threshold=1), on_startup=(Rung("alert"),))
    it.answer("startup", NO, output="refused")
    it.run(6.0)
    assert (it.instance.status, it.instance.reason) == (Status.ONLINE, ""), "it has said so itself"


def test_the_event_of_a_failed_liveness_probe_has_its_documented_name() -> None:
    it = life(liveness=replace(PROBE, failure_threshold=1))
    result = checked_step(
        it.instance, ev.Probed(it.run_now.run_id, "liveness", "failure", "refused"), it.clock()
    )
    names = [each.what for each in result[1] if isinstance(each, Tell)]
    assert names == ["health.liveness"]
