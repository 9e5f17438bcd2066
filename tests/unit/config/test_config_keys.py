"""Every key with its aliases, what it becomes in the spec, and every key that is refused."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pypm.config import load
from pypm.config.faults import Faults, Place
from pypm.config.keys import ASK_NOTHING, KEYS, NEVER, NOT_YET, TABLES, camel_case, read_app
from pypm.core.errors import ConfigError
from pypm.core.spec import AppSpec, WatchSpec

CPUS = len(os.sched_getaffinity(0))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text("print(1)\n")
    (tmp_path / "extra.env").write_text("A=1\n")
    (tmp_path / "sub").mkdir()
    return tmp_path


def spec_of(folder, **keys) -> AppSpec:
    """The spec of one app that is declared in JSON: where the format does not matter."""
    if not {"script", "command", "cmd", "exec", "module"} & set(keys):
        keys["script"] = "app.py"
    path = folder / "one.json"
    path.write_text(json.dumps({"apps": [keys]}))
    (spec,) = load(str(path))
    return spec


def faults_of(folder, **keys) -> str:
    with pytest.raises(ConfigError) as caught:
        spec_of(folder, **keys)
    return caught.value.message


VALUES = {
    "name": ("web", lambda spec: spec.name == "web"),
    "namespace": ("agents", lambda spec: spec.namespace == "agents"),
    "args": ("--a 'b c'", lambda spec: spec.command[-2:] == ("--a", "b c")),
    "shell": (False, lambda spec: "/bin/sh" not in spec.command),
    "interpreter": ("sh", lambda spec: os.path.basename(spec.command[0]) == "sh"),
    "interpreter_args": (["-X", "dev"], lambda spec: spec.command[1:3] == ("-X", "dev")),
    "venv": (False, lambda spec: "VIRTUAL_ENV" not in spec.env),
    "cwd": (".", lambda spec: os.path.isabs(spec.cwd)),
    "instances": (3, lambda spec: spec.instances == 3),
    "instance_var": ("NUMBER", lambda spec: spec.instance_var == "NUMBER"),
    "env": ({"A": 1}, lambda spec: spec.env["A"] == "1"),
    "env_file": ("extra.env", lambda spec: spec.env_files[0].endswith("/extra.env")),
    "secrets": ({"A": "file:extra.env"}, lambda spec: spec.secrets["A"].endswith("/extra.env")),
    "filter_env": (["AWS"], lambda spec: spec.filter_env == ("AWS",)),
    "user": ("root", lambda spec: spec.user == "root"),
    "group": (0, lambda spec: spec.group == "0"),
    "umask": ("027", lambda spec: spec.umask == 0o027),
    "no_new_privileges": (True, lambda spec: spec.no_new_privileges),
    "stdin": (True, lambda spec: spec.stdin),
    "max_unavailable": (2, lambda spec: spec.max_unavailable == 2),
    "autostart": (False, lambda spec: spec.autostart is False),
    "depends_on": ({}, lambda spec: spec.depends_on == {}),
    "post_start": ("sh -c true", lambda spec: spec.hooks.post_start.command[1:] == ("-c", "true")),
    "pre_stop": (["sh", "-c", "a; b"], lambda spec: spec.hooks.pre_stop.command[-1] == "a; b"),
    "on_failure": ({"command": "app.py", "timeout": "2s"}, lambda spec: spec.hooks.on_failure.timeout == 2.0),
    "autorestart": ("on-failure", lambda spec: spec.restart.autorestart == "on-failure"),
    "stop_exit_codes": ([0, "3"], lambda spec: spec.restart.stop_exit_codes == (0, 3)),
    "restart_delay": ("2s", lambda spec: spec.restart.delay == 2.0),
    "exp_backoff_restart_delay": (100, lambda spec: spec.restart.backoff == 0.1),
    "max_backoff": ("1m", lambda spec: spec.restart.max_backoff == 60.0),
    "backoff_reset": ("1h", lambda spec: spec.restart.backoff_reset == 3600.0),
    "max_restarts": (0, lambda spec: spec.restart.max_restarts == 0),
    "restart_window": ("5m", lambda spec: spec.restart.window == 300.0),
    "min_uptime": (5000, lambda spec: spec.min_uptime == 5.0),
    "max_memory_restart": ("300M", lambda spec: spec.max_memory == 300 * 1024**2),
    "kill_signal": ("int", lambda spec: spec.kill_signal == "SIGINT"),
    "kill_timeout": ("3s", lambda spec: spec.kill_timeout == 3.0),
    "treekill": (False, lambda spec: spec.treekill is False),
    "allow_control": (True, lambda spec: spec.allow_control is True),
    "cron_restart": ("0 4 * * *", lambda spec: spec.cron_restart == "0 4 * * *"),
    "watch": (True, lambda spec: spec.watch.paths == (spec.cwd,)),
    "wait_ready": (True, lambda spec: spec.wait_ready is True),
    "notify_access": ("main", lambda spec: spec.notify_access == "main"),
    "ready_fd": (3, lambda spec: spec.ready_fd == 3),
    "sockets": ("tcp://[::1]:80", lambda spec: spec.sockets == ("tcp://[::1]:80",)),
    "node_channel": (True, lambda spec: spec.has_node_channel),
    "shutdown_with_message": (False, lambda spec: not spec.shutdown_with_message),
    "listen_timeout": (4000, lambda spec: spec.listen_timeout == 4.0),
    "out_file": ("o.log", lambda spec: spec.logs.out_file == f"{spec.cwd}/o.log"),
    "error_file": ("e.log", lambda spec: spec.logs.error_file == f"{spec.cwd}/e.log"),
    "log_file": ("l.log", lambda spec: spec.logs.combined_file == f"{spec.cwd}/l.log"),
    "merge_logs": (True, lambda spec: spec.logs.merge is True),
    "disable_logs": (True, lambda spec: spec.logs.disabled is True),
    "time": (True, lambda spec: spec.logs.form == "text"),
    "log_type": ("json", lambda spec: spec.logs.form == "json"),
    "log_date_format": ("YYYY", lambda spec: (spec.logs.form, spec.logs.date_format) == ("text", "YYYY")),
}
SPELLINGS = [
    (key.name, spelling)
    for key in KEYS
    if key.name in VALUES
    for name in (key.name, *key.aliases)
    for spelling in sorted({name, camel_case(name)})
]


@pytest.mark.parametrize(("key", "spelling"), SPELLINGS)
def test_every_spelling_of_a_key_arrives_in_the_spec(folder, key, spelling):
    value, holds = VALUES[key]
    assert holds(spec_of(folder, **{spelling: value}))


def test_no_key_is_left_out_of_the_table_above():
    elsewhere = {"script", "command", "module", "increment_var", "ignore_watch", "watch_delay"}
    assert {key.name for key in KEYS} - elsewhere == set(VALUES)


@pytest.mark.parametrize("spelling", ["script", "exec", "command", "cmd"])
def test_a_script_may_be_called_as_in_pm2(folder, spelling):
    assert spec_of(folder, **{spelling: "app.py"}).command[1:] == (f"{folder}/app.py",)


def test_defaults_are_those_of_the_spec(folder):
    spec = spec_of(folder)
    plain = AppSpec(name="app", command=spec.command, cwd=str(folder))
    assert spec.restart == plain.restart
    assert spec.logs == plain.logs
    assert (spec.kill_signal, spec.kill_timeout, spec.listen_timeout) == ("SIGTERM", 10.0, 30.0)
    assert spec.instance_var == "NODE_APP_INSTANCE"  # a format of PM2
    assert spec.name == "app"
    assert spec.source == f"{folder}/one.json"


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("max", CPUS),
        (0, CPUS),
        (-1, max(1, CPUS - 1)),
        (-1000, 1),
        ("2", 2),
        (4.0, 4),
        ("-1", max(1, CPUS - 1)),
    ],
)
def test_instances_count_from_the_cpus(folder, written, count):
    assert spec_of(folder, instances=written).instances == count


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        (True, "always"),
        (False, "never"),
        ("always", "always"),
        ("never", "never"),
        ("on-failure", "on-failure"),
    ],
)
def test_autorestart(folder, written, policy):
    assert spec_of(folder, autorestart=written).restart.autorestart == policy


def test_the_growing_delay_wins_over_the_constant_one_and_zero_turns_it_off(folder):
    both = spec_of(folder, restart_delay=500, exp_backoff_restart_delay=100).restart
    assert (both.backoff, both.delay) == (0.1, None)
    off = spec_of(folder, restart_delay=0, exp_backoff_restart_delay=0).restart
    assert (off.backoff, off.delay) == (None, 0.0)


def test_max_restarts_can_be_unlimited(folder):
    assert spec_of(folder, max_restarts="unlimited").restart.max_restarts is None


@pytest.mark.parametrize(
    ("written", "name"), [("SIGUSR1", "SIGUSR1"), ("hup", "SIGHUP"), (9, "SIGKILL"), ("15", "SIGTERM")]
)
def test_kill_signal_is_made_canonical(folder, written, name):
    assert spec_of(folder, kill_signal=written).kill_signal == name


def test_nodes_channel_is_for_node_unless_it_is_said(folder):
    (folder / "app.js").write_text("")
    assert not spec_of(folder).has_node_channel
    assert spec_of(folder, command=["sh"], node_channel=True).has_node_channel
    assert spec_of(folder, script="app.py", interpreter="env").has_node_channel is False
    node = folder / "node"
    node.write_text("#!/bin/sh\n")
    node.chmod(0o755)
    assert spec_of(folder, script="app.js", interpreter=str(node)).has_node_channel
    assert not spec_of(folder, script="app.js", interpreter=str(node), node_channel=False).has_node_channel


def test_a_shutdown_message_needs_nodes_channel(folder):
    assert "node_channel = true" in faults_of(folder, shutdown_with_message=True)
    assert spec_of(folder, shutdown_with_message=True, node_channel=True).shutdown_with_message


def test_the_limit_of_memory_is_off_at_zero_and_suspects_a_missing_unit(folder):
    assert spec_of(folder, max_memory_restart=0).max_memory is None
    assert 'did you mean "300M"?' in faults_of(folder, max_memory_restart=300)


def test_values_of_env_become_text_as_in_javascript(folder):
    env = spec_of(
        folder, env={"T": True, "F": 1.0, "S": 0.00001, "X": 1e-7, "L": [1, "ä"], "O": {"a": None}}
    ).env
    assert {key: env[key] for key in "TFSXLO"} == {
        "T": "true",
        "F": "1",
        "S": "0.00001",
        "X": "1e-7",
        "L": '[1,"ä"]',
        "O": '{"a":null}',
    }


def test_log_files(folder):
    logs = spec_of(folder, out="NULL", error="/dev/null", log="~/x.log").logs
    assert (logs.out_file, logs.error_file) == ("/dev/null", "/dev/null")
    assert logs.combined_file == os.path.expanduser("~/x.log")
    logs = spec_of(folder, cwd="sub", out_file="deep/er/o.log").logs
    assert logs.out_file == f"{folder}/sub/deep/er/o.log"


def test_the_table_of_logs(folder):
    logs = spec_of(folder, logs={"maxSize": "1M", "retain": 3}).logs
    assert (logs.max_size, logs.retain) == (1024**2, 3)
    assert 'one.json: apps[0].logs.max_sise: unknown key; did you mean "max_size"?' in faults_of(
        folder, logs={"max_sise": 1}
    )
    assert "apps[0].logs: 5 is a number: expected a table" in faults_of(folder, logs=5)
    assert "apps[0].logs.retain" in faults_of(folder, logs={"retain": -1})
    assert spec_of(folder, logs={"on_full": "block"}).logs.on_full == "block"
    assert """apps[0].logs.on_full: 'wait': expected drop or block""" in faults_of(
        folder, logs={"on_full": "wait"}
    )
    assert 'did you mean "logs.max_size"?' in faults_of(folder, max_size="1M")


def test_increment_var_needs_a_whole_number_in_env(folder):
    assert spec_of(folder, increment_var="PORT", env={"PORT": 80}).increment_var == "PORT"
    assert spec_of(folder, increment_var="PORT", env_file="extra.env").increment_var == "PORT"
    assert 'increment_var: env does not declare "PORT"' in faults_of(folder, increment_var="PORT")
    assert "no whole number" in faults_of(folder, increment_var="PORT", env={"PORT": "x"})


def test_null_is_a_key_that_is_not_there(folder):
    assert spec_of(folder, max_restarts=None, watch=None, nonsense=None).restart.max_restarts == 16


WRONG = {
    "name": [5, "", "all", "a/b", "/a", "a:b", "-a", "a\nb", "a\0b", "x" * 101, "ä" * 101, " a", "\ud800"],
    "namespace": ["a/b", ""],
    "script": [5, "", ["app.py"], "a\0b"],
    "command": [5, "", [], [""], [None], {"a": 1}],
    "args": [5, "a 'b", [{}], [None]],
    "shell": ["true", 1],
    "venv": [True, 5],
    "instances": ["two", True, 1.5, 10_001, []],
    "instance_var": ["A=B", 5],
    "env": ["A=1", {"A": None}, {"": "x"}, {"A=B": "x"}, {"A": "a\0b"}],
    "env_production": ["A=1"],
    "env_file": [5, [5], "nope.env"],
    "filter_env": [5, [5]],
    "autostart": ["false", 0],
    "autorestart": ["sometimes", 1],
    "stop_exit_codes": [256, -1, "x", [True]],
    "restart_delay": ["soon", True, -1],
    "max_restarts": [-1, 1.5, "many", True],
    "min_uptime": ["5x"],
    "max_memory_restart": ["300X", True],
    "kill_signal": ["SIGNOPE", 0, 999, True, [], ""],
    "treekill": ["yes"],
    "allow_control": ["yes"],
    "wait_ready": [1],
    "notify_access": ["exec", True, "ALL"],
    "ready_fd": [2, 10, "x", True],
    "sockets": ["", "x", 80, "tcp://:80"],
    "node_channel": ["yes"],
    "shutdown_with_message": [1],
    "out_file": [True, "", "sub", "app.py/x.log"],
    "merge_logs": ["yes"],
    "cwd": ["nope", "app.py", 5],
    "interpreter": ["no-such-interpreter", 5],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_told_with_file_and_place(folder, key, value):
    message = faults_of(folder, **{key: value})
    assert message.startswith(f"{folder}/one.json: apps[0].{key}")
    assert "\n" not in message.replace("\\n", ""), "one fault, one line"


@pytest.mark.parametrize("key", sorted(NOT_YET))
def test_what_comes_later_is_refused_unless_it_asks_for_nothing(folder, key):
    for spelling in {key, camel_case(key)}:
        assert f"apps[0].{spelling}: not supported yet" in faults_of(folder, **{spelling: "x"})
        assert f"apps[0].{spelling}: not supported yet" in faults_of(folder, **{spelling: {"a": 1}})
        assert spec_of(folder, **{spelling: False}).name == "app"


@pytest.mark.parametrize("key", sorted(NEVER))
def test_what_only_pm2_has_is_refused_with_a_reason(folder, key):
    assert f"apps[0].{key}: pypm does not have this: {NEVER[key]}" in faults_of(folder, **{key: True})
    assert spec_of(folder, **{key: False}).name == "app"


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in ASK_NOTHING.items() for value in values]
)
def test_what_pypm_does_anyway_may_be_said(folder, key, value):
    assert spec_of(folder, **{key: value}).name == "app"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("exec_mode", "thread"),
        ("windowsHide", "x"),
    ],
)
def test_what_looks_like_nothing_and_is_not(folder, key, value):
    assert f"apps[0].{key}: " in faults_of(folder, **{key: value})


def test_cluster_mode_asks_for_nothing_where_there_is_one_instance(folder):
    assert spec_of(folder, exec_mode="cluster", instances=1).instances == 1
    assert spec_of(folder, exec_mode="cluster").instances == 1
    assert "share a port" in faults_of(folder, exec_mode="cluster", instances=2)
    assert "sockets" in faults_of(folder, exec_mode="cluster_mode", instances="max")


def test_what_belongs_to_watching_asks_for_nothing_while_watch_is_off(folder):
    assert spec_of(folder, watch=False, watch_options={"usePolling": True}).watch is None
    assert "watch_options: not supported yet" in faults_of(
        folder, watch=True, watch_options={"usePolling": True}
    )


def test_what_is_watched(folder):
    assert spec_of(folder, watch=[]).watch == WatchSpec((str(folder),))
    watch = spec_of(folder, watch="app.py", ignore_watch="x", watch_delay=1500).watch
    assert watch == WatchSpec((f"{folder}/app.py",), ("x",), 1.5)
    assert "is not there" in faults_of(folder, watch=["nothing"])


@pytest.mark.parametrize(
    ("key", "right"),
    [
        ("max_restart", "max_restarts"),
        ("auto_restart", "autorestart"),
        ("kil_timeout", "kill_timeout"),
        ("maxMemoryRestrt", "max_memory_restart"),
        ("workdir", "cwd"),
        ("environment", "env"),
        ("cron_restrat", "cron_restart"),
        ("log", None),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_right_one(folder, key, right):
    if right is None:
        assert spec_of(folder, **{key: "x.log"}).logs.combined_file
    else:
        assert f'apps[0].{key}: unknown key; did you mean "{right}"?' in faults_of(folder, **{key: "x"})


def test_two_names_for_the_same_are_one_too_many(folder):
    assert 'apps[0].out: says the same as "out_file"' in faults_of(folder, out_file="a", out="b")


def test_all_faults_are_told_together_each_on_a_line(folder):
    message = faults_of(folder, name="web", script="ap.py", max_restart=1, min_uptime="x", cron="0 0 30 2 *")
    lines = message.splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "apps[0].max_restart (web)",
        "apps[0].min_uptime (web)",
        "apps[0].cron (web)",
        "apps[0].script (web)",
    ]
    assert 'did you mean "app.py"?' in lines[3]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.one_of(st.sampled_from([key.name for key in KEYS]), st.text(max_size=12)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=8,
    )
)
@example({"health": []})
@example({table: [] for table in TABLES})
@example({"restart": [[]], "health": {"liveness": []}, "limits": {"": []}})
def test_any_table_gives_settings_or_faults_and_never_another_error(raw):
    faults = Faults("f")
    found = read_app(raw, Place(faults, "apps[0]"))
    known = {key.name for key in KEYS} | {*TABLES}
    assert all(key in known or key.startswith("env_") for key in found)
    given_keys = [key for key, value in raw.items() if value is not None and key in known - {*TABLES}]
    assert len(given_keys) <= len(found) + len(faults.lines)
    assert all(line.startswith("f: apps[0]") for line in faults.lines)
