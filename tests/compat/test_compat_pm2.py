"""Configurations of PM2: the same apps as JavaScript, JSON and YAML, and what node does with broken files.

Every field that a sample does not set is expected to have the default of AppSpec.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from pypm.config import javascript, load
from pypm.core.errors import ConfigError
from pypm.core.spec import AppSpec
from pypm.testing import wait_until

FOLDER = Path(__file__).parent / "pm2"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node in PATH")


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A PATH whose only node does nothing: the samples are resolved the same on every machine."""
    for name in ("node", "sh"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return str(tmp_path)


def sample(name, **options):
    """The sample's specs, without the one field that differs: the file."""
    specs = load(str(FOLDER / name), **options)
    assert {spec.source for spec in specs} == {str(FOLDER / name)}
    return [msgspec.structs.replace(spec, source=None) for spec in specs]


def expected(path, node_env):
    apps = [
        {
            "name": "api",
            "command": [
                f"{path}/node",
                "--max-old-space-size=256",
                f"{FOLDER}/api/server.js",
                "--port",
                "8080",
            ],
            "cwd": f"{FOLDER}/api",
            "script": "./server.js",
            "instances": 2,
            "instance_var": "NODE_APP_INSTANCE",
            "increment_var": "PORT",
            "max_memory": 300 * 1024**2,
            "kill_timeout": 3.0,
            "wait_ready": True,
            "listen_timeout": 10.0,
            "logs": {"out_file": f"{FOLDER}/logs/api-out.log", "error_file": "/dev/null", "merge": True},
            "env": {
                "PORT": "8080",
                "NODE_ENV": node_env,
                "VERBOSE": "true",
                "RATIO": "1",
                "LIMITS": '{"a":[1,2]}',
            },
        },
        {
            "name": "worker",
            "command": [f"{path}/sh", f"{FOLDER}/worker.py", "--queue", "two words"],
            "cwd": str(FOLDER),
            "script": "worker.py",
            "namespace": "agents",
            "instance_var": "NODE_APP_INSTANCE",
            "restart": {"stop_exit_codes": [0, 64], "delay": 5.0, "max_restarts": 10},
            "min_uptime": 5.0,
            "kill_signal": "SIGINT",
            "env_files": [f"{FOLDER}/shared.env"],
            "filter_env": ["SECRET"],
            "logs": {"max_size": 10 * 1024**2, "retain": 3},
        },
        {
            "name": "tool",
            "command": [f"{FOLDER}/tool"],
            "cwd": str(FOLDER),
            "script": "./tool",
            "instance_var": "NODE_APP_INSTANCE",
            "autostart": False,
            "restart": {"backoff": 0.1, "backoff_reset": 3600.0},
            "treekill": False,
            "logs": {"combined_file": "/dev/null"},
        },
    ]
    return msgspec.convert(apps, list[AppSpec])


@pytest.mark.parametrize("name", ["ecosystem.json", "ecosystem.yaml"])
def test_json_and_yaml_give_these_specs(path, name):
    assert sample(name) == expected(path, "development")
    assert sample(name, env_name="production") == expected(path, "production")


@needs_node
def test_javascript_gives_the_same_specs_as_json():
    assert sample("ecosystem.config.js") == sample("ecosystem.json")
    assert sample("ecosystem.config.js", env_name="production") == sample(
        "ecosystem.json", env_name="production"
    )


def evaluate(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    return javascript.evaluate(str(file))


def fault(tmp_path, name, text):
    with pytest.raises(ConfigError) as caught:
        evaluate(tmp_path, name, text)
    return caught.value.message.removeprefix(f"{tmp_path}/{name}: ")


@needs_node
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.config.js", "module.exports = {apps: [1]}"),
        ("a.config.cjs", "exports.apps = [1]"),
        ("a.config.mjs", "export default {apps: [1]}"),
        ("b.config.mjs", "export const apps = [await Promise.resolve(1)]"),
        ("b.config.js", "module.exports = Promise.resolve({apps: [1]})"),
        ("c.config.js", "console.log('{}'); console.error('x'); module.exports = {apps: [1]}"),
        ("d.config.js", "setInterval(() => {}, 1000); module.exports = {apps: [1], no: undefined}"),
        ("e.config.js", "module.exports = {apps: [require('fs').readFileSync(0).length + 1]}"),
    ],
)
def test_every_way_to_export(tmp_path, name, text):
    assert evaluate(tmp_path, name, text) == {"apps": [1]}


@needs_node
def test_an_export_larger_than_any_pipe(tmp_path):
    assert evaluate(tmp_path, "a.config.js", "module.exports = ['ä'.repeat(1 << 20)]") == ["ä" * (1 << 20)]


@needs_node
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.config.js",
            "module.exports = {\n apps: [ {\n}\n",
            "line 4: SyntaxError: Unexpected end of input",
        ),
        ("a.config.mjs", "export default {apps: [}", "line 1: SyntaxError: Unexpected token '}'"),
        ("a.config.js", "\nthrow new Error('boom')", "line 2: Error: boom"),
        ("a.config.js", "throw 3", "Error: 3"),
        ("a.config.js", "require('./nope')", "line 1, column 1: Error: Cannot find module './nope'"),
        (
            "a.config.js",
            "module.exports = () => ({})",
            "TypeError: the file exports a function; export an object",
        ),
        ("a.config.js", "module.exports = {x: 1n}", "TypeError: Do not know how to serialize a BigInt"),
        ("a.config.js", "process.exit(4)", "node ended with status 4"),
        ("a.config.js", "process.exit(0)", "ended node before it exported anything"),
    ],
)
def test_what_goes_wrong_in_node_is_told_with_the_line(tmp_path, name, text, message):
    assert fault(tmp_path, name, text) == message


@needs_node
def test_a_file_without_end_is_ended_with_all_that_it_has_started(tmp_path, monkeypatch):
    monkeypatch.setattr(javascript, "TIMEOUT", 4.0)
    text = """
        const child = require("child_process").spawn("sleep", ["1000"]);
        require("fs").writeFileSync(__dirname + "/pid", String(child.pid));
        for (;;);
        """
    assert fault(tmp_path, "a.config.js", text) == "node did not finish within 4 s"
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: has_ended(pid), 20.0, "the end of what the file has started")


def has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_without_node_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fault(tmp_path, "a.config.js", "") == "needs node to be evaluated, and there is no node in PATH"


@needs_node
def test_no_descriptor_is_left_open(tmp_path):
    before = os.listdir("/proc/self/fd")
    evaluate(tmp_path, "a.config.js", "module.exports = []")
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.usefixtures("path")
def test_cron_restart_as_pm2_has_it():
    nightly, report, off = sample("cron.json")
    assert (nightly.cron_restart, nightly.restart.autorestart) == ("0 4 * * *", "always")
    assert (report.cron_restart, report.restart.autorestart) == ("*/30 * * * * *", "never")
    assert off.cron_restart is None
    assert [spec.schedule for spec in (nightly, report, off)] == [None, None, None]
