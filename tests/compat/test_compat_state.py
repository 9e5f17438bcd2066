"""State files as earlier versions wrote them, frozen: every later pypm can read them.

A file here is never changed. A new version of the state gets files of its own beside these.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pypm.core import events as ev
from pypm.core.instance import After, Desired, Instance, Run, RunEnd, Status
from pypm.core.machine import step
from pypm.core.spec import AppSpec, LogSpec, Origin, RestartPolicy
from pypm.core.state import App, State, after_reboot, decode

FOLDER = Path(__file__).parent / "state"
FILES = ("version-1.json", "version-1-with-unknown-fields.json")

RESEARCH = AppSpec(
    name="research",
    command=("/usr/bin/python3", "-u", "/srv/agents/research.py", "--topic", "größe"),
    cwd="/srv/agents",
    namespace="lab",
    script="research.py",
    instances=2,
    instance_var="WORKER",
    increment_var="PORT",
    env={"PORT": "4000", "KEY": "wert ü"},
    env_files=("/srv/agents/.env",),
    filter_env=("SECRET",),
    restart=RestartPolicy(
        autorestart="on-failure",
        stop_exit_codes=(0, 3),
        backoff=0.5,
        max_backoff=20.0,
        backoff_reset=60.0,
        max_restarts=5,
        window=600.0,
    ),
    min_uptime=2.5,
    kill_signal="SIGINT",
    kill_timeout=12.5,
    wait_ready=True,
    listen_timeout=20.0,
    max_memory=300 * 2**20,
    logs=LogSpec(
        out_file="/srv/logs/out.log",
        combined_file="/srv/logs/all.log",
        merge=True,
        max_size=2**20,
        retain=3,
    ),
    source="/srv/agents/ecosystem.toml",
)
WEB = AppSpec(
    name="web",
    command=("/srv/web/server",),
    cwd="/srv/web",
    filter_env=True,
    autostart=False,
    restart=RestartPolicy(autorestart="never", delay=1.5, max_restarts=None),
    treekill=False,
    logs=LogSpec(disabled=True),
)


@pytest.fixture(params=FILES)
def state(request: pytest.FixtureRequest) -> State:
    return decode((FOLDER / request.param).read_bytes())


def instance(state: State, app: str) -> Instance:
    return next(each for each in state.instances if each.app == app)


def test_the_head(state: State) -> None:
    assert state.version == 1
    assert state.boot_id == "0b7c1a52-52a5-4a8c-93b4-0a3a3e0f4a01"
    assert (state.boot_time, state.wall_time, state.next_id) == (84100.5, 1790000000.25, 9)
    assert [each.id for each in state.instances] == list(range(9))


def test_the_apps(state: State) -> None:
    origin = Origin({"PATH": "/usr/bin:/bin", "LANG": "de_DE.UTF-8"}, 0o077)
    assert state.apps[0] == App(RESEARCH, 84000.25, origin)
    assert state.apps[1] == App(WEB, 84000.25, Origin())
    assert state.apps[2].spec == AppSpec("plain", ("/bin/sleep", "1000"), "/")


def test_a_run(state: State) -> None:
    first = state.instances[0]
    assert (first.name, first.spec, first.status) == ("research:0", RESEARCH, Status.ONLINE)
    assert first.run == Run(
        run_id="run2",
        token="token",
        pid=1002,
        start_ticks=1,
        started=84070.73816553842,
        ready=True,
        last_beat=84090.25,
        status_text="reading page 3 of 9",
    )
    assert first.runs == (
        RunEnd(84070.25, 70.0, "exit code 1", code=1, ready=True, planned=False, run_id="run1"),
    )
    assert (first.restarts, first.failures, len(first.restart_times)) == (1, 1, 1)
    assert first.reason == "restarted: exit code 1"


def test_each_status(state: State) -> None:
    assert [(each.app, each.status, each.desired, each.after) for each in state.instances] == [
        ("research", Status.ONLINE, Desired.UP, After.STOP),
        ("research", Status.BACKOFF, Desired.UP, After.STOP),
        ("web", Status.ERRORED, Desired.UP, After.STOP),
        ("plain", Status.STOPPING, Desired.UP, After.DECIDE),
        ("going", Status.STOPPING, Desired.DOWN, After.DELETE),
        ("coming", Status.STARTING, Desired.UP, After.STOP),
        ("down", Status.STOPPED, Desired.DOWN, After.STOP),
        ("done", Status.EXITED, Desired.UP, After.STOP),
        ("kept", Status.HELD, Desired.UP, After.STOP),
    ]
    assert state.instances[1].deadline == 84003.73768044055
    assert state.instances[1].last == RunEnd(84003.25, 3.0, "killed by SIGSEGV", signal=11, run_id="run1")
    leaving = instance(state, "plain").run
    assert leaving is not None
    assert leaving.leaving == RunEnd(84040.25, 40.0, "exit code 1", code=1, ready=True, run_id="run1")
    last = instance(state, "down").last
    assert last is not None
    assert last.planned
    assert instance(state, "going").stop_reason == "deleted by operator"
    assert instance(state, "kept").reason == "rate limit"


def test_a_master_can_go_on_from_it(state: State) -> None:
    """After a reboot, as with every file that is older than this machine's boot."""
    expected = {
        "research": {Status.STARTING, Status.BACKOFF},
        "web": {Status.ERRORED},
        "plain": {Status.STARTING},
        "coming": {Status.STARTING},
        "down": {Status.STOPPED},
        "done": {Status.EXITED},
        "kept": {Status.HELD},
    }
    for each in after_reboot(state, 10.0, state.wall_time + 60.0).instances:
        after, actions = step(each, ev.Recovered(), 10.0)
        if after.run is not None:
            after, actions = step(
                after, ev.Exited(after.run.run_id, reason="the machine was restarted"), 10.0
            )
        if each.app == "going":
            assert type(actions[0]).__name__ == "Forget"
        else:
            assert after.status in expected[each.app]
