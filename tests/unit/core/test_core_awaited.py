"""What a start or a stop waits for, in one line."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pypm.core.awaited import awaited
from pypm.core.instance import Desired, Instance, Run, RunEnd, Status
from pypm.core.spec import AppSpec

NOW = 100.0
RUN = Run(run_id="r1", token="t", pid=4000, start_ticks=77, started=90.0)
SAYS = replace(
    RUN,
    vitals=replace(RUN.vitals, extended_until=125.0, waiting_since=99.0, waiting_for="finishing the step"),
)
LEFT = replace(RUN, leaving=RunEnd(at=99.0, uptime=9.0, reason="exit code 0", code=0))
AGENT = Instance(id=0, app="a", index=0, created=1.0, since=90.0, spec=AppSpec("a", ("/bin/a",), "/"))


def starting(**fields: object) -> Instance:
    return replace(AGENT, status=Status.STARTING, **fields)


def stopping(**fields: object) -> Instance:
    return replace(AGENT, status=Status.STOPPING, desired=Desired.DOWN, **{"run": RUN, **fields})


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        (AGENT, ""),
        (starting(), ""),
        (starting(waits_for="model to be ready"), "waits for model to be ready"),
        (starting(run=RUN, deadline=125.0), "not ready yet, 25s left"),
        (replace(AGENT, status=Status.ONLINE, run=RUN, deadline=125.0), ""),
        (replace(AGENT, status=Status.HELD, reason="model is errored", waits_for="model is errored"), ""),
        (stopping(waits_for="worker to stop"), "waits for worker to stop"),
        (stopping(preparing=True), "its pre_stop hook runs"),
        (stopping(deadline=108.0), "SIGTERM sent, SIGKILL in 8s"),
        (stopping(deadline=90.0), "SIGTERM sent, SIGKILL in 0s"),
        (stopping(deadline=108.0, asked=True), "shutdown message sent, SIGTERM in 8s"),
        (
            stopping(deadline=125.0, run=SAYS),
            "finishing the step (extended): SIGTERM sent, SIGKILL in 25s",
        ),
        (stopping(deadline=108.0, run=LEFT), "its children: SIGTERM sent, SIGKILL in 8s"),
        (stopping(deadline=108.0, run=replace(LEFT, reading=True)), "its last lines are read"),
        (stopping(deadline=105.0, killed=True), "SIGKILL sent"),
    ],
)
def test_what_is_waited_for(instance: Instance, words: str) -> None:
    assert awaited(instance, NOW) == words
