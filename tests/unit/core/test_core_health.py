"""Three clocks: start-up, heartbeat, progress; honest waits; evidence; ladders. On the fake clock."""

from __future__ import annotations

from signal import Signals

from invariants import checked_step

from pypm.core import events as ev
from pypm.core.actions import Gather, Persist, Signal, Snapshot, Tell
from pypm.core.instance import After, Health, Instance, Run, Status, Vitals
from pypm.core.spec import AppSpec, HealthSpec, Rung

BEGIN = 1000.0


class Life:
    """One online run, stepped through time: what is due happens when it is due."""

    def __init__(self, health: HealthSpec, status: Status = Status.ONLINE) -> None:
        spec = AppSpec("a", ("/a",), "/", health=health, wait_ready=status is Status.STARTING)
        ready = status is Status.ONLINE
        run = Run("r", "t", 1, 1, BEGIN, ready=ready, vitals=Vitals(judged_from=BEGIN))
        deadline = None if ready else BEGIN + spec.listen_timeout
        self.now = BEGIN
        self.instance = Instance(0, "a", 0, BEGIN, BEGIN, spec, status=status, run=run, deadline=deadline)
        self.done: list[tuple[float, object]] = []
        self.signs: tuple[str, ...] = ()
        self.known = True
        self.handle(ev.Recovered())

    def handle(self, event: ev.Event) -> None:
        self.instance, actions = checked_step(self.instance, event, self.now)
        for action in actions:
            if isinstance(action, Gather | Signal | Snapshot | Tell):
                self.done.append((self.now - BEGIN, action))
            if isinstance(action, Gather) and not action.first:
                self.handle(ev.Evidence("r", self.signs, known=self.known))
            if isinstance(action, Snapshot):
                self.handle(ev.Captured("r", "/snapshot"))

    def until(self, seconds: float) -> None:
        """Let time pass until so many seconds after the beginning."""
        end = BEGIN + seconds
        while self.instance.deadline is not None and self.instance.deadline <= end:
            assert self.instance.status in (Status.ONLINE, Status.STARTING)
            self.now = max(self.now, self.instance.deadline)
            self.handle(ev.DeadlinePassed(self.instance.deadline))
            if self.instance.status is Status.STOPPING:
                return
        self.now = end

    @property
    def run(self) -> Run:
        assert self.instance.run is not None
        return self.instance.run

    def is_in(self, status: Status) -> bool:
        return self.instance.status is status

    def is_stalled(self) -> bool:
        return self.instance.health is Health.STALLED

    def kinds(self) -> list[str]:
        return [type(action).__name__ for _, action in self.done]


def test_who_never_sent_a_heartbeat_is_never_judged_by_one() -> None:
    life = Life(HealthSpec(heartbeat_timeout=5.0))
    life.until(10_000.0)
    assert life.instance.status is Status.ONLINE
    assert life.instance.health is Health.UNKNOWN
    assert life.done == []


def test_a_heartbeat_is_a_promise() -> None:
    life = Life(HealthSpec(heartbeat_timeout=5.0))
    for second in range(10):
        life.until(float(second))
        life.handle(ev.Beat("r"))
    assert life.instance.health is Health.HEALTHY
    life.until(100.0)
    assert life.instance.status is Status.STOPPING
    assert life.now == BEGIN + 14.0
    assert life.instance.stop_reason == "no heartbeat for 5s"
    assert life.instance.stop_cause == "watchdog"
    assert life.kinds() == ["Tell", "Snapshot", "Signal"]


def test_an_honest_wait_moves_all_deadlines() -> None:
    life = Life(HealthSpec(heartbeat_timeout=5.0, progress_timeout=10.0))
    life.handle(ev.Beat("r"))
    life.handle(ev.Extended("r", 120.0, "model call"))
    assert life.run.vitals.waiting_for == "model call"
    life.until(119.0)
    assert life.instance.status is Status.ONLINE
    life.handle(ev.ExtensionReset("r"))
    assert life.run.vitals.waiting_for == ""
    assert life.run.vitals.waited == 119.0
    life.until(123.0)
    assert life.instance.status is Status.ONLINE
    life.until(200.0)
    assert life.now == BEGIN + 124.0
    assert life.instance.stop_reason == "no heartbeat for 5s"


def test_a_wait_that_nobody_ends_is_over_at_its_time() -> None:
    life = Life(HealthSpec())
    life.handle(ev.Extended("r", 30.0, "model call"))
    life.until(29.0)
    assert life.run.vitals.waiting_for == "model call"
    life.until(31.0)
    assert (life.run.vitals.waiting_for, life.run.vitals.waited) == ("", 30.0)
    assert life.instance.deadline is None


