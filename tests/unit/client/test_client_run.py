"""An app that a program declares by its command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scripted_master import ScriptedMaster, make_change, make_ping

from pypm.client.client import Client


@pytest.mark.parametrize(
    "command", [["sleep", "7"], ("sleep", "7"), "sleep 7"], ids=["list", "tuple", "text"]
)
def test_a_command_is_words_or_one_text(home: Path, command: str | list[str]) -> None:
    with (
        ScriptedMaster(home, ping=make_ping(home), apply=make_change()) as master,
        Client(os.fspath(home)) as client,
    ):
        client.run(command, name="s")
    [asked] = master.asked("apply")
    [app] = asked["apps"]
    assert os.path.basename(app["command"][0]) == "sleep"
    assert app["command"][1:] == ["7"]
    assert app["name"] == "s"
