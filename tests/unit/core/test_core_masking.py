"""What looks like a secret, and what does not."""

from __future__ import annotations

import pytest

from pypm.core.masking import looks_secret, masked, masked_text, masked_words


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "token", "DB_PASSWORD", "MY_PWD", "AUTHORIZATION", "SENTRY_DSN", "GH_PAT"]
)
def test_names_of_secrets(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["PATH", "PWD", "AUTHOR", "HOME", "PATTERN", "PASS_THROUGH", "LANG"])
def test_names_of_other_things(name: str) -> None:
    assert not looks_secret(name)


def test_variables() -> None:
    environment = {"API_KEY": "x", "A": "plain", "EMPTY_TOKEN": "", "KNOWN": "y", "DB": "pg://me:pw@host/db"}
    assert masked(environment, {"KNOWN"}) == {
        "API_KEY": "****",
        "A": "plain",
        "EMPTY_TOKEN": "",
        "KNOWN": "****",
        "DB": "pg://me:****@host/db",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key sk-proj-0123456789abcdef0 refused", "key **** refused"),
        ("remote: ghp_" + "a" * 36, "remote: ****"),
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer ****"),
        ("redis://:hunter2@cache:6379/0", "redis://:****@cache:6379/0"),
        ("task-1 of disk-usage took 3 s", "task-1 of disk-usage took 3 s"),
        ("http://localhost:8000/ready", "http://localhost:8000/ready"),
    ],
)
def test_forms_of_secrets_in_a_text(text: str, shown: str) -> None:
    assert masked_text(text) == shown


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["agent", "--api-key", "abc", "go"], ["agent", "--api-key", "****", "go"]),
        (["agent", "--api-key", "--verbose", "go"], ["agent", "--api-key", "--verbose", "go"]),
        (["agent", "--token=abc", "K=1"], ["agent", "--token=****", "K=1"]),
        (["env", "API_KEY=abc", "x"], ["env", "API_KEY=****", "x"]),
        (["curl", "-H", "X-Api-Key: abc"], ["curl", "-H", "X-Api-Key: ****"]),
        (["curl", "-H", "Authorization: Basic abc"], ["curl", "-H", "Authorization: ****"]),
        (["sleep", "5"], ["sleep", "5"]),
    ],
)
def test_words_of_a_command(words: list[str], shown: list[str]) -> None:
    assert masked_words(words) == shown
