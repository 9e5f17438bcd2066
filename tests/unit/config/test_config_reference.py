"""docs/ecosystem.md names every key, and its example is a file that loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pypm.config import load
from pypm.config.files import DEFAULT_NAMES
from pypm.config.keys import (
    ASK_NOTHING,
    HEALTH_KEYS,
    KEYS,
    LIMIT_KEYS,
    LOG_KEYS,
    NEVER,
    NOT_YET,
    RESTART_KEYS,
    SANDBOX_KEYS,
    SCHEDULE_KEYS,
)
from pypm.config.probes import PROBE_KEYS
from pypm.config.program import INTERPRETERS

PAGE = (Path(__file__).parents[3] / "docs" / "ecosystem.md").read_text()
WORDS = set(re.findall(r"`([^`\s]+)", PAGE))
ROWS = {row[1]: row[2] for row in re.finditer(r"^\| `([a-z_<>]+)` (\|.*)$", PAGE, re.MULTILINE)}


@pytest.mark.parametrize(
    "key",
    [*KEYS, *LIMIT_KEYS, *LOG_KEYS, *HEALTH_KEYS, *RESTART_KEYS, *SANDBOX_KEYS, *SCHEDULE_KEYS],
    ids=lambda key: key.name,
)
def test_every_key_has_a_row_with_all_its_names(key):
    assert key.name in ROWS
    for alias in key.aliases:
        assert f"`{alias}`" in ROWS[key.name]


def test_no_row_is_about_a_key_that_is_not_there():
    assert set(ROWS) == {
        key.name
        for key in (
            *(*KEYS, *LIMIT_KEYS, *LOG_KEYS, *HEALTH_KEYS),
            *(*RESTART_KEYS, *SANDBOX_KEYS, *SCHEDULE_KEYS),
        )
    } | {
        *PROBE_KEYS,
        "env_<name>",
    }


def test_every_key_that_is_refused_is_listed():
    assert set(NOT_YET) | set(NEVER) | set(ASK_NOTHING) <= WORDS


def test_every_extension_and_default_file_is_listed():
    listed = PAGE.replace("(`.cjs`, `.mjs`)", "ecosystem.config.cjs ecosystem.config.mjs")
    assert [name for name in (*INTERPRETERS, *DEFAULT_NAMES) if name not in listed] == []


def test_the_example_loads(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "worker.py").write_text("")
    (tmp_path / "e.toml").write_text(example)
    (spec,) = load(str(tmp_path / "e.toml"), env_name="production")
    assert (spec.instances, spec.kill_timeout, spec.env["LOG_LEVEL"]) == (2, 30.0, "warning")
