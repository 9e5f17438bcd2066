from __future__ import annotations

from pathlib import Path

import pytest

from pypm.config import log_bounds
from pypm.config.home_settings import HomeSettings, read_home_settings
from pypm.config.keys import LOG_KEYS
from pypm.core.errors import ConfigError

CONVERT = {key.name: key.convert for key in LOG_KEYS}


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("max_age", "1d", 86400.0),
        ("retain_age", "90m", 5400.0),
        ("total_size", "2G", 2 << 30),
        ("total_size", 0, 0),
        ("max_size", 4096, 4096),
        ("max_size", "50B", 50),
        ("rotate_at", "30 4 * * 1-5", "30 4 * * 1-5"),
        ("compress", "gzip", "gzip"),
        ("compress", "none", "none"),
    ],
)
def test_values_of_the_keys(key: str, written: object, value: object) -> None:
    assert CONVERT[key](written) == value


@pytest.mark.parametrize(
    ("key", "written", "words"),
    [
        ("max_age", 0, "no time at all"),
        ("retain_age", "0s", "no time at all"),
        ("max_age", "soon", "not a duration"),
        ("total_size", "much", "not a size"),
        ("max_size", 50, 'number of bytes; did you mean "50M"'),
        ("total_size", "10", 'number of bytes; did you mean "10M"'),
        ("rotate_at", "0 0 * *", "five fields"),
        ("rotate_at", "0 0 0 * * *", "five fields"),
        ("rotate_at", "0 25 * * *", "Bad hour"),
        ("rotate_at", "0 0 31 2 *", "Bad day"),
        ("rotate_at", 5, "cron line such as"),
        ("compress", "bzip2", "gzip or zstd"),
        ("compress", True, "gzip or zstd"),
    ],
)
def test_what_is_wrong_is_said(key: str, written: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CONVERT[key](written)


def test_zstd_is_refused_where_nothing_can_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"compression.zstd"}
    monkeypatch.setattr(log_bounds, "find_spec", lambda name: name if name in there else None)
    assert CONVERT["compress"]("zstd") == "zstd"
    there = {"zstandard"}
    assert CONVERT["compress"]("zstd") == "zstd"
    there = set()
    with pytest.raises(ConfigError, match=r"Python 3.14 .*pypm\[zstd\]"):
        CONVERT["compress"]("zstd")
    assert CONVERT["compress"]("gzip") == "gzip"


def test_a_home_without_settings_has_the_defaults(tmp_path: Path) -> None:
    assert read_home_settings(str(tmp_path / "config.toml")) == HomeSettings(logs_total_size=10 << 30)
    (tmp_path / "config.toml").write_text("[logs]\n")
    assert read_home_settings(str(tmp_path / "config.toml")) == HomeSettings()


def test_what_a_home_says(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[logs]\ntotal_size = "500M"\n')
    assert read_home_settings(str(tmp_path / "config.toml")).logs_total_size == 500 << 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[log]\n", r"log: unknown key.*logs"),
        ("[logs]\ntotal_sise = 5\n", r"logs.total_sise: unknown key.*total_size"),
        ("logs = 5\n", "expected a table"),
        ('[logs]\ntotal_size = "big"\n', "logs.total_size: .*not a size"),
        ("[logs\n", "config.toml"),
        ("\0", "config.toml"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match=words) as raised:
        read_home_settings(str(tmp_path / "config.toml"))
    assert raised.value.message.startswith(str(tmp_path / "config.toml"))
