"""Who asks: a user's name, and a command without its interpreter."""

from __future__ import annotations

import os

import pytest

from pypm.master.asker import LONGEST_COMMAND, Peer, asker_of, command_of, shortened, without_secrets


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("/usr/bin/python3.11 -I /home/me/.local/bin/pypm stop a", "pypm stop a"),
        ("python -m pypm restart a --json", "pypm restart a --json"),
        ("/opt/pypm/bin/pypm stop all", "pypm stop all"),
        ("/usr/bin/python3 ./deploy.py now", "deploy.py now"),
        ("python3 -c print()", "python3 -c print()"),
        ("python3", "python3"),
        ("", ""),
    ],
)
def test_a_command_is_shortened(words: str, command: str) -> None:
    assert " ".join(shortened(words.split())) == command


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("pypm start a.py -- --token abc", "pypm start a.py -- …"),
        ("agent --api-key abc go", "agent --api-key **** go"),
        (
            "agent API_TOKEN=abc --password=abc --author=me",
            "agent API_TOKEN=**** --password=**** --author=me",
        ),
        ("pypm stop token", "pypm stop token"),
    ],
)
def test_what_looks_secret_is_not_kept(words: str, shown: str) -> None:
    assert " ".join(without_secrets(words.split())) == shown


def test_a_peer_is_named_by_its_user_and_its_command() -> None:
    asker = asker_of(Peer(os.getpid(), os.getuid()))
    assert asker.command == command_of(os.getpid())
    assert 0 < len(asker.command) <= LONGEST_COMMAND
    assert str(asker) == f"{asker.user} ({asker.command})"


def test_one_that_has_gone_and_a_user_without_a_name_are_told_all_the_same() -> None:
    asker = asker_of(Peer(2**22 + 1, 3_999_999))
    assert str(asker) == "uid 3999999"
    assert asker.facts() == {"pid": 2**22 + 1, "uid": 3_999_999, "user": "uid 3999999", "command": ""}
