"""Files and commands among the sources of secrets."""

from __future__ import annotations

import pytest

from pypm.core.secret_sources import command_source, fault_of_secrets, secret_commands, secret_files

SECRETS = {"A": "/run/secrets/a", "B": "cmd:/usr/bin/pass show 'my key'"}


def test_they_are_told_apart() -> None:
    assert secret_files(SECRETS) == {"A": "/run/secrets/a"}
    assert secret_commands(SECRETS) == {"B": ("/usr/bin/pass", "show", "my key")}
    assert fault_of_secrets(SECRETS) == ""


def test_a_command_survives_as_text() -> None:
    words = ("/bin/sh", "-c", "echo 'a' \"$B\"", "")
    assert secret_commands({"A": command_source(words)}) == {"A": words}


@pytest.mark.parametrize(
    ("source", "fault"),
    [("cmd:", "empty"), ("cmd:''", "empty"), ("cmd:pass 'x", "quote"), ("relative/path", "absolute")],
)
def test_what_would_harm_a_master(source: str, fault: str) -> None:
    assert fault in fault_of_secrets({"A": source})
