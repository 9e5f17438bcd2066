"""The table ``health``: clocks and ladders."""

from __future__ import annotations

from pathlib import Path

import pytest

from pypm.config.ecosystem import load
from pypm.core.errors import ConfigError
from pypm.core.spec import HealthSpec, Rung


def health_of(folder: Path, table: str) -> HealthSpec:
    file = folder / "ecosystem.toml"
    file.write_text(f'[[apps]]\nname = "a"\ncommand = ["/bin/sleep", "1"]\n[apps.health]\n{table}\n')
    return next(iter(load(str(file)))).health


def test_clocks(tmp_path: Path) -> None:
    health = health_of(tmp_path, 'heartbeat_timeout = "5s"\nprogress_timeout = 2000\nmax_extension = "10m"')
    assert (health.heartbeat_timeout, health.progress_timeout, health.max_extension) == (5.0, 2.0, 600.0)
    assert health_of(tmp_path, "heartbeat_timeout = 0").heartbeat_timeout is None


@pytest.mark.parametrize(
    ("written", "rungs"),
    [
        ('"restart"', (Rung("restart"),)),
        ('["alert", "usr1"]', None),
        ('["alert", "SIGUSR1 after 30s"]', (Rung("alert"), Rung("signal", "SIGUSR1", 30.0))),
        (
            '[{ action = "dump" }, { signal = 10, after = "1m" }]',
            (Rung("dump"), Rung("signal", "SIGUSR1", 60.0)),
        ),
        ('["restart", "alert"]', None),
        ("[]", None),
        ('[{ action = "reboot" }]', None),
        ('[{ action = "alert", when = 3 }]', None),
        ('"SIGNONE"', None),
        ('"alert after lunch"', None),
    ],
)
def test_ladders(tmp_path: Path, written: str, rungs: tuple[Rung, ...] | None) -> None:
    table = f'progress_timeout = "1m"\non_stall = {written}'
    if rungs is None:
        with pytest.raises(ConfigError, match=r"apps\[0\]\.health\.on_stall|on_stall"):
            health_of(tmp_path, table)
    else:
        assert health_of(tmp_path, table).on_stall == rungs


def test_evidence(tmp_path: Path) -> None:
    assert health_of(tmp_path, 'evidence = ["io", "cpu"]').evidence == ("io", "cpu")
    assert health_of(tmp_path, "evidence = []").evidence == ()
    with pytest.raises(ConfigError, match="no sign of work"):
        health_of(tmp_path, 'evidence = ["hope"]')


def test_a_ladder_without_its_clock_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="progress_timeout is not set"):
        health_of(tmp_path, 'on_stall = "alert"')


def test_two_names_of_the_start_up_budget(tmp_path: Path) -> None:
    file = tmp_path / "ecosystem.toml"
    app = '[[apps]]\nname = "a"\ncommand = ["/bin/sleep", "1"]\n'
    file.write_text(app + '[apps.health]\nstartup_timeout = "9s"\n')
    assert next(iter(load(str(file)))).listen_timeout == 9.0
    file.write_text(app + 'listen_timeout = "9s"\n[apps.health]\nstartup_timeout = "9s"\n')
    with pytest.raises(ConfigError, match="keep one of them"):
        load(str(file))
