"""The JSON Schema (draft 7) of an ecosystem file, for editors; made from the tables by which it is read.

It cannot say everything that reading a file finds (what is missing, what contradicts another key), and never
refuses what reading takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pypm.config import (
    dependencies,
    hooks,
    ladders,
    limits,
    log_bounds,
    probes,
    rules,
    sandbox,
    schedules,
    secrets,
    usage_limits,
    values,
)
from pypm.config import keys as tables
from pypm.config.keys import Key, camel_case
from pypm.config.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size
from pypm.core.causes import CAUSES
from pypm.core.spec import MOST_INSTANCES

__all__ = ["ecosystem_schema", "schema_of_key"]

Schema = dict[str, Any]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _any(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _one_or_list(schema: Schema) -> Schema:
    return _any(schema, {"type": "array", "items": schema})


def _object(properties: Mapping[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False, **more}


def _whole(minimum: int, maximum: int | None = None) -> Schema:
    bounds = {"minimum": minimum} if maximum is None else {"minimum": minimum, "maximum": maximum}
    return _any({"type": "integer", **bounds}, _ref("digits"))


TEXT = _ref("text")
DURATION = _ref("duration")
SIZE = _ref("size")
BOOLEAN: Schema = {"type": "boolean"}
PERCENT_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*%?\s*$"
SCALAR: Schema = {"type": ["string", "number", "boolean"]}
WORDS = _one_or_list(TEXT)
ARGUMENTS = _any({"type": "string"}, {"type": "array", "items": SCALAR})
COMMAND = _any(TEXT, {"type": "array", "items": SCALAR, "minItems": 1})
CODES = _one_or_list(_whole(0, 255))
SIGNAL = _any(TEXT, {"type": "integer", "minimum": 1})
STEP = _any(
    TEXT,
    _object(
        {"action": {"enum": [*ladders.ACTIONS, "signal"]}, "signal": SIGNAL, "after": DURATION},
        minProperties=1,
    ),
)
TIMED_COMMAND = _object({"command": COMMAND, "timeout": DURATION}, required=["command"])

DEFINITIONS: Mapping[str, Schema] = {
    "text": {"type": "string", "minLength": 1},
    "digits": {"type": "string", "pattern": r"^\s*-?[0-9]+\s*$"},
    "duration": {
        "description": 'Milliseconds, or text such as "500ms", "5s", "10m", "1h30m", "1d".',
        **_any({"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION_PATTERN}),
    },
    "size": {
        "description": 'Bytes, or text such as "512K", "300M", "1.5G".',
        **_any({"type": "number", "minimum": 0}, {"type": "string", "pattern": SIZE_PATTERN}),
    },
    "environment": {
        "type": "object",
        "description": "Environment variables.",
        "additionalProperties": {"type": ["string", "number", "boolean", "object", "array"]},
    },
    "ladder": _any(STEP, {"type": "array", "items": STEP, "minItems": 1, "maxItems": ladders.MOST_RUNGS}),
    "hook": _any(COMMAND, TIMED_COMMAND),
    "nothing": {
        "description": "pypm does not have this; a value that asks for nothing is taken.",
        "enum": [False, 0, None, "", [], {}],
    },
}

PROBE_VALUES: Mapping[str, Schema] = {
    "exec": COMMAND,
    "file": _any(TEXT, _object({"path": TEXT, "max_age": DURATION}, required=["path"])),
    "headers": {"type": "object", "additionalProperties": SCALAR},
    "status": _one_or_list(_whole(100, 599)),
    "success_threshold": _whole(1),
    "failure_threshold": _whole(1),
}
"""Of the keys of a probe, those that are neither text nor a duration."""

RULE_VALUES: Mapping[str, Schema] = {
    "action": {"enum": list(rules.ACTIONS)},
    **dict.fromkeys(
        ("cause", "causes"),
        _one_or_list({"enum": [each for each in CAUSES if each not in rules.NOT_DECIDED]}),
    ),
    **dict.fromkeys(("code", "codes"), CODES),
    **dict.fromkeys(("signal", "signals"), _one_or_list(SIGNAL)),
    "log": TEXT,
    "delay": DURATION,
    "for": _any(DURATION, {"type": "string", "pattern": r"\$[1-9]"}),
    "max": DURATION,
    "reason": TEXT,
}


def _probe() -> Schema:
    durations = {key: DURATION for key, convert in probes.PROBE_KEYS.items() if convert is parse_duration}
    texts = dict.fromkeys(probes.PROBE_KEYS, TEXT)
    return _object({**texts, **durations, **PROBE_VALUES})


def _rules() -> Schema:
    return _one_or_list(_object(RULE_VALUES, required=["action"]))


def _depends_on() -> Schema:
    conditions = {"type": "object", "additionalProperties": {"enum": list(dependencies.CONDITIONS)}}
    return _any(WORDS, conditions)


BY_CONVERTER: Mapping[Callable[[object], Any], Schema] = {
    parse_duration: DURATION,
    parse_size: SIZE,
    values.text: TEXT,
    values.texts: WORDS,
    values.sockets: WORDS,
    values.name: TEXT,
    values.variable: TEXT,
    values.boolean: BOOLEAN,
    values.command: COMMAND,
    values.arguments: ARGUMENTS,
    values.venv: _any(TEXT, {"const": False}),
    values.instances: _any({"const": "max"}, _whole(-MOST_INSTANCES, MOST_INSTANCES)),
    values.environment: _ref("environment"),
    values.filter_env: _any(BOOLEAN, WORDS),
    values.autorestart: _any(BOOLEAN, {"enum": ["always", "on-failure", "never"]}),
    values.exit_codes: CODES,
    values.restarts: _any({"const": "unlimited"}, _whole(0)),
    values.memory_limit: SIZE,
    values.signal_name: SIGNAL,
    values.date_format: TEXT,
    values.line_size: SIZE,
    values.redactions: WORDS,
    values.watch: _any(BOOLEAN, TEXT, {"type": "array", "items": TEXT}),
    secrets.secrets: {
        "type": "object",
        "additionalProperties": {"type": "string", "pattern": "^(file|cmd):"},
    },
    dependencies.depends_on: _depends_on(),
    hooks.hook: _ref("hook"),
    limits.user: _any(TEXT, {"type": "integer", "minimum": 0}),
    limits.umask: {"type": "string", "pattern": "^(0o)?[0-7]{1,4}$"},
    limits.size: _any(SIZE, {"const": "unlimited"}),
    usage_limits.memory_level: _any(SIZE, {"type": "string", "pattern": PERCENT_PATTERN}, {"const": False}),
    usage_limits.cpu_limit: _any(
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": PERCENT_PATTERN},
        {"const": False},
        _object(
            {
                "percent": _any({"type": "number"}, {"type": "string", "pattern": PERCENT_PATTERN}),
                "for": DURATION,
                "action": {"enum": list(usage_limits.CPU_ACTIONS)},
            },
            required=["percent"],
        ),
    ),
    usage_limits.runtime: DURATION,
    limits.io_priority: {"type": "string", "pattern": "^(idle|(best-effort|realtime)(:[0-7])?)$"},
    limits.cpu_affinity: _any(
        _whole(0), TEXT, {"type": "array", "items": _any(_whole(0), TEXT), "minItems": 1}
    ),
    limits.share_of_core: _any(
        {"type": "number", "minimum": 1}, {"type": "string", "pattern": "^[0-9.]+ *%?$"}
    ),
    log_bounds.bytes_of_logs: SIZE,
    log_bounds.some_time: DURATION,
    log_bounds.cron_line: TEXT,
    log_bounds.compression: {"enum": ["none", "gzip", "zstd"]},
    schedules.cron: TEXT,
    schedules.cron_restart: _any({"type": "string"}, {"enum": [False, 0]}),
    schedules.every: DURATION,
    schedules.time_zone: TEXT,
    ladders.ladder: _ref("ladder"),
    ladders.evidence: _one_or_list({"enum": list(ladders.SIGNS)}),
    rules.rules: _ref("rules"),
    sandbox.paths: WORDS,
}
"""What each converter of the key tables takes."""

BY_NAME: Mapping[str, Schema] = {
    "protect_system": _any(BOOLEAN, {"enum": ["full", "strict"]}),
    "protect_home": _any(BOOLEAN, {"enum": ["read-only", "tmpfs"]}),
}
"""Keys whose converters are made for them."""

TABLES: Mapping[str, tuple[Key, ...]] = {
    "logs": tables.LOG_KEYS,
    "health": tables.HEALTH_KEYS,
    "limits": tables.LIMIT_KEYS,
    "restart": tables.RESTART_KEYS,
    "schedule": tables.SCHEDULE_KEYS,
    "sandbox": tables.SANDBOX_KEYS,
}


def schema_of_key(key: Key) -> Schema | None:
    """What the key takes; ``None`` where nothing is known of its converter."""
    convert = key.convert
    if isinstance(convert, values.Whole):
        return _whole(convert.minimum, convert.maximum)
    if isinstance(convert, values.OneOf):
        return {"enum": list(convert.words)}
    if isinstance(convert, probes.Probe):
        return _ref("probe")
    return BY_NAME.get(key.name) or BY_CONVERTER.get(convert)


def ecosystem_schema() -> Schema:
    """The schema of a whole file."""
    app = {**_properties(tables.KEYS), **{name: _table(name) for name in TABLES}, **_refused()}
    app["restart"] = _any(app["restart"], _ref("rules"))
    defaults = {name: schema for name, schema in app.items() if name != "name"}
    variables = {"^env_(?!file$).": _ref("environment")}
    namespace = _object({"limits": _object(_properties(_namespace_keys()))})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Ecosystem file of pypm",
        **_object(
            {
                "apps": {"type": "array", "minItems": 1, "items": _ref("app")},
                "defaults": _object(defaults, patternProperties=variables),
                "namespaces": {"type": "object", "additionalProperties": namespace},
            }
        ),
        "definitions": {
            **DEFINITIONS,
            "probe": _probe(),
            "rules": _rules(),
            "app": _object(app, patternProperties=variables),
        },
    }


def _properties(keys: Iterable[Key]) -> dict[str, Schema]:
    """Each key under all its names; what one takes whose converter is not known is left open."""
    found: dict[str, Schema] = {}
    for key in keys:
        schema = schema_of_key(key) or {}
        for name in (key.name, *key.aliases):
            for spelling in (name, camel_case(name)):
                found[spelling] = schema
    return found


def _table(name: str) -> Schema:
    return _object(_properties(TABLES[name]))


def _namespace_keys() -> list[Key]:
    return [key for key in tables.LIMIT_KEYS if key.name in tables.NAMESPACE_LIMITS]


def _refused() -> dict[str, Schema]:
    """The keys that are refused unless they ask for nothing, or for what pypm does anyway."""
    nothing = _ref("nothing")
    refused = dict.fromkeys((*tables.NOT_YET, *tables.NEVER), nothing)
    refused |= {name: _any(nothing, {"enum": list(words)}) for name, words in tables.ASK_NOTHING.items()}
    refused["exec_mode"] = _any(nothing, {"enum": [*tables.ASK_NOTHING["exec_mode"], *tables.CLUSTER]})
    return {spelling: schema for name, schema in refused.items() for spelling in (name, camel_case(name))}
