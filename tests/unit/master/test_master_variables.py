"""What a run is told about its place and the run before it."""

from __future__ import annotations

from pypm.agent.restart import LastExit, read_restart_info
from pypm.core.instance import Instance, RunEnd
from pypm.core.spec import AppSpec
from pypm.master.variables import history_variables, state_folder


def instance(app: str = "worker", index: int = 0, instances: int = 1, **fields: object) -> Instance:
    spec = AppSpec(name=app, command=("/bin/true",), cwd="/", instances=instances)
    return Instance(id=1, app=app, index=index, created=0.0, since=0.0, spec=spec, **fields)  # type: ignore[arg-type]


def test_a_first_run_is_told_that_there_was_none() -> None:
    variables = history_variables(instance())
    assert variables == {"PYPM_RESTARTS": "0"}
    assert not read_restart_info(variables).is_restart


def test_the_agent_reads_what_the_master_says() -> None:
    end = RunEnd(at=5.0, uptime=2.0, reason="killed by\nSIGKILL\0", signal=9, run_id="abc", cause="oom")
    info = read_restart_info(history_variables(instance(restarts=3, runs=(end,))))
    assert info == (True, 3, "oom", "killed by SIGKILL", LastExit(None, "SIGKILL"), "abc")


def test_an_exit_code_and_a_very_long_reason() -> None:
    end = RunEnd(at=5.0, uptime=2.0, reason="r" * 100_000, code=1, cause="exit")
    variables = history_variables(instance(runs=(end,)))
    assert variables["PYPM_LAST_EXIT_CODE"] == "1"
    assert len(variables["PYPM_LAST_REASON"]) == 1000
    assert "PYPM_LAST_SIGNAL" not in variables


def test_the_state_folder_stays_when_the_app_is_scaled() -> None:
    assert state_folder("/home", instance()) == state_folder("/home", instance(instances=4))


def test_no_two_instances_have_one_state_folder_and_none_is_outside() -> None:
    names = ["worker", "worker-0", "..", ".", "größe", "a b", "x" * 100, "日" * 100, "%", "a%b"]
    folders = {state_folder("/home", instance(name, index)) for name in names for index in (0, 1, 10)}
    assert len(folders) == 3 * len(names)
    for folder in folders:
        parent, _, last = folder.rpartition("/")
        assert parent == "/home/agents"
        assert last not in (".", "..")
        assert len(last.encode()) < 255
