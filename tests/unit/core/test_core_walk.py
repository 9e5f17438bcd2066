"""Random lives: whatever happens in whatever order, no state is one that cannot be."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from invariants import check_instance, checked_step

from pypm.core import events as ev
from pypm.core.instance import Desired, Instance, Status
from pypm.core.spec import AppSpec, CpuLimit, Hook, Hooks, LimitSpec, RestartPolicy, Rule, ScheduleSpec
from pypm.core.state import App, assemble, decode, encode_app, encode_instance, encode_origin
from pypm.testing import Program, Simulation

LIMIT = 1000
STEPS = 50
"""How much happens in a long life."""
WALKS = (10_000 if os.environ.get("PYPM_SOAK") else 500) // STEPS
"""How many long lives are led."""
seconds = st.sampled_from([0.0, 0.1, 1.0, 3.0, 5.0, 30.0, 100.0])

policies = st.builds(
    RestartPolicy,
    autorestart=st.sampled_from(["always", "on-failure", "never"]),
    stop_exit_codes=st.sampled_from([(), (0,), (3,)]),
    delay=st.sampled_from([None, 0.1, 2.0]),
    backoff=st.sampled_from([None, 1.0]),
    max_restarts=st.sampled_from([None, 0, 1, 3]),
    window=st.sampled_from([10.0, 900.0]),
    backoff_reset=st.sampled_from([0.5, 30.0]),
    rules=st.sampled_from(
        [
            (),
            (Rule("hold", codes=(3,), hold_for=30.0),),
            (
                Rule("hold", log="limit (.*)", hold_like="$1s"),
                Rule("restart", signals=("SIGSEGV",), delay=1.0),
            ),
            (Rule("stop", log="never"), Rule("hold", causes=("memory", "signal", "spawn"))),
        ]
    ),
)
limits = st.builds(
    LimitSpec,
    memory_high_signal=st.sampled_from([None, "SIGUSR1"]),
    cpu=st.sampled_from([None, CpuLimit(100.0, 5.0), CpuLimit(100.0, 5.0, "restart")]),
    max_runtime=st.sampled_from([None, 20.0, 60.0]),
    recycle_grace=st.sampled_from([0.0, 30.0]),
)
schedules = st.builds(
    ScheduleSpec,
    every=st.just(60.0),
    overlap=st.sampled_from(["skip", "queue", "kill"]),
    timeout=st.sampled_from([None, 0.5, 20.0]),
)
specs = st.builds(
    AppSpec,
    name=st.just("agent"),
    command=st.just(("/bin/agent",)),
    cwd=st.just("/"),
    restart=policies,
    wait_ready=st.booleans(),
    listen_timeout=st.sampled_from([0.5, 3.0, 30.0]),
    kill_timeout=st.sampled_from([0.0, 1.0, 5.0]),
    treekill=st.booleans(),
    max_memory=st.sampled_from([None, LIMIT]),
    limits=limits,
    hooks=st.sampled_from([Hooks(), Hooks(Hook(("/bin/a",)), Hook(("/bin/b",)), Hook(("/bin/c",)))]),
    schedule=st.none() | schedules,
    cron_restart=st.sampled_from([None, "0 4 * * *"]),
)
programs = st.builds(
    Program,
    lives=st.none() | seconds.map(lambda each: each + 0.1),
    code=st.sampled_from([0, 1, 3]),
    signal=st.sampled_from([None, None, 9, 11]),
    ready=st.none() | seconds,
    grace=st.none() | seconds,
    leftovers=st.none() | seconds,
    fails=st.sampled_from([None, None, None, "no such file"]),
    hook=seconds,
    writes=st.sampled_from([(), ("limit 5",)]),
)


@dataclass(frozen=True)
class Order:
    """Something that is done to the instance, and how long to wait after it."""

    what: str
    pause: float


WHAT = [
    "start",
    "stop",
    "leave",
    "restart",
    "delete",
    "reset",
    "spec",
    "master",
    "memory",
    "more memory",
    "near",
    "calm",
    "cpu",
    "idle",
    "task",
    "no task",
    "ready",
    "talk",
    "suspend",
    "stop later",
    "hold back",
    "let go",
    "dependency",
    "run now",
    "due",
    "moved",
]
orders = st.builds(Order, what=st.sampled_from(WHAT), pause=seconds)


class Life(Simulation):
    """A simulation that records what happens, and can lose its master."""

    def __init__(self, spec: AppSpec, scripts: list[Program]) -> None:
        super().__init__(spec, scripts, pids=1)  # what is known of a run is never known by its pid alone
        self.first = self.instance
        self.happened: list[tuple[float, ev.Event, Instance]] = []

    def handle(self, event: ev.Event) -> None:
        gone = self.gone
        super().handle(event)
        if not gone:
            self.happened.append((self.clock(), event, self.instance))

    def lose_master(self) -> None:
        """A new master reads the state: timers and orders under way are gone, processes are not."""
        self.instance = self.stored()
        self._timer = None
        run = self.instance.run
        self.handle(ev.Recovered())
        if run is not None and run.leaving is None and not self.process.alive:
            self.handle(ev.Exited(run.run_id))

    def crash(self, number: int) -> None:
        """A signal ends the process that lives."""
        self._exit(self.process, None, number)

    def stored(self) -> Instance:
        """The instance after a way through the state file."""
        spec = self.instance.spec
        app = App(spec, 0.0)
        parts = ({"": encode_origin(app.origin)}, [encode_app(app, "")], [encode_instance(self.instance)])
        return decode(assemble("boot", 0.0, 0.0, 1, *parts)).instances[0]

    def obey(self, order: Order, other: AppSpec) -> None:
        run_id = self.instance.run.run_id if self.instance.run else "none"
        if order.what == "master":
            if not self.gone:
                self.lose_master()
        elif order.what == "suspend":
            self.suspend(3600.0)
        else:
            events: dict[str, ev.Event] = {
                "start": ev.StartRequested(),
                "stop": ev.StopRequested(),
                "leave": ev.StopRequested(keep_desired=True),
                "restart": ev.RestartRequested(),
                "stop later": ev.StopRequested(waits_for="b to stop"),
                "hold back": ev.HeldBack("a to be ready"),
                "let go": ev.LetGo(),
                "dependency": ev.DependencyFailed("a is errored"),
                "delete": ev.DeleteRequested(),
                "reset": ev.ResetRequested(),
                "spec": ev.SpecChanged(other),
                "memory": ev.MemoryOver(run_id, 2 * LIMIT),
                "more memory": ev.MemoryOver(run_id, 3 * LIMIT),
                "near": ev.MemoryUsed(run_id, int(0.95 * LIMIT)),
                "calm": ev.MemoryUsed(run_id, 0),
                "cpu": ev.CpuUsed(run_id, 150.0, 1.0),
                "idle": ev.CpuUsed(run_id, 1.0, 1.0),
                "task": ev.Occupied(run_id, tasks=True),
                "no task": ev.Occupied(run_id, tasks=False),
                "ready": ev.Ready(run_id),
                "run now": ev.RunRequested(),
                "due": ev.ScheduleDue(self.clock(), "schedule every 1m"),
                "moved": ev.ScheduleMoved(self.clock()),
                "talk": ev.StatusReported(run_id, f"at {self.clock()}"),
            }
            self.handle(events[order.what])
        self.run(order.pause)


@settings(max_examples=150, deadline=None)
@given(
    spec=specs,
    other=specs,
    scripts=st.lists(programs, min_size=1, max_size=4),
    todo=st.lists(orders, max_size=12),
)
def test_random_lives(spec: AppSpec, other: AppSpec, scripts: list[Program], todo: list[Order]) -> None:
    life = Life(spec, scripts)
    for order in todo:
        life.obey(order, other)
        living = [process for process in life.processes if process.alive]
        assert len(living) <= 1, "nothing is ever started twice"
    replayed = life.first
    for time, event, after in life.happened:
        replayed = checked_step(replayed, event, time)[0]
        assert replayed == after, "a history replayed gives the same states"
    assert_it_ends(life)


def assert_it_ends(life: Life) -> None:
    """Whatever has happened: an order to stop, or to delete, is carried out in the end."""
    life.handle(ev.StopRequested())
    life.handle(ev.LetGo())
    life.run(1000)
    if not life.gone:
        assert life.instance.status is Status.STOPPED
        assert life.instance.desired is Desired.DOWN
        assert not any(process.alive for process in life.processes)
        life.handle(ev.DeleteRequested())
        assert life.gone


@settings(max_examples=60, deadline=None)
@given(spec=specs, scripts=st.lists(programs, min_size=1, max_size=4))
def test_nothing_ever_waits_for_nothing(spec: AppSpec, scripts: list[Program]) -> None:
    """Left alone, an instance comes to a status in which it may stay, or has a time at which it goes on."""
    life = Life(spec, scripts)
    life.handle(ev.StartRequested())
    life.run(300)
    status = life.instance.status
    if status is Status.STARTING:
        assert life.instance.deadline is not None or life.instance.run is None
    else:
        may_stay = status in (Status.ONLINE, Status.EXITED, Status.ERRORED, Status.HELD)
        # A hook has a time of its own, after which the master tells its end.
        assert may_stay or life.instance.preparing or life.instance.deadline is not None
    if life.instance.deadline is not None:
        assert life.instance.deadline >= life.clock()


class LongLife(RuleBasedStateMachine):
    """One life in which things happen until it is enough; after a delete another one begins."""

    life: Life

    @initialize(spec=specs, scripts=st.lists(programs, min_size=1, max_size=4))
    def begin(self, spec: AppSpec, scripts: list[Program]) -> None:
        self.life = Life(spec, scripts)

    @rule(order=orders, other=specs, program=programs)
    def obey(self, order: Order, other: AppSpec, program: Program) -> None:
        if self.life.gone:
            self.life = Life(other, [program])
        self.life.obey(order, other)

    @precondition(lambda self: self.has_process())
    @rule(number=st.sampled_from([6, 9, 11]), pause=seconds)
    def crash(self, number: int, pause: float) -> None:
        self.life.crash(number)
        self.life.run(pause)

    @precondition(lambda self: self.has_process())
    @rule(number=st.sampled_from([9, 11]), pause=seconds)
    def crash_without_master(self, number: int, pause: float) -> None:
        """The process ends while there is no master: the next one finds it gone."""
        self.life.process.alive = False
        self.life.lose_master()
        self.life.run(pause)

    def has_process(self) -> bool:
        return any(process.alive for process in self.life.processes)

    @invariant()
    def what_runs_is_what_is_known_to_run(self) -> None:
        run = self.life.instance.run
        living = [process.run_id for process in self.life.processes if process.alive]
        assert living == ([] if self.life.gone or run is None or run.leaving is not None else [run.run_id])
        if not self.life.gone:
            check_instance(self.life.instance)

    def teardown(self) -> None:
        if hasattr(self, "life"):
            assert_it_ends(self.life)


TestLongLife = LongLife.TestCase
TestLongLife.settings = settings(
    max_examples=WALKS,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
