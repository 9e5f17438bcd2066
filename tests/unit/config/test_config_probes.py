"""The tables ``startup``, ``liveness`` and ``readiness`` of ``health``."""

from __future__ import annotations

from pathlib import Path

import pytest

from pypm.config.ecosystem import load
from pypm.core.errors import ConfigError
from pypm.core.probe_spec import ProbeSpec
from pypm.core.spec import AppSpec, Rung


def app_of(folder: Path, health: str, more: str = "") -> AppSpec:
    file = folder / "ecosystem.toml"
    file.write_text(f'[[apps]]\nname = "a"\ncommand = ["/bin/sleep", "1"]\n{more}\n[apps.health]\n{health}\n')
    return next(iter(load(str(file))))


def test_the_defaults_are_those_of_kubernetes(tmp_path: Path) -> None:
    health = app_of(tmp_path, 'readiness = { http = "http://127.0.0.1:8000/healthz" }').health
    probe = health.readiness
    assert probe is not None
    assert (probe.initial_delay, probe.period, probe.timeout) == (0.0, 10.0, 1.0)
    assert (probe.success_threshold, probe.failure_threshold) == (1, 3)
    assert (health.startup, health.liveness) == (None, None)


@pytest.mark.parametrize(
    ("written", "probe"),
    [
        (
            'http = "https://$HOST/x"\nmethod = "HEAD"\nstatus = 204\nheaders = { A = 1 }',
            ProbeSpec(http="https://$HOST/x", method="HEAD", status=(204,), headers={"A": "1"}),
        ),
        ('tcp = "[::1]:80"\nperiod = "500ms"', ProbeSpec(tcp="[::1]:80", period=0.5)),
        ('tcp = "unix:/a.sock"', ProbeSpec(tcp="unix:/a.sock")),
        ('exec = ["test", "-f", "x"]', ProbeSpec(exec=("test", "-f", "x"))),
        ("exec = \"test -f 'a b'\"", ProbeSpec(exec=("test", "-f", "a b"))),
        ('file = { path = "alive", max_age = "60s" }', ProbeSpec(file="alive", max_age=60.0)),
        ('file = "alive"\nmax_age = 60000', ProbeSpec(file="alive", max_age=60.0)),
        ('log = "ready"\nlog_sick = "lost"', ProbeSpec(log="ready", log_sick="lost", failure_threshold=1)),
        ('tcp = "a:1"\nsuccess_threshold = 2', ProbeSpec(tcp="a:1", success_threshold=2)),
    ],
)
def test_each_way_to_ask(tmp_path: Path, written: str, probe: ProbeSpec) -> None:
    assert app_of(tmp_path, f"[apps.health.readiness]\n{written}").health.readiness == probe


@pytest.mark.parametrize(
    ("kind", "written", "words"),
    [
        ("readiness", "period = 1000", "exactly one of http, tcp, exec, file and log, and has none"),
        ("readiness", 'tcp = "a:1"\nfile = "x"', "and has 2"),
        ("readiness", 'htp = "http://a"', 'did you mean "http"?'),
        ("readiness", 'http = "127.0.0.1:80"', "does not begin with http://"),
        ("readiness", 'http = "http://:80/"', "has no host"),
        ("readiness", 'http = "http://a:b/"', "http://a:b/"),
        ("readiness", 'http = "http://me:word@a/"', "use headers"),
        ("readiness", 'http = "http://a"\nheaders = { "a b" = "x" }', "a name that none can have"),
        ("readiness", 'http = "http://a"\nheaders = { a = "x\\r\\nB: y" }', "line break"),
        ("readiness", 'http = "http://a"\nstatus = 99', "status: 99: expected a whole number from 100"),
        ("readiness", 'tcp = "a:1"\nmethod = "HEAD"', "are for http"),
        ("readiness", 'tcp = "127.0.0.1"', "neither host:port nor unix:/path"),
        ("readiness", 'tcp = "a:70000"', "neither host:port"),
        ("readiness", 'tcp = "unix:"', "no path"),
        ("readiness", "exec = []", "expected a command"),
        ("readiness", 'file = { max_age = "1s" }', "path is missing"),
        ("readiness", 'tcp = "a:1"\nmax_age = 1', "max_age is for a file"),
        ("readiness", 'tcp = "a:1"\nperiod = 50', "shorter than 100 ms"),
        ("readiness", 'tcp = "a:1"\ntimeout = 0', "shorter than 10 ms"),
        ("readiness", 'tcp = "a:1"\nfailure_threshold = 0', "failure_threshold: 0: expected"),
        ("liveness", 'tcp = "a:1"\nsuccess_threshold = 2', "of a liveness probe is always 1"),
        ("startup", 'tcp = "a:1"\nsuccess_threshold = 2', "of a startup probe is always 1"),
        ("liveness", 'log = "x"', "log_sick says which line is a bad sign"),
        ("startup", 'log_sick = "x"', "log says which line is a good sign"),
        ("readiness", 'log = "("', "no regular expression"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, kind: str, written: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        app_of(tmp_path, f"[apps.health.{kind}]\n{written}")
    assert words in str(caught.value)
    assert f"health.{kind}" in str(caught.value)


def test_what_would_be_ignored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"health\.on_liveness \(a\): .* there is no liveness probe"):
        app_of(tmp_path, 'on_liveness = "alert"')
    with pytest.raises(ConfigError, match=r"listen_timeout .* a budget of its own"):
        app_of(tmp_path, 'startup = { tcp = "a:1" }', "listen_timeout = 1000")
    with pytest.raises(ConfigError, match=r"startup_timeout .* a budget of its own"):
        app_of(tmp_path, 'startup = { tcp = "a:1" }\nstartup_timeout = 1000')


def test_logs_that_are_not_there_are_not_looked_into(tmp_path: Path) -> None:
    probe = 'readiness = { log = "ready" }'
    with pytest.raises(ConfigError, match="logs that are not kept"):
        app_of(tmp_path, probe, "disable_logs = true")
    with pytest.raises(ConfigError, match="not the instance's own"):
        app_of(tmp_path, probe, "merge_logs = true\ninstances = 2")
    assert app_of(tmp_path, probe, "merge_logs = true").health.readiness == ProbeSpec(log="ready")


def test_a_ladder_for_liveness(tmp_path: Path) -> None:
    health = app_of(
        tmp_path, 'on_liveness = ["alert", "restart after 1m"]\nliveness = { file = "~/x" }'
    ).health
    assert health.on_liveness == (Rung("alert"), Rung("restart", None, 60.0))
    assert health.liveness is not None
    assert health.liveness.file == str(Path("~/x").expanduser())


@pytest.mark.parametrize("kind", ["startup", "liveness", "readiness"])
def test_the_program_of_a_probe_has_to_be_there(tmp_path: Path, kind: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"apps\[0\]\.health\.{kind} \(a\): the program 'checkk' is not found in"
    ):
        app_of(tmp_path, f'{kind} = {{ exec = ["checkk", "-e", "up"] }}')
    own = tmp_path / "check"
    own.write_text("#!/bin/sh\n")
    with pytest.raises(ConfigError, match="is not executable"):
        app_of(tmp_path, f'{kind} = {{ exec = "./check" }}')
    own.chmod(0o755)
    assert getattr(app_of(tmp_path, f'{kind} = {{ exec = "./check" }}').health, kind).exec == ("./check",)
