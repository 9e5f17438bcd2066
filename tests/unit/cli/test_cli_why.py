"""``pypm why``: the answer for every status, from a master's detail and from the state file alike."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pypm.cli.why_facts import next_step, read_saved, saved_facts, whole
from pypm.cli.why_words import answer
from pypm.core import events as ev
from pypm.core.errors import ConfigError
from pypm.core.instance import Status
from pypm.core.spec import AppSpec, HealthSpec, LimitSpec, LogSpec, RestartPolicy, Rule, Rung, ScheduleSpec
from pypm.core.state import App, assemble, decode, encode_app, encode_instance, encode_origin
from pypm.testing import Program, Simulation

SPEC = AppSpec("worker", ("/bin/worker",), "/", logs=LogSpec(disabled=True))


def facts_of(life: Simulation) -> dict[str, Any]:
    """The answer from a state file that was saved now."""
    app = App(life.instance.spec, 0.0)
    parts = ({"": encode_origin(app.origin)}, [encode_app(app, "")], [encode_instance(life.instance)])
    state = decode(assemble("boot", life.clock(), time.time(), 1, *parts))
    return whole(saved_facts(state, state.instances[0], "/nowhere"), "state", state.wall_time)


def lived(spec: AppSpec, *programs: Program, seconds: float = 10.0) -> Simulation:
    life = Simulation(spec, programs)
    life.handle(ev.StartRequested())
    life.run(seconds)
    return life


def policy(**fields: Any) -> AppSpec:
    return replace(SPEC, restart=RestartPolicy(**fields))


def test_every_status_has_a_next_step() -> None:
    for status in Status:
        for at in (None, 5.0):
            detail = {"status": status, "name": "a", "deadline": at, "trouble": "", "runs": []}
            assert next_step(detail)["what"]
    ill = {"status": "online", "name": "a", "deadline": 5.0, "trouble": "stalled", "runs": []}
    assert next_step(ill) == {"what": "nothing more is done about its trouble", "at": None}
    for step, what in (("restart", "it is restarted, unless"), ("SIGUSR1", "SIGUSR1 is sent to it")):
        following = next_step({**ill, "next_step": {"step": step, "at": 7.0}})
        assert following["what"].startswith(what)
        assert following["at"] == 7.0, "the step, not the look at its tree before it"
    waiting = {"status": "starting", "name": "a", "deadline": None, "trouble": "", "runs": []}
    assert next_step(waiting)["what"] == "its process is started"
    after = {**waiting, "awaited": "waits for model to be ready"}
    assert next_step(after)["what"] == "its process is started, as soon as that is so"
    assert next_step({**waiting, "pid": 7})["what"] == "it has to be ready", "a startup probe has no deadline"
    late = {**waiting, "pid": 7, "trouble": "not ready within 3s"}
    assert next_step(late) == {"what": "nothing more is done about that, until it is ready", "at": None}
    held = {"status": "held", "name": "a", "deadline": None, "trouble": "", "runs": []}
    assert next_step(held)["what"] == "nothing, until `pypm start a`"
    job = {"status": "exited", "name": "a", "deadline": None, "trouble": "", "runs": [], "next_run": 7.0}
    assert next_step(job) == {"what": "its schedule is due", "at": 7.0}
    run = {"cause": "dependency", "rule": ""}
    assert next_step({**held, "runs": [run]})["what"] == "nothing, until what it depends on is there"


def test_one_that_waits_to_be_restarted() -> None:
    facts = facts_of(lived(policy(delay=60.0), Program(lives=5.0, code=3)))
    assert (facts["status"], facts["cause"], facts["rule"]) == (
        "backoff",
        "exit",
        "restarted always; 1m after the end; given up after 16 restarts within 15m",
    )
    assert facts["next"] == {"what": "it is started again", "at": pytest.approx(time.time() + 55, abs=5)}
    text = answer(facts)
    assert text.startswith("worker is backoff, since ")
    assert "  the last run  exit code 3 [exit], after 5s" in text
    assert "it is started again (in 5" in text


def test_one_that_is_held() -> None:
    facts = facts_of(lived(policy(rules=(Rule("hold", codes=(75,)),)), Program(lives=5.0, code=75)))
    assert facts["rule"] == "rule 1 (exit code 75): hold"
    assert facts["next"] == {"what": "nothing, until `pypm start worker`", "at": None}
    assert "→ rule 1 (exit code 75): hold" in answer(facts)


def test_one_that_was_given_up_and_one_that_was_stopped() -> None:
    facts = facts_of(lived(policy(max_restarts=1), Program(lives=0.1, code=1)))
    assert facts["status"] == "errored"
    assert "given up after 1 restart within 15m" in facts["rule"]
    life = lived(SPEC, Program())
    life.handle(ev.StopRequested(by="me (pypm stop worker)"))
    life.run(1.0)
    facts = facts_of(life)
    assert (facts["rule"], facts["cause"]) == ("", "operator"), "nothing but an order has decided"
    assert "stopped by me (pypm stop worker)" in answer(facts)


def test_one_that_is_fine_and_one_that_was_never_started() -> None:
    text = answer(facts_of(lived(SPEC, Program())))
    assert "because  it was started" in text
    assert "next     nothing is due" in text
    assert "it was never started" in answer(facts_of(Simulation(SPEC, [Program()])))


def test_one_that_was_restarted_says_why() -> None:
    facts = facts_of(lived(SPEC, Program(lives=5.0, signal=11), Program()))
    assert facts["reason"] == "restarted: killed by SIGSEGV"
    assert "restarted always" in facts["rule"]
    assert ", restarted once\n" in answer(facts)
    assert ", restarted 2 times\n" in answer({**facts, "restarts": 2})


def test_one_in_trouble_tells_its_ladder() -> None:
    health = HealthSpec(heartbeat_timeout=2.0, on_heartbeat=(Rung("alert"), Rung("restart", after=600.0)))
    life = lived(replace(SPEC, health=health), Program(), seconds=1.0)
    life.handle(ev.Beat("run1"))
    life.run(5.0)
    facts = facts_of(life)
    assert (facts["health"], facts["trouble"]) == ("unhealthy", "no heartbeat for 2s")
    assert facts["rule"] == "alert, restart after 10m"
    assert "worker is online and unhealthy" in answer(facts)
    assert "next        it is restarted, unless the missing sign comes (in 9m" in answer(facts)


def test_the_step_that_comes_is_told_and_not_the_look_before_it() -> None:
    health = HealthSpec(progress_timeout=10.0, on_stall=(Rung("alert"), Rung("restart", after=20.0)))
    life = lived(replace(SPEC, health=health), Program(), seconds=1.0)
    life.handle(ev.Progressed("run1", "step", 1))
    for seconds in (6.0, 5.0):  # it is looked at half of the time before it is stalled, and then
        life.run(seconds)
        life.handle(ev.Evidence("run1", ()))
    facts = facts_of(life)
    assert facts["health"] == "stalled"
    assert facts["next"]["what"].startswith("it is restarted")
    assert facts["next"]["at"] == pytest.approx(time.time() + 20.0, abs=10.0)


def test_a_job_tells_its_schedule_and_when_its_time_is_over() -> None:
    spec = replace(SPEC, schedule=ScheduleSpec(every=60.0, timeout=30.0))
    life = lived(spec, Program(lives=5.0, code=3), Program(), seconds=1.0)
    life.handle(ev.RunRequested())
    life.run(8.0)
    assert facts_of(life)["rule"] == "runs every 1m, overlap: skip, 30s at most"
    life.handle(ev.RunRequested())
    life.run(1.0)
    assert facts_of(life)["next"]["what"] == "its run is stopped, as its time is over"


def test_one_whose_age_is_bounded_tells_when_a_new_run_follows() -> None:
    aged = replace(SPEC, limits=LimitSpec(max_runtime=3600.0))
    life = lived(aged, Program(), seconds=10.0)
    following = facts_of(life)["next"]
    assert following["what"] == "a new run follows it, as soon as it has nothing under way"
    assert following["at"] == pytest.approx(time.time() + 3590.0, abs=30.0)
    silent = replace(aged, health=HealthSpec(heartbeat_timeout=60.0))
    life = lived(silent, Program(), seconds=1.0)
    life.handle(ev.Beat("run1"))
    assert facts_of(life)["next"]["what"] == "its health is judged", "that comes first"


def test_long_lines_go_on_between_words() -> None:
    facts = facts_of(lived(SPEC, Program(lives=5.0, signal=11), Program()))
    lines = answer(facts, 60).splitlines()
    assert max(map(len, lines)) <= 60
    start = next(number for number, line in enumerate(lines) if "decided by" in line)
    column = lines[start].index("restarted always")
    assert lines[start + 1][:column].isspace()
    assert lines[start + 1][column] != " "


def test_one_that_waits_says_for_what() -> None:
    life = lived(SPEC, Program(), seconds=1.0)
    life.handle(ev.Extended("run1", 600.0, "model call"))
    life.run(60.0)
    assert "waits for  model call, for 1m" in answer(facts_of(life)).replace("   ", "  ")


def test_one_that_ends_says_how_far_that_is() -> None:
    life = lived(SPEC, Program(grace=None), seconds=1.0)
    life.handle(ev.StopRequested())
    life.run(2.0)
    facts = facts_of(life)
    assert facts["awaited"] == "SIGTERM sent, SIGKILL in 8s"
    assert facts["awaited"] in answer(facts)


def test_words_of_agents_move_no_terminal() -> None:
    life = lived(SPEC, Program(), seconds=1.0)
    life.handle(ev.StatusReported("run1", "fine\x1b[2J\nand more"))
    assert "\x1b" not in answer(facts_of(life))


def test_a_state_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert read_saved(str(tmp_path)) is None
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.json").write_text("{")
    with pytest.raises(ConfigError, match="torn or no state file"):
        read_saved(str(tmp_path))