def test_an_extension_never_shortens_and_is_capped() -> None:
    life = Life(HealthSpec(heartbeat_timeout=5.0, max_extension=100.0))
    life.handle(ev.Beat("r"))
    life.handle(ev.Extended("r", 60.0))
    life.handle(ev.Extended("r", 10.0))
    assert life.run.vitals.extended_until == BEGIN + 60.0
    for second in range(0, 200, 10):
        life.until(float(second))
        if life.instance.status is Status.STOPPING:
            break
        life.handle(ev.Extended("r", 60.0))
    assert life.now == BEGIN + 100.0


def test_waits_without_end_are_a_stall_in_the_end() -> None:
    """It says again and again that it waits, and never does any work."""
    life = Life(HealthSpec(progress_timeout=40.0, max_extension=300.0, evidence=()))
    for second in range(0, 2000, 20):
        life.until(float(second))
        if life.instance.status is Status.STOPPING:
            break
        life.handle(ev.Extended("r", 20.0, "model call"))
        life.until(second + 19.0)
        life.handle(ev.ExtensionReset("r"))
    assert life.instance.stop_cause == "stalled"
    assert BEGIN + 340.0 <= life.now < BEGIN + 360.0


def test_progress_is_missed_only_without_any_sign_of_work() -> None:
    life = Life(HealthSpec(progress_timeout=60.0))
    life.signs = ("cpu 3.2s",)
    life.until(500.0)
    assert life.instance.status is Status.ONLINE
    assert life.run.vitals.evidence == "cpu 3.2s"
    assert (life.done[0][0], life.done[1][0]) == (30.0, 60.0)
    life.signs = ()
    life.until(600.0)
    assert life.instance.status is Status.STOPPING
    assert life.instance.stop_cause == "stalled"
    assert life.instance.stop_reason == "no progress for 1m and no sign of work (output, io, cpu)"
    assert life.instance.health is Health.STALLED


def test_progress_in_time_costs_no_look() -> None:
    life = Life(HealthSpec(progress_timeout=60.0))
    for second in range(0, 1000, 20):
        life.until(float(second))
        life.handle(ev.Progressed("r", "step", second))
    assert life.done == []
    assert life.instance.health is Health.HEALTHY
    assert life.run.vitals.iteration == 980


def test_the_silence_before_a_new_master_does_not_count() -> None:
    life = Life(HealthSpec(heartbeat_timeout=5.0, progress_timeout=60.0, evidence=()))
    life.handle(ev.Beat("r"))
    life.now = BEGIN + 500.0
    life.handle(ev.Recovered())
    life.until(504.0)
    assert life.instance.status is Status.ONLINE
    life.until(506.0)
    assert life.instance.stop_cause == "watchdog"


def test_a_ladder_is_climbed_and_left() -> None:
    rungs = (Rung("alert"), Rung("signal", "SIGUSR1", after=10.0), Rung("restart", after=20.0))
    life = Life(HealthSpec(heartbeat_timeout=5.0, on_heartbeat=rungs))
    life.handle(ev.Beat("r"))
    life.until(16.0)
    assert [(time, type(each).__name__) for time, each in life.done] == [(5.0, "Tell"), (15.0, "Signal")]
    assert life.instance.health is Health.UNHEALTHY
    life.handle(ev.Beat("r"))
    assert life.instance.health is Health.HEALTHY
    assert life.kinds()[-1] == "Tell"
    life.until(20.0)
    assert life.instance.status is Status.ONLINE
    life.until(300.0)
    assert life.now == BEGIN + 16.0 + 5.0 + 10.0 + 20.0
    assert life.instance.status is Status.STOPPING


def test_an_end_by_a_signal_of_the_ladder_has_the_cause_of_its_trouble() -> None:
    rungs = (Rung("signal", "SIGUSR1"), Rung("signal", "SIGABRT", after=5.0))
    life = Life(HealthSpec(progress_timeout=5.0, on_stall=rungs, evidence=()))
    life.until(6.0)
    early = life.instance
    life.until(12.0)
    for instance, signal, cause in (
        (early, "SIGUSR1", "stalled"),
        (early, "SIGABRT", "signal"),
        (life.instance, "SIGABRT", "stalled"),
        (life.instance, "SIGSEGV", "signal"),
    ):
        ended, _ = checked_step(instance, ev.Exited("r", signal=Signals[signal].value), life.now)
        assert ended.last is not None
        assert ended.last.cause == cause
        why = "" if cause == "signal" else "no progress for 5s "
        assert ended.last.reason.startswith(f"{why}{'(' if why else ''}killed by {signal}")


def test_an_alert_alone_restarts_nothing() -> None:
    life = Life(HealthSpec(progress_timeout=5.0, on_stall=(Rung("alert"),), evidence=()))
    life.until(1000.0)
    assert life.instance.status is Status.ONLINE
    assert life.instance.health is Health.STALLED
    assert life.kinds() == ["Tell"]
    life.handle(ev.Progressed("r"))
    assert life.instance.health is Health.HEALTHY


