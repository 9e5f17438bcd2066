"""What runs report: bounded, and forgotten with the run."""

from __future__ import annotations

from pypm.core.events import Occupied, Progressed
from pypm.master.telemetry import Telemetry


def test_a_run_that_is_over_is_forgotten_some_time() -> None:
    runs = {"token": (0, "living")}
    telemetry = Telemetry(runs, lambda: 0.0)
    telemetry.of("living").metric("tokens", 7, 1.0)
    for number in range(1000):
        telemetry.of(f"dead {number}")
    known = [number for number in range(1000) if telemetry.find(f"dead {number}")]
    assert len(known) < 20
    living = telemetry.find("living")
    assert living is not None
    assert living.metrics["tokens"].value == 7


def test_tasks_of_too_many_names_are_progress_all_the_same() -> None:
    run = Telemetry({}, lambda: 0.0).of("r")
    for number in range(150):
        run.task(f"task {number}", "begun", "1", 0.0)
        assert run.task(f"task {number}", "done", "1", 0.0)[0] == Progressed("r", f"task {number}")
    assert len(run.tasks) == 100


def test_a_task_whose_beginning_was_not_heard_is_counted_when_it_is_done() -> None:
    run = Telemetry({}, lambda: 0.0).of("r")
    run.task("summary", "done", "77", 5.0)
    [task] = run.tasks.values()
    assert (task.running, task.done, task.at) == (0, 1, 5.0)


def test_whether_anything_is_under_way_is_told_when_that_changes() -> None:
    run = Telemetry({}, lambda: 0.0).of("r")
    assert run.task("a", "begun", "1", 0.0) == [Occupied("r", tasks=True)]
    assert run.task("b", "begun", "1", 0.0) == []
    assert run.task("a", "failed", "1", 0.0) == []
    assert run.task("b", "done", "1", 0.0) == [Progressed("r", "b"), Occupied("r", tasks=False)]
    assert run.task("c", "failed", "9", 0.0) == [Occupied("r", tasks=False)], "another master's"


def test_tasks_that_never_end_do_not_fill_the_memory() -> None:
    run = Telemetry({}, lambda: 0.0).of("r")
    for number in range(5000):
        run.task("leak", "begun", str(number), 0.0)
    assert run.tasks["leak"].running == 1000
