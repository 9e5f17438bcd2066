"""Three clocks: start-up, heartbeat, progress; honest waits; evidence; ladders. On the fake clock."""

from __future__ import annotations

from invariants import checked_step

from pypm.core import events as ev
from pypm.core.actions import Gather, Signal, Snapshot, Tell
from pypm.core.instance import Health, Instance, Run, Status, Vitals
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
    assert life.instance.stop_reason == "no progress for 1m and no sign of work"
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
