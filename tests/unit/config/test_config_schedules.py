"""What a file says of when an app runs, or is restarted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pypm.config import load
from pypm.config.keys import SCHEDULE_KEYS
from pypm.core.errors import ConfigError
from pypm.core.spec import AppSpec, ScheduleSpec
from pypm.core.validity import fault_of

CONVERT = {key.name: key.convert for key in SCHEDULE_KEYS}


def app(folder: Path, *lines: str, table: str = "") -> AppSpec:
    """The app of a file with these lines, and those of its schedule."""
    text = "\n".join(['[[apps]]\nname = "a"\ncommand = "sleep 1"', *lines, "[apps.schedule]", table])
    (folder / "e.toml").write_text(text)
    (spec,) = load(str(folder / "e.toml"))
    assert fault_of(spec) == ""
    return spec


def faults(folder: Path, *lines: str, table: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        app(folder, *lines, table=table)
    return caught.value.message


def test_a_schedule_with_everything(tmp_path: Path) -> None:
    table = """
        cron = "0 4 * * 1-5"
        timezone = "Europe/Berlin"
        jitter = "5m"
        overlap = "queue"
        timeout = "1h30m"
        catch_up = true
    """
    assert app(tmp_path, table=table).schedule == ScheduleSpec(
        cron="0 4 * * 1-5",
        timezone="Europe/Berlin",
        jitter=300.0,
        overlap="queue",
        timeout=5400.0,
        catch_up=True,
    )


def test_an_interval_and_no_schedule(tmp_path: Path) -> None:
    assert app(tmp_path, table='every = "15m"').schedule == ScheduleSpec(every=900.0)
    assert app(tmp_path, table="every = 15000").schedule == ScheduleSpec(every=15.0)
    assert app(tmp_path).schedule is None, "an empty table asks for nothing"


@pytest.mark.parametrize(
    ("key", "written", "words"),
    [
        ("cron", "0 4 * *", "five or six fields"),
        ("cron", "0 25 * * *", "Bad hour"),
        ("cron", "0 0 30 2 *", "Bad day"),
        ("cron", "0 0 0 31 4 *", "Bad day"),
        ("cron", "@daily", "five or six fields"),
        ("cron", 5, "is a number: expected a cron line"),
        ("every", "soon", "not a duration"),
        ("every", 15, "less than a second"),
        ("every", 0, "less than a second"),
        ("timezone", "Europe/Berln", 'no time zone .*did you mean "Europe/Berlin"'),
        ("timezone", "../etc/passwd", "no time zone"),
        ("timezone", "", "no time zone"),
        ("timezone", 1, "expected a time zone"),
        ("jitter", -1, "not a duration"),
        ("overlap", "both", "queue"),
        ("timeout", 0, "no time at all"),
        ("catch_up", "yes", "true or false"),
    ],
)
def test_what_is_wrong_is_said(key: str, written: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CONVERT[key](written)


def test_the_place_of_a_fault_is_told(tmp_path: Path) -> None:
    message = faults(tmp_path, table='cron = "0 0 30 2 *"\noverlapp = "skip"')
    assert "apps[0].schedule.cron (a): '0 0 30 2 *': Bad day" in message
    assert 'apps[0].schedule.overlapp (a): unknown key; did you mean "overlap"?' in message
    assert "either cron" not in message, "one fault is told once"


@pytest.mark.parametrize(
    ("lines", "table", "message"),
    [
        ([], "catch_up = true", "apps[0].schedule (a): expected either cron"),
        ([], 'cron = "0 4 * * *"\nevery = "1h"', "apps[0].schedule (a): expected either cron"),
        ([], 'every = "1h"\ntimezone = "UTC"', "apps[0].schedule.timezone (a): an interval"),
        (['cron = "0 4 * * *"'], 'every = "1h"', "apps[0].cron (a): restarts what is kept running"),
        (["autorestart = true"], 'every = "1h"', "apps[0].autorestart (a): an app with a schedule"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, lines: list[str], table: str, message: str) -> None:
    assert message in faults(tmp_path, *lines, table=table)


def test_what_goes_without_saying_may_be_said(tmp_path: Path) -> None:
    assert app(tmp_path, "autorestart = false", 'cron = "0"', table='every = "1h"').cron_restart is None


@pytest.mark.parametrize("written", ["false", "0", '"0"', '""'])
def test_no_cron_restart_is_asked_for(tmp_path: Path, written: str) -> None:
    assert app(tmp_path, f"cron_restart = {written}").cron_restart is None


@pytest.mark.parametrize("line", ["0 4 * * *", "*/30 * * * * *", "0 0 * * MON#1", "0 0 L * *"])
def test_lines_of_pm2s_cron_restart(tmp_path: Path, line: str) -> None:
    assert app(tmp_path, f'cron_restart = "{line}"').cron_restart == line


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (ScheduleSpec(), "either a cron line or an interval"),
        (ScheduleSpec(cron="* * * * *", every=60.0), "either a cron line or an interval"),
        (ScheduleSpec(every=0.0), "too short"),
        (ScheduleSpec(every=float("nan")), "too short"),
        (ScheduleSpec(every=60.0, jitter=-1.0), "too short"),
        (ScheduleSpec(every=60.0, timeout=0.0), "too short"),
        (ScheduleSpec(every=60.0, timeout=float("inf")), "too short"),
    ],
)
def test_what_a_client_may_not_ask_the_master_for(schedule: ScheduleSpec, words: str) -> None:
    assert words in fault_of(AppSpec("a", ("/bin/a",), "/", schedule=schedule))
