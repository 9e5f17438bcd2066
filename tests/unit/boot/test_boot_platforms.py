"""Which platform is this machine's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pypm.boot import platforms
from pypm.core.errors import RequestError


@pytest.fixture(autouse=True)
def bare_machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.setattr(platforms, "SYSTEMD_IS_RUNNING", str(home / "systemd"))
    return home


def test_systemd_is_chosen_where_it_runs(bare_machine: Path) -> None:
    (bare_machine / "systemd").mkdir()
    assert platforms.detect() == "systemd"


def test_cron_is_chosen_where_systemd_is_installed_and_does_not_run(bare_machine: Path) -> None:
    for name in ("systemctl", "crontab"):
        (bare_machine / name).write_text("#!/bin/sh\n")
        (bare_machine / name).chmod(0o755)
    assert platforms.detect() == "cron"


def test_launchd_is_chosen_on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert platforms.detect() == "launchd"


def test_where_there_is_none_the_person_is_told_what_else_there_is() -> None:
    with pytest.raises(RequestError, match="neither systemd nor cron") as caught:
        platforms.detect()
    assert "--foreground" in str(caught.value.hint)
