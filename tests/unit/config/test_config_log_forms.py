"""The form of the logs: pypm's keys, PM2's, and both at once."""

from __future__ import annotations

import json

import pytest

from pypm.config import load
from pypm.core.errors import ConfigError
from pypm.core.spec import LogSpec


def logs_of(folder, defaults=None, **keys) -> LogSpec:
    path = folder / "one.json"
    (folder / "app.py").write_text("")
    path.write_text(json.dumps({"defaults": defaults or {}, "apps": [{"script": "app.py", **keys}]}))
    (spec,) = load(str(path))
    return spec.logs


def faults_of(folder, **keys) -> str:
    with pytest.raises(ConfigError) as caught:
        logs_of(folder, **keys)
    return caught.value.message


@pytest.mark.parametrize(
    ("keys", "form", "date_format"),
    [
        ({}, "raw", None),
        ({"time": False}, "raw", None),
        ({"log_type": "raw"}, "raw", None),
        ({"time": True, "log_type": "raw"}, "text", None),
        ({"time": True, "log_type": "json"}, "json", None),
        ({"time": False, "log_date_format": "HH:mm Z"}, "text", "HH:mm Z"),
        ({"log_type": "json", "log_date_format": "HH"}, "json", "HH"),
        ({"logs": {"format": "json"}}, "json", None),
        ({"logs": {"date_format": "HH"}}, "text", "HH"),
        ({"time": False, "logs": {"format": "text"}}, "text", None),
        ({"logs": {"format": "json", "date_format": "x"}}, "json", "x"),
    ],
)
def test_the_form_that_keys_ask_for(tmp_path, keys, form, date_format):
    logs = logs_of(tmp_path, **keys)
    assert (logs.form, logs.date_format) == (form, date_format)


def test_an_app_takes_back_the_form_of_the_defaults(tmp_path):
    defaults = {"log_date_format": "HH"}
    assert logs_of(tmp_path, defaults).form == "text"
    assert logs_of(tmp_path, defaults, time=False) == LogSpec()
    assert logs_of(tmp_path, defaults, logs={"format": "json"}).date_format == "HH"


def test_masks_and_lengths(tmp_path):
    logs = logs_of(tmp_path, logs={"format": "text", "max_line": "64K", "redact": ["ENV:KEY", "sk-[a-z]+"]})
    assert (logs.max_line, logs.redact) == (65536, ("ENV:KEY", "sk-[a-z]+"))
    assert logs_of(tmp_path, time=True, logs={"redact": "sk-."}).redact == ("sk-.",)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"logs": {"format": "xml"}}, "apps[0].logs.format: 'xml': expected raw, text or json"),
        (
            {"logs": {"redact": ["a"]}},
            'apps[0].logs.redact: raw bytes are not looked at: it needs format = "text"',
        ),
        ({"logs": {"max_line": "1M"}}, "apps[0].logs.max_line: raw bytes"),
        ({"logs": {"format": "raw", "date_format": "HH"}}, "apps[0].logs.date_format: a time is written"),
        ({"logs": {"format": "text", "max_line": 10}}, "apps[0].logs.max_line: 10: expected 80 bytes to 64M"),
        ({"log_type": "json", "logs": {"format": "json"}}, 'log_type: says the same as "logs.format"'),
        ({"time": True, "logs": {"format": "json"}}, 'time: says the same as "logs.format"'),
        ({"log_date_format": "HH", "logs": {"date_format": "mm"}}, 'says the same as "logs.date_format"'),
        ({"log_date_format": "dddd HH"}, 'log_date_format: "dddd" is not known'),
        ({"log_date_format": "HH MMM"}, '"MMM" is not known'),
        ({"log_date_format": "HH [x"}, '"[" is not known'),
        (
            {"time": True, "logs": {"redact": ["sk-["]}},
            "apps[0].logs.redact: 'sk-[' is no regular expression",
        ),
        ({"time": True, "logs": {"redact": ["a*"]}}, "'a*' also matches where there is nothing"),
        ({"time": True, "logs": {"redact": ["ENV:"]}}, '"ENV:" names no variable'),
        ({"redact": ["a"]}, 'did you mean "logs.redact"?'),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path, keys, message):
    assert message in faults_of(tmp_path, **keys)
