"""Misspelled words of a file are answered with what was probably meant, and all of a table at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pypm.config import load
from pypm.core.errors import ConfigError

HEAD = '[[apps]]\nname = "a"\ncommand = "sleep 1"\n[[apps]]\nname = "api"\ncommand = "sleep 1"\n'


def told(folder: Path, text: str) -> str:
    file = folder / "ecosystem.toml"
    file.write_text(HEAD + text)
    with pytest.raises(ConfigError) as caught:
        load(str(file))
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('kill_signal = "SIGTREM"', "SIGTERM"),
        ('kill_signal = "trem"', "SIGTERM"),
        ('depends_on = ["aa"]', "a"),
        ('depends_on = { a = "redy" }', "ready"),
        ('[apps.health]\non_stall = ["restrt"]', "restart"),
        ('[apps.health]\non_stall = ["user1"]', "SIGUSR1"),
        ('[apps.health]\nevidence = ["ouput"]', "output"),
        ('[[apps.restart.rules]]\ncause = "max-runtme"\naction = "hold"', "max-runtime"),
    ],
)
def test_what_was_meant_is_told(tmp_path: Path, text: str, meant: str) -> None:
    assert told(tmp_path, text).endswith(f'; did you mean "{meant}"?')


def test_all_that_is_wrong_with_a_probe_is_told_at_once(tmp_path: Path) -> None:
    message = told(tmp_path, '[apps.health.liveness]\ntcp = "x"\nperiod = "5 weeks ago"\nfailures = 3\n')
    assert all(word in message for word in ("period: ", "unknown key 'failures'"))


def test_all_that_is_wrong_with_a_rule_is_told_at_once(tmp_path: Path) -> None:
    message = told(tmp_path, '[[apps.restart.rules]]\ncause = "exitt"\naction = "hld"\n')
    assert all(word in message for word in ("cause: 'exitt'", "action: 'hld'"))
