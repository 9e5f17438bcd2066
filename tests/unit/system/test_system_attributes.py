"""What a process has from its first instruction."""

from __future__ import annotations

import os
import resource
import threading

import pytest

from pypm.core.sandbox_spec import SandboxSpec
from pypm.core.spec import UNLIMITED, AppSpec, LimitSpec
from pypm.system import attributes as module
from pypm.system import held
from pypm.system.attributes import attributes_of
from pypm.system.spawn import spawn
from pypm.system.spawn_error import SpawnError

REPORT = (
    "ulimit -n; ulimit -Hn; ulimit -f; ulimit -c; nice; cat /proc/self/oom_score_adj;"
    "grep -h -e Cpus_allowed_list -e NoNewPrivs /proc/self/status; id -u; id -g; id -G"
)
IS_ROOT = os.geteuid() == 0


def said_by(command: str, soft: int | None = None, **fields: object) -> list[str]:
    """The lines that a shell prints which is spawned for a spec with ``fields``."""
    spec = AppSpec("a", ("/bin/sh", "-c", command), "/", **fields)  # type: ignore[arg-type]
    reader, writer = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    try:
        child = spawn(
            spec.command,
            cwd="/",
            env={"PATH": os.environ["PATH"]},
            stdin=null,
            stdout=writer,
            stderr=null,
            umask=0o022,
            open_files=soft,
            attributes=attributes_of(spec),
        )
    finally:
        os.close(writer)
        os.close(null)
    with open(reader, encoding="utf-8") as file:
        lines = file.read().splitlines()
    os.waitpid(child.pid, 0)
    return lines


@pytest.fixture(autouse=True, params=["held", "by words"])
def road(request, monkeypatch):
    """Both ways in which limits are given: to a process that is held, and by programs before its own."""
    if request.param == "by words":
        monkeypatch.setattr(held, "is_possible", lambda: False)
    elif not held.is_possible():
        pytest.skip("no process can be held here: an older C library, or a kernel without lists of children")
    return request.param


def test_all_limits_are_there_from_the_start_and_not_here():
    own = (os.nice(0), os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_NOFILE))
    cpu = min(os.sched_getaffinity(0))
    limits = LimitSpec(
        open_files=300,
        file_size=1024**2,
        core=0,
        nice=own[0] + 7,
        ionice="best-effort:6",
        cpu_affinity=(cpu,),
        oom_score_adj=600,
    )
    lines = said_by(f"{REPORT}; ionice || true", limits=limits)
    assert lines[:6] == ["300", "300", "2048", "0", str(own[0] + 7), "600"]
    assert f"Cpus_allowed_list:\t{cpu}" in lines
    assert lines[-1] == "best-effort: prio 6"
    assert own == (os.nice(0), os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_NOFILE))
    with open("/proc/self/oom_score_adj") as file:
        assert file.read().strip() != "600"


def test_the_pid_is_the_programs_own():
    assert len(set(said_by("echo $$; exec sh -c 'echo $$'", limits=LimitSpec(core=0)))) == 1


def test_a_program_is_found_in_its_path_as_without_limits():
    null = os.open("/dev/null", os.O_RDWR)
    limited = module.Attributes(LimitSpec(core=0))
    env = {"PATH": os.environ["PATH"]}
    try:
        child = spawn(
            ["true"],
            cwd="/",
            env=env,
            stdin=null,
            stdout=null,
            stderr=null,
            umask=0,
            attributes=limited,
        )
    finally:
        os.close(null)
    assert os.waitpid(child.pid, 0)[1] == 0


def test_open_files_are_the_shells_beside_other_limits():
    assert said_by("ulimit -n", soft=123, limits=LimitSpec(core=0)) == ["123"]
    assert said_by("ulimit -n", soft=123, limits=LimitSpec(open_files=321)) == ["321"]


def test_no_new_privileges():
    assert said_by("grep NoNewPrivs /proc/self/status", no_new_privileges=True) == ["NoNewPrivs:\t1"]
    with open("/proc/thread-self/status") as file:
        assert "NoNewPrivs:\t0" in file.read()


def test_more_than_the_machine_allows_is_refused(monkeypatch):
    monkeypatch.setattr(module, "_may_raise_limits", lambda: False)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with pytest.raises(SpawnError, match=rf"limits\.open_files = {hard + 1}: more than .* which is {hard}"):
        said_by("true", limits=LimitSpec(open_files=hard + 1))
    resource_limits = {resource.RLIMIT_FSIZE: (5, 5)}
    monkeypatch.setattr(resource, "getrlimit", resource_limits.__getitem__)
    with pytest.raises(SpawnError, match=r"limits\.file_size = unlimited: more than .* which is 5"):
        said_by("true", limits=LimitSpec(file_size=UNLIMITED))


