"""A home's settings are changed by key: checked before they are written, and the rest of the file stays."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pypm.config.settings_file import changed_text, check_key, said, write_settings
from pypm.core.errors import ConfigError, UsageError

KEY = "logs.total_size"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[logs]\ntotal_size = "2G"\n'),
        ("# mine\n", '# mine\n\n[logs]\ntotal_size = "2G"\n'),
        ("[logs]\n", '[logs]\ntotal_size = "2G"\n'),
        ("[logs] # all", '[logs] # all\ntotal_size = "2G"\n'),
        (
            '# a\n[logs] # b\ntotal_size = "1G" # "c" of\n# d\n',
            '# a\n[logs] # b\ntotal_size = "2G" # "c" of\n# d\n',
        ),
        ("[logs]\ntotal_size = 0", '[logs]\ntotal_size = "2G"\n'),
        ("[logs]\ntotal_size='a#b'#c\n", '[logs]\ntotal_size = "2G"#c\n'),
        # Forms that an edit by lines does not understand are written anew.
        ("logs = {total_size = 1}\n", '[logs]\ntotal_size = "2G"\n'),
        ("logs.total_size = 1\n", '[logs]\ntotal_size = "2G"\n'),
        ('[logs]\n"total_size" = 1\n', '[logs]\ntotal_size = "2G"\n'),
        ('[logs]\ntotal_size = """\ntotal_size = 1"""\n', '[logs]\ntotal_size = "2G"\n'),
    ],
)
def test_a_key_is_set_and_comments_stay(before: str, after: str) -> None:
    assert changed_text(before, KEY, "2G") == after
    assert tomllib.loads(after) == {"logs": {"total_size": "2G"}}


def test_a_key_is_taken_away() -> None:
    assert changed_text("# a\n[logs]\ntotal_size = 1 # b\n# c\n", KEY, None) == "# a\n[logs]\n# c\n"
    assert changed_text("logs.total_size = 1\n", KEY, None) == ""
    assert changed_text("# a\n", KEY, None) == "# a\n"


def test_what_would_be_wrong_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    write_settings(str(path), {KEY: "2G"})
    assert path.stat().st_mode & 0o777 == 0o600
    for value in ("two", 3, -1):
        with pytest.raises(ConfigError, match=r"logs\.total_size"):
            write_settings(str(path), {KEY: value})
    assert said(str(path)) == {KEY: "2G"}
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]
    path.write_text("[logs]\ntotal_size = 'wrong'\n")
    with pytest.raises(ConfigError, match="wrong"):
        said(str(path))
    write_settings(str(path), {KEY: 8192})
    assert said(str(path)) == {KEY: 8192}
    path.write_text("[logs\n")
    with pytest.raises(ConfigError, match=r"config\.toml"):
        write_settings(str(path), {KEY: "2G"})


def test_to_unset_what_is_not_set_writes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    write_settings(str(path), {KEY: None})
    assert not path.exists()
    assert said(str(path)) == {}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text("# mine\n")
    link = tmp_path / "config.toml"
    link.symlink_to(real)
    write_settings(str(link), {KEY: "2G"})
    assert link.is_symlink()
    assert real.read_text() == '# mine\n\n[logs]\ntotal_size = "2G"\n'


def test_an_unknown_key_is_answered_with_the_nearest_and_one_of_a_module_with_why() -> None:
    check_key(KEY)
    with pytest.raises(UsageError, match=r'did you mean "logs\.total_size"'):
        check_key("logs.totalsize")
    for key in ("pm2-logrotate:max_size", "pm2:autodump", "module-db:pass"):
        with pytest.raises(UsageError, match="module of PM2") as raised:
            check_key(key)
        assert raised.value.hint is not None
        assert "no modules" in raised.value.hint
