"""Where secrets are said to be."""

from __future__ import annotations

import json
import shutil

import pytest

from pypm.config import load
from pypm.core.errors import ConfigError


@pytest.fixture
def secrets_of(tmp_path):
    def declare(secrets: object) -> dict[str, str]:
        (tmp_path / "app.py").write_text("")
        (tmp_path / "key").write_text("sk-1\n")
        path = tmp_path / "one.json"
        path.write_text(json.dumps({"apps": [{"script": "app.py", "secrets": secrets}]}))
        (spec,) = load(str(path))
        return spec.secrets

    return declare


def test_a_path_is_absolute_and_the_value_is_not_there(secrets_of, tmp_path):
    assert secrets_of({"KEY": "file:key"}) == {"KEY": f"{tmp_path}/key"}


@pytest.mark.parametrize(
    ("secrets", "fault"),
    [
        ({"KEY": "file:nope"}, "secrets: KEY: 'nope' is not a file in"),
        ({"KEY": "cmd:no-such-tool show x"}, "KEY: the program 'no-such-tool' is not found in"),
        ({"KEY": "cmd:echo $HOME"}, "write \"cmd:sh -c '…'\", or quote it"),
        ({"KEY": "cmd: "}, 'or "cmd:pass show key"'),
        ({"KEY": "file:"}, 'KEY: expected where it is, as in "file:/run/secrets/key"'),
        ({"KEY": 5}, "KEY: 5 is a number"),
        ({"A=B": "file:key"}, "cannot name an environment variable"),
        ("file:key", "expected a table of variables"),
    ],
)
def test_what_cannot_be(secrets_of, secrets, fault):
    with pytest.raises(ConfigError) as caught:
        secrets_of(secrets)
    assert fault in caught.value.message


def test_the_program_of_a_command_is_found_when_the_file_is_read(secrets_of):
    printf = shutil.which("printf")
    assert secrets_of({"KEY": "cmd:printf 'a b'"}) == {"KEY": f"cmd:{printf} 'a b'"}


def test_a_secret_that_stands_there_itself_is_not_repeated(secrets_of):
    with pytest.raises(ConfigError) as caught:
        secrets_of({"KEY": "sk-very-secret"})
    assert "sk-very-secret" not in caught.value.message