def test_not_even_root_has_more_open_files_than_the_kernel(monkeypatch):
    monkeypatch.setattr(module, "_may_raise_limits", lambda: True)
    with open("/proc/sys/fs/nr_open") as file:
        most = int(file.read())
    with pytest.raises(SpawnError, match=rf"open_files = {most + 1}: more than .* which is {most}"):
        said_by("true", limits=LimitSpec(open_files=most + 1))


def test_what_the_kernel_refuses_is_told(monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    with pytest.raises(SpawnError, match=r"limits\.nice = -5: Operation not permitted"):
        said_by("true", limits=LimitSpec(nice=-5))


def test_that_there_are_as_many_threads_as_there_may_be_is_told(monkeypatch):
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(SpawnError, match="the limit of processes is reached"):
        said_by("true", limits=LimitSpec(nice=5))
    spec = AppSpec("a", ("/bin/true",), "/", limits=LimitSpec(nice=5))
    assert attributes_of(spec).refusal("/bin/true", "/") == "", "it may be over when it is started"


def test_a_cpu_that_has_gone_is_told():
    with pytest.raises(SpawnError, match="this machine has no CPU 8000"):
        said_by("true", limits=LimitSpec(cpu_affinity=(0, 8000)))


def test_without_the_program_for_it_nothing_is_started(monkeypatch, road):
    monkeypatch.setattr(module, "TOOLS", "/nowhere")
    if road == "held":
        assert said_by("ulimit -c", limits=LimitSpec(core=0)) == ["0"], "it needs none"
        return
    with pytest.raises(SpawnError, match=r"core: it needs the program prlimit \(package util-linux\)"):
        said_by("true", limits=LimitSpec(core=0))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("no-such-program", "no-such-program: no such file"),
        ("/nowhere/x", "/nowhere/x: no such file or folder"),
        ("/etc/passwd", "/etc/passwd: permission denied"),
    ],
)
def test_a_program_that_cannot_be_started_is_told_as_without_limits(program, words):
    null = os.open("/dev/null", os.O_RDWR)
    try:
        with pytest.raises(SpawnError, match=words):
            spawn(
                [program],
                cwd="/",
                env={},
                stdin=null,
                stdout=null,
                stderr=null,
                umask=0,
                attributes=module.Attributes(LimitSpec(core=0, nice=19)),
            )
    finally:
        os.close(null)


@pytest.mark.skipif(not IS_ROOT, reason="only root can be somebody else")
def test_another_user_has_all_its_groups_and_none_of_ours():
    import pwd

    entry = pwd.getpwnam("nobody")
    groups = os.getgrouplist("nobody", entry.pw_gid)
    lines = said_by("id -u; id -g; id -G", user="nobody", limits=LimitSpec(core=0), no_new_privileges=True)
    assert lines[:2] == [str(entry.pw_uid), str(entry.pw_gid)]
    assert sorted(map(int, lines[2].split())) == sorted(groups)


@pytest.mark.skipif(not IS_ROOT, reason="only root can be somebody else")
def test_another_group_alone():
    lines = said_by("id -u; id -g", group="nogroup")
    import grp

    assert lines == ["0", str(grp.getgrnam("nogroup").gr_gid)]


def test_an_unknown_user_is_told():
    with pytest.raises(SpawnError, match="there is no user no-such-user"):
        said_by("true", user="no-such-user")


def test_the_one_that_we_are_needs_no_root(monkeypatch):
    user = str(os.geteuid())
    monkeypatch.setattr(os, "getegid", lambda: 4242)  # as after newgrp
    assert attributes_of(AppSpec("a", ("/bin/true",), "/", user=user)).identity is None


def test_what_cannot_be_given_is_known_before_a_process_is_made() -> None:
    def refusal(**fields: object) -> str:
        spec = AppSpec("a", ("/bin/true",), "/", **fields)  # type: ignore[arg-type]
        return attributes_of(spec).refusal(spec.command[0], spec.cwd)

    before = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)
    with open("/proc/self/oom_score_adj") as file:
        score = file.read()
    cpu = min(os.sched_getaffinity(0))
    possible = LimitSpec(open_files=100, core=0, nice=19, cpu_affinity=(cpu,), oom_score_adj=1000)
    assert refusal(limits=possible, no_new_privileges=True) == ""
    assert refusal() == ""
    assert "limits.open_files = 1073741824: more than" in refusal(limits=LimitSpec(open_files=2**30))
    assert "this machine has no CPU 8000" in refusal(limits=LimitSpec(cpu_affinity=(8000,)))
    hidden = SandboxSpec(inaccessible_paths=("/usr/bin",))
    assert "sandbox: " in refusal(sandbox=hidden)
    assert (os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)) == before
    with open("/proc/self/oom_score_adj") as file:
        assert file.read() == score
