"""The table ``limits``, and as whom an app runs."""

from __future__ import annotations

import os

import pytest

from pypm.core.limit_validity import fault_of_limits
from pypm.core.spec import UNLIMITED, AppSpec, LimitSpec


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("open_files", 4096, 4096),
        ("file_size", "1G", 1024**3),
        ("core", 0, 0),
        ("core", "unlimited", UNLIMITED),
        ("nice", -5, -5),
        ("ionice", "idle", "idle"),
        ("ionice", "best-effort", "best-effort:4"),
        ("ionice", "realtime:0", "realtime:0"),
        ("cpu_affinity", 0, (0,)),
        ("cpu_affinity", [0], (0,)),
        ("cpu_affinity", "0-0", (0,)),
        ("oom_score_adj", 1000, 1000),
        ("tasks", 64, 64),
        ("cpu_max", 50, 0.5),
        ("cpu_max", "150%", 1.5),
        ("enforce", "best_effort", "best_effort"),
    ],
)
def test_values(spec_of, key, value, expected):
    assert getattr(spec_of(limits={key: value}).limits, key) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("open_files", 0),
        ("open_files", "many"),
        ("open_files", "unlimited"),
        ("file_size", -1),
        ("core", "big"),
        ("nice", 20),
        ("ionice", "best-effort:8"),
        ("ionice", "idle:1"),
        ("ionice", 3),
        ("cpu_affinity", []),
        ("cpu_affinity", "3-1"),
        ("cpu_affinity", "a"),
        ("cpu_affinity", [-1]),
        ("oom_score_adj", -1001),
        ("tasks", 0),
        ("tasks", "many"),
        ("cpu_max", 0),
        ("cpu_max", True),
        ("cpu_max", "half"),
        ("cpu_max", 1e9),
        ("enforce", "never"),
    ],
)
def test_wrong_values(faults_of, key, value):
    assert f"apps[0].limits.{key}: " in faults_of(limits={key: value}) or key in faults_of(
        limits={key: value}
    )


def test_a_cpu_that_is_not_there(faults_of):
    assert "this machine has no CPU 4000" in faults_of(limits={"cpu_affinity": [0, 4000]})


def test_a_misspelled_unlimited_is_answered_with_it(faults_of):
    assert '"1.5G", or "unlimited"' in faults_of(limits={"core": "unlimted"})


def test_memory_is_another_name(spec_of, faults_of):
    assert spec_of(limits={"memory": "300M"}).max_memory == 300 * 1024**2
    assert "keep one of them" in faults_of(limits={"memory": "1G"}, max_memory_restart="2G")


@pytest.mark.parametrize("spelling", ["user", "uid", "username"])
def test_a_user_has_to_exist(spec_of, faults_of, spelling):
    assert spec_of(**{spelling: os.geteuid()}).user == str(os.geteuid())
    assert "there is no user 'no-such-user'" in faults_of(**{spelling: "no-such-user"})
    assert "there is no user" in faults_of(**{spelling: 2**40})


def test_a_group_has_to_exist(spec_of, faults_of):
    assert spec_of(gid=os.getegid()).group == str(os.getegid())
    assert "there is no group 'no-such-group'" in faults_of(group="no-such-group")


def test_somebody_else_needs_root(faults_of, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert "only root can start agents as somebody else" in faults_of(user="root")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_cannot_say_that_it_is_ready_by_a_socket(spec_of, faults_of):
    assert "cannot reach pypm's sockets" in faults_of(user="nobody", wait_ready=True)
    assert spec_of(user="nobody", wait_ready=True, ready_fd=3).user == "nobody"


@pytest.mark.parametrize("value", ["", "9", "1000", "0o1777", 22, "rwx"])
def test_a_umask_is_octal_text(faults_of, value):
    assert "apps[0].umask" in faults_of(umask=value)


@pytest.mark.parametrize(
    "fields",
    [
        {"limits": LimitSpec(open_files=-2)},
        {"limits": LimitSpec(nice=20)},
        {"limits": LimitSpec(ionice="first")},
        {"limits": LimitSpec(cpu_affinity=(-1,))},
        {"limits": LimitSpec(oom_score_adj=1001)},
        {"umask": 0o1000},
        {"user": ""},
        {"group": "a\0"},
    ],
)
def test_the_master_takes_no_such_spec(fields):
    assert fault_of_limits(AppSpec("a", ("/bin/true",), "/", **fields))
