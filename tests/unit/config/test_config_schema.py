"""The JSON Schema takes what reading a file takes, and refuses what that refuses for its form."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pypm.config import keys
from pypm.config.keys import ASK_NOTHING, KEYS, NEVER, NOT_YET, camel_case
from pypm.config.probes import PROBE_KEYS
from pypm.config.rules import WORDS
from pypm.config.schema import TABLES, ecosystem_schema, schema_of_key
from pypm.config.units import parse_duration, parse_size
from pypm.core.errors import ConfigError

CHECKOUT = Path(__file__).parents[3]
SCHEMA = ecosystem_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
ALL_KEYS = [("", key) for key in KEYS] + [(name, key) for name, table in TABLES.items() for key in table]


def faults(content: Any) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(content)]


def app(**fields: Any) -> dict[str, Any]:
    return {"apps": [{"command": "sleep 1", **fields}]}


def toml_blocks() -> list[Any]:
    """The examples in the documentation that are whole files."""
    found = []
    for page in ("README.md", "docs/ecosystem.md", "docs/agent.md", "docs/logs.md"):
        path = CHECKOUT / page
        blocks = re.findall(r"```toml\n(.*?)```", path.read_text(), re.DOTALL) if path.exists() else []
        found += [pytest.param(block, id=f"{page}-{number}") for number, block in enumerate(blocks)]
    return found


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("table", "key"), ALL_KEYS, ids=lambda each: getattr(each, "name", each))
def test_every_key_has_a_schema(table: str, key: keys.Key) -> None:
    assert schema_of_key(key) is not None, "say in pypm/config/schema.py what its converter takes"


def test_every_table_of_an_app_is_in_it() -> None:
    assert set(TABLES) == set(keys.TABLES)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_name_of_a_key_is_in_it(key: keys.Key) -> None:
    properties = SCHEMA["definitions"]["app"]["properties"]
    for name in (key.name, *key.aliases):
        assert properties[name] == properties[camel_case(name)] == schema_of_key(key)


def test_the_keys_of_probes_and_rules_are_those_that_are_read() -> None:
    assert set(SCHEMA["definitions"]["probe"]["properties"]) == set(PROBE_KEYS)
    assert set(SCHEMA["definitions"]["rules"]["anyOf"][0]["properties"]) == set(WORDS)


def test_the_example_is_valid() -> None:
    assert faults(tomllib.loads((CHECKOUT / "ecosystem.example.toml").read_text())) == []


@pytest.mark.parametrize("block", toml_blocks())
def test_examples_of_the_documentation_are_valid(block: str) -> None:
    assert faults(tomllib.loads(block)) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"maxRestarts": 3, "env_production": {"A": 1, "B": True, "C": [1], "D": {"x": 1}}},
        {"instances": "max", "max_memory_restart": "1.5G", "args": ["-p", 80]},
        {"instances": -1, "watch": True, "autorestart": "on-failure", "max_restarts": "unlimited"},
        {"kill_timeout": "1h30m", "restart_delay": 500, "stop_exit_codes": [0, "3"], "venv": False},
        {"depends_on": {"a": "healthy"}, "post_start": {"command": ["a", "b"], "timeout": "5s"}},
        {"health": {"on_stall": ["alert", "restart after 10m"], "evidence": []}},
        {"health": {"liveness": {"http": "http://h", "status": [200, 204], "period": "5s"}}},
        {"health": {"startup": {"file": {"path": "p", "max_age": "60s"}}, "on_startup": {"signal": "USR1"}}},
        {"restart": {"rules": [{"log": "wait (\\d+)", "action": "hold", "for": "$1s", "max": "1h"}]}},
        {"restart": [{"code": 75, "action": "stop"}]},
        {"limits": {"memory": "2G", "core": 0, "file_size": "unlimited", "cpu_affinity": [0, "2-3"]}},
        {"logs": {"max_size": 0, "compress": "gzip", "redact": "ENV:KEY", "format": "text"}},
        {"schedule": {"cron": "0 4 * * *", "overlap": "kill"}},
        {"exec_mode": "fork", "port": 0, "post_update": [], "pmx": False},
        {"secrets": {"KEY": "file:/run/x"}, "filter_env": True, "kill_signal": 2, "env_file": [".env"]},
    ],
    ids=str,
)
def test_what_a_file_may_say(fields: dict[str, Any]) -> None:
    assert faults(app(**fields)) == []


@pytest.mark.parametrize(
    "content",
    [
        app(max_restart=3),
        app(autorestart="sometimes"),
        app(kill_timeout="5 parsecs"),
        app(kill_timeout=""),
        app(kill_timeout=-1),
        app(max_memory_restart="300X"),
        app(treekill="yes"),
        app(ready_fd=2),
        app(health={"liveness": {"url": "http://h"}}),
        app(health={"heartbeat": "5s"}),
        app(limits={"memry": "1G"}),
        app(logs={"on_full": "wait"}),
        app(restart={"rules": [{"codes": [1]}]}),
        app(depends_on={"a": "soon"}),
        app(env={"A": None}),
        app(secrets={"KEY": "hunter2"}),
        {"apps": []},
        {"apps": {"command": "sleep 1"}},
        {"app": []},
        {"defaults": {"name": "x"}},
        {"defaults": {"max_restart": 1}},
        *(app(**{name: "x"}) for name in sorted({*NOT_YET, *NEVER, *ASK_NOTHING})),
    ],
    ids=str,
)
def test_what_it_refuses(content: Any) -> None:
    assert faults(content) != []


TEXTS = (
    "5",
    "5s",
    "1.5h",
    "1h30m",
    "1d 2h",
    " 5ms ",
    "5m",
    "5mm",
    "5s5m",
    "",
    " ",
    "s",
    "-5",
    "1e3",
    "5M",
    "5.",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_duration_is_what_reading_takes_for_one(text: str) -> None:
    try:
        parse_duration(text)
    except ConfigError:
        assert faults(app(kill_timeout=text)) != []
    else:
        assert faults(app(kill_timeout=text)) == []


@pytest.mark.parametrize(
    "text", ["5", "5K", "5kb", "5MiB", "1.5G", "5 T", " 5 ", "5X", "K", "", "-5", "5Kb", "5iB"]
)
def test_a_size_is_what_reading_takes_for_one(text: str) -> None:
    try:
        parse_size(text)
    except ConfigError:
        assert faults(app(logs={"max_line": text})) != []
    else:
        assert faults(app(logs={"max_line": text})) == []