def test_start_up_has_its_own_budget_and_can_be_extended() -> None:
    life = Life(HealthSpec(on_startup=(Rung("alert"), Rung("restart", after=10.0))), Status.STARTING)
    life.handle(ev.Extended("r", 50.0, "loading the model"))
    life.until(49.0)
    assert life.done == []
    life.until(51.0)
    assert life.instance.status is Status.STARTING
    assert life.kinds() == ["Tell"]
    life.handle(ev.Ready("r"))
    assert life.instance.status is Status.ONLINE
    life.until(1000.0)
    assert life.instance.status is Status.ONLINE


def test_a_suspended_machine_is_nobodys_silence() -> None:
    life = Life(HealthSpec(heartbeat_timeout=5.0, progress_timeout=60.0, evidence=()))
    life.handle(ev.Beat("r"))
    deadline = life.instance.deadline
    assert deadline is not None
    life.now = BEGIN + 3600.0
    life.handle(ev.DeadlinePassed(deadline, paused=3595.0))
    assert life.instance.status is Status.ONLINE
    life.until(3599.0)
    assert life.instance.status is Status.ONLINE
    life.until(3700.0)
    assert life.now == BEGIN + 3600.0
    assert life.instance.stop_cause == "watchdog"


def test_the_watchdog_of_systemds_protocol() -> None:
    life = Life(HealthSpec())
    life.handle(ev.WatchdogSet("r", 3.0))
    life.until(2.0)
    life.handle(ev.Beat("r"))
    assert life.instance.health is Health.HEALTHY
    life.until(100.0)
    assert life.now == BEGIN + 5.0
    triggered = Life(HealthSpec())
    triggered.handle(ev.WatchdogTriggered("r"))
    assert triggered.instance.status is Status.STOPPING
    assert triggered.instance.stop_cause == "watchdog"


def test_a_stop_may_be_extended_too() -> None:
    life = Life(HealthSpec(max_extension=60.0))
    life.handle(ev.StopRequested())
    assert life.instance.deadline == BEGIN + 10.0
    life.handle(ev.Extended("r", 30.0, "finishing the step"))
    assert life.instance.deadline == BEGIN + 30.0
    life.now = BEGIN + 25.0
    life.handle(ev.Extended("r", 1000.0))
    assert life.instance.deadline == BEGIN + 60.0


def test_many_heartbeats_arm_few_timers() -> None:
    life = Life(HealthSpec(heartbeat_timeout=60.0))
    deadlines = set()
    for second in range(60):
        life.until(float(second))
        life.handle(ev.Beat("r"))
        deadlines.add(life.instance.deadline)
    assert len(deadlines) == 1


def test_a_deletion_while_the_snapshot_is_made_stays_one() -> None:
    life = Life(HealthSpec(heartbeat_timeout=5.0))
    life.handle(ev.Beat("r"))
    life.now += 5.0
    life.instance, _ = checked_step(life.instance, ev.DeadlinePassed(life.now), life.now)
    assert life.run.vitals.capturing
    life.handle(ev.DeleteRequested())
    deadline = life.instance.deadline
    life.now += 1.0
    life.handle(ev.Captured("r", "/snapshot"))
    assert (life.instance.after, life.instance.stop_cause) == (After.DELETE, "operator")
    assert life.instance.deadline == deadline
    assert life.kinds() == ["Signal"]


def test_what_a_new_master_has_to_know_of_heartbeats_is_saved() -> None:
    """That there was one at all, and that the one that was missed has come."""
    life = Life(HealthSpec(heartbeat_timeout=5.0, on_heartbeat=(Rung("alert"), Rung("restart", after=60.0))))
    _, actions = checked_step(life.instance, ev.Beat("r"), life.now)
    assert Persist() in actions
    life.handle(ev.Beat("r"))
    _, actions = checked_step(life.instance, ev.Beat("r"), life.now + 1.0)
    assert Persist() not in actions
    life.until(6.0)
    assert life.run.vitals.trouble
    _, actions = checked_step(life.instance, ev.Beat("r"), life.now)
    assert Persist() in actions


def test_a_wait_before_it_was_ready_is_no_time_for_later() -> None:
    life = Life(HealthSpec(progress_timeout=60.0, evidence=()), Status.STARTING)
    life.handle(ev.Extended("r", 1500.0, "loads the model"))
    life.until(1400.0)
    life.handle(ev.ExtensionReset("r"))
    life.handle(ev.Ready("r"))
    life.until(1459.0)
    assert life.is_in(Status.ONLINE)
    life.until(1460.0)
    assert life.is_in(Status.STOPPING)


