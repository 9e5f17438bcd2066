"""The table ``restart``: rules for how runs end."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from pypm.config.ecosystem import load
from pypm.core.errors import ConfigError
from pypm.core.rule_validity import MOST_RULES
from pypm.core.spec import AppSpec, RestartPolicy, Rule
from pypm.core.validity import fault_of


def rules_of(
    folder: Path, *rules: str, table: str = "[apps.restart]\nrules = [\n{}\n]\n"
) -> tuple[Rule, ...]:
    file = folder / "ecosystem.toml"
    text = table.replace("{}", ",\n".join(rules))
    file.write_text(f'[[apps]]\nname = "a"\ncommand = ["/bin/sleep", "1"]\n{text}')
    (spec,) = load(str(file))
    assert fault_of(spec) == ""
    return spec.restart.rules


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ('codes = [75], action = "hold", for = "10m"', Rule("hold", codes=(75,), hold_for=600.0)),
        ('code = 77, action = "hold", reason = "login"', Rule("hold", codes=(77,), reason="login")),
        ('cause = "oom", action = "stop"', Rule("stop", causes=("oom",))),
        (
            'causes = ["stalled", "watchdog"], action = "restart", delay = 5000',
            Rule("restart", causes=("stalled", "watchdog"), delay=5.0),
        ),
        ('signals = ["segv", 9], action = "restart"', Rule("restart", signals=("SIGSEGV", "SIGKILL"))),
        (
            r'log = "after (\\d+)", action = "hold", for = "$1s", max = "1h"',
            Rule("hold", log=r"after (\d+)", hold_like="$1s", longest=3600.0),
        ),
        (
            r'log = "(\\d+)m (\\d+)s", action = "hold", for = "$1m $2s"',
            Rule("hold", log=r"(\d+)m (\d+)s", hold_like="$1m $2s"),
        ),
        ('action = "hold"', Rule("hold")),
    ],
)
def test_rules(tmp_path: Path, written: str, rule: Rule) -> None:
    assert rules_of(tmp_path, f"{{ {written} }}") == (rule,)


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ('{ action = "wait" }', "action: .*restart, hold or stop"),
        ("{ codes = [1] }", "it has no action"),
        ('{ action = "stop", cause = "boredom" }', "cause: .*no cause: expected some of exit, signal, oom"),
        ('{ action = "stop", cause = "operator" }', "what was ordered is done"),
        ('{ action = "stop", codes = [256] }', "codes: .*from 0 to 255"),
        ('{ action = "stop", signals = ["SIGFOO"] }', "signals: .*not a signal"),
        ('{ action = "stop", code = 1, codes = [2] }', "says the same"),
        ('{ action = "stop", exitcode = 1 }', 'unknown key .*did you mean "code"'),
        ('{ action = "stop", delay = "1s" }', 'delay goes with action = "restart"'),
        ('{ action = "restart", for = "1s" }', 'for goes with action = "hold"'),
        ('{ action = "hold", for = "1s", max = "1m" }', "max goes with a time from the log"),
        ('{ action = "hold", for = "soon" }', "for: .*not a duration"),
        ('{ action = "hold", log = "x (y)", for = "$1 fortnights" }', "for: .*expected a duration"),
        ('{ action = "hold", for = "$1s" }', r"\$1 is a group of log, which is not there"),
        ('{ action = "hold", log = "x", for = "$1s" }', r"\$1 is asked for, and log has 0 groups"),
        ('{ action = "hold", log = "(" }', "log: .*no regular expression"),
        ('{ action = "hold", log = "x*" }', "log: .*also matches where there is nothing"),
        ('"hold"', "is no rule"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, written: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=rf"apps\[0\]\.restart\.rules \(a\): rule 2: .*{fault}"):
        rules_of(tmp_path, '{ action = "restart", codes = [3] }', written)


def test_the_table_may_be_the_list_itself(tmp_path: Path) -> None:
    rule = (Rule("hold", codes=(75,)),)
    table = "[[apps.restart]]\n{}\n"
    assert rules_of(tmp_path, 'codes = [75]\naction = "hold"', table=table) == rule
    assert rules_of(tmp_path, '{ code = 75, action = "hold" }', table="restart = [{}]\n") == rule


def test_another_kind_of_value_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"restart.*expected a table such as \[apps.restart\]"):
        rules_of(tmp_path, table='restart = "always"\n')


def test_there_is_an_end_to_rules(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at most"):
        rules_of(tmp_path, *['{ action = "stop" }'] * (MOST_RULES + 1))


@pytest.mark.parametrize(
    "rule",
    [
        Rule("hold", log="("),
        Rule("hold", hold_like="$1s"),
        Rule("hold", signals=("SIGFOO",)),
        Rule("restart", delay=-1.0),
        Rule("hold", hold_for=float("nan")),
    ],
    ids=str,
)
def test_a_master_takes_no_rule_that_cannot_be(rule: Rule) -> None:
    spec = AppSpec("a", ("/bin/true",), "/", restart=RestartPolicy(rules=(rule,)))
    assert fault_of(spec).startswith("rule 1: ")
    many = replace(spec, restart=RestartPolicy(rules=(Rule("stop"),) * (MOST_RULES + 1)))
    assert "at most" in fault_of(many)


def test_a_restart_rules_change_needs_no_new_run() -> None:
    from pypm.core.plan import needs_restart

    spec = AppSpec("a", ("/bin/true",), "/")
    ruled = replace(spec, restart=RestartPolicy(rules=(Rule("stop"),)))
    assert needs_restart(spec, ruled) == []