def test_a_wait_before_a_new_master_is_no_time_for_later() -> None:
    life = Life(HealthSpec(progress_timeout=60.0, evidence=()))
    life.handle(ev.Extended("r", 1500.0, "model"))
    life.until(1400.0)
    life.handle(ev.ExtensionReset("r"))
    life.handle(ev.Recovered())
    life.until(1460.0)
    assert life.is_in(Status.STOPPING)


def test_an_alert_about_one_clock_hides_no_other() -> None:
    alert = (Rung("alert"),)
    life = Life(HealthSpec(heartbeat_timeout=5.0, progress_timeout=60.0, on_heartbeat=alert))
    life.handle(ev.Beat("r"))
    life.until(59.0)
    assert life.instance.health is Health.UNHEALTHY
    life.until(61.0)
    assert (life.instance.status, life.instance.stop_cause) == (Status.STOPPING, "stalled")


def test_two_alerts_do_not_take_turns() -> None:
    alert = (Rung("alert"),)
    spec = HealthSpec(heartbeat_timeout=5.0, progress_timeout=60.0, on_heartbeat=alert, on_stall=alert)
    life = Life(spec)
    life.handle(ev.Beat("r"))
    life.until(10_000.0)
    assert life.kinds().count("Tell") == 1


def test_work_and_waits_speak_against_the_next_step_of_a_stall() -> None:
    """Who was silent, and works again before the next step is due, is not restarted."""
    spec = HealthSpec(progress_timeout=60.0, on_stall=(Rung("alert"), Rung("restart", after=600.0)))
    life = Life(spec)
    life.until(300.0)
    assert life.is_stalled()
    life.signs = ("2.0 s of CPU",)
    life.until(700.0)
    assert life.is_in(Status.ONLINE)
    assert not life.is_stalled()
    life.signs = ()
    life.until(1000.0)
    assert life.is_stalled()
    life.handle(ev.Extended("r", 900.0, "model call"))
    assert not life.is_stalled()
    life.until(1800.0)
    assert life.is_in(Status.ONLINE)


def test_an_agent_that_asks_for_a_restart_gets_it_though_its_heartbeats_go_on() -> None:
    life = Life(HealthSpec(heartbeat_timeout=5.0))
    life.handle(ev.Beat("r"))
    life.instance, _ = checked_step(life.instance, ev.WatchdogTriggered("r"), life.now)
    assert life.run.vitals.capturing
    life.handle(ev.Beat("r"))
    life.handle(ev.Captured("r", "/snapshot"))
    assert (life.instance.status, life.instance.stop_cause) == (Status.STOPPING, "watchdog")


def test_looks_at_a_tree_are_not_endless_where_the_time_is_tiny() -> None:
    life = Life(HealthSpec(progress_timeout=0.001))
    life.signs = ("output",)
    life.until(10.0)
    assert len(life.done) <= 20


def test_a_heartbeat_after_a_pause_is_not_of_the_future() -> None:
    life = Life(HealthSpec(heartbeat_timeout=5.0))
    life.handle(ev.Beat("r"))
    due = life.instance.deadline
    assert due is not None
    life.now += 3600.0  # suspended; it beats before the timer is looked at
    life.handle(ev.Beat("r"))
    life.handle(ev.DeadlinePassed(due, paused=3595.0))
    assert life.instance.deadline is not None
    assert life.instance.deadline <= life.now + 5.0


def test_a_stop_is_not_put_off_without_end() -> None:
    """Progress gives further time for waits, but not to one that has been told to end."""
    life = Life(HealthSpec(max_extension=100.0))
    life.handle(ev.StopRequested())
    for second in range(0, 200, 10):
        life.now = BEGIN + second
        life.handle(ev.Progressed("r"))
        life.handle(ev.Extended("r", 60.0))
    assert life.instance.deadline == BEGIN + 100.0


def test_what_was_said_while_there_was_no_master_can_still_come() -> None:
    """The next step of a ladder, and the end of the time to be ready, are not before that."""
    ladder = (Rung("alert"), Rung("restart", after=10.0))
    life = Life(HealthSpec(progress_timeout=5.0, evidence=(), on_stall=ladder))
    life.until(6.0)
    life.now = BEGIN + 100.0
    life.handle(ev.Recovered())
    life.until(102.0)
    assert life.is_in(Status.ONLINE)
    life.until(104.0)
    assert life.is_in(Status.STOPPING)
    starting = Life(HealthSpec(), Status.STARTING)
    starting.now = BEGIN + 29.9
    starting.handle(ev.Recovered())
    assert starting.instance.deadline is not None
    assert starting.instance.deadline > starting.now + 2.0


def test_who_ends_by_itself_has_promised_no_more_heartbeats() -> None:
    life = Life(HealthSpec(heartbeat_timeout=5.0))
    life.handle(ev.Beat("r"))
    life.handle(ev.StoppingReported("r"))
    life.until(1000.0)
    assert life.instance.status is Status.ONLINE
