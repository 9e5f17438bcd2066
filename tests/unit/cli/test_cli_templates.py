"""``--format``: lines of a person's own form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_master import ScriptedMaster, make_row

from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.cli.templates import filled
from pypm.core.errors import UsageError

END = {"last_exit": {"reason": "exit code 1"}}
ROWS = [
    make_row(0, "b", cpu_percent=2.0, memory_bytes=3 << 20, **END),
    make_row(1, "a", cpu_percent=None, memory_bytes=None, last_exit=None),
]


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{name}", "b"),
        ("{name}\\t{cpu_percent:.2f}", "b\t2.00"),
        ("[{name:>3}] {ready} {{}}", "[  b] yes {}"),
        ("{last_exit.reason}", "exit code 1"),
        ("{last_exit.nothing}", "-"),
        (
            "{last_exit.nothing:>3}|{last_exit.nothing:<3}|{held_until:5.1f}|{held_until:,}|",
            "  -|-  |    -|-|",
        ),
        ("{last_exit}", '{"reason": "exit code 1"}'),
    ],
)
def test_a_template_is_filled(template: str, line: str) -> None:
    assert filled(template, ROWS[:1]) == f"{line}\n"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{naem}", "there is no field {naem}"),
        ("{name.x}", "there is no field {name.x}"),
        ("{", "--format: "),
        ("{name:5d}", "is no form for 'b'"),
        ("{}", "there is no field"),
        ("{name!r}", "!r has no meaning"),
    ],
)
def test_a_wrong_template_is_wrong_usage(template: str, told: str) -> None:
    with pytest.raises(UsageError, match=r"--format: ") as caught:
        filled(template, ROWS)
    assert told in caught.value.message


def test_a_misspelled_field_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        filled("{naem}", ROWS)
    assert caught.value.hint == "did you mean {name}?"


def test_list_has_the_words_of_the_table_too(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ScriptedMaster(home, list=ROWS):
        template = "{name} {cpu} {memory} {last_exit.reason}"
        assert guarded(run, ["list", "--sort", "name", "--format", template]) == 0
        assert capfd.readouterr() == ("a - - -\nb 2% 3M exit code 1\n", "")
        assert guarded(run, ["list", "--format", "{nope}"]) == 2
        assert guarded(run, ["list", "--format", "{name}", "--json"]) == 2


def test_describe_masks_what_it_fills_in(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    detail = {**ROWS[0], "spec": {"cwd": "/srv", "env": {"API_KEY": "hush"}}}
    with ScriptedMaster(home, describe=[detail]):
        assert guarded(run, ["describe", "b", "--format", "{spec.cwd} {spec.env.API_KEY}"]) == 0
    assert capfd.readouterr().out == "/srv ****\n"


CHANGE = {"instances": [{"id": 0, "name": "b", "action": "restarted"}], "warnings": ["it is old"]}


@pytest.mark.parametrize(
    ("wait", "form", "line"), [("--wait", "{action} {memory}", "restarted 3M"), ("--no-wait", "{name}", "b")]
)
def test_an_order_has_a_line_for_each_instance(
    wait: str, form: str, line: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    order = ["restart", "b", wait]
    waited = {"rows": ROWS[:1], "done": True, "timed_out": False}
    with ScriptedMaster(home, restart=CHANGE, wait=waited, list=ROWS[:1]) as master:
        assert guarded(run, [*order, "--format", form]) == 0
        assert capfd.readouterr() == (f"{line}\n", "pypm: warning: it is old\n")
        assert guarded(run, [*order, "--format", "{name"]) == 2
        assert len(master.asked("restart")) == 1, "a template that is none is refused before the order"
        capfd.readouterr()
        assert guarded(run, [*order, "--json"]) == 0
        assert capfd.readouterr().out.startswith('{"instances"'), "a template is that of one command"


def test_what_a_scale_has_taken_away_is_a_line_too(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    taken = {"id": 7, "name": "b:1", "action": "deleted"}
    change = {"instances": [*CHANGE["instances"], taken], "warnings": []}
    waited = {"rows": ROWS[:1], "done": True, "timed_out": False}
    with ScriptedMaster(home, scale=change, wait=waited, list=ROWS[:1]):
        form = ["--format", "{name} {action} {status} {memory}"]
        assert guarded(run, ["scale", "b", "1", *form]) == 0
        assert guarded(run, ["scale", "b", "1", *form, "--no-wait"]) == 2, "nobody looks at the rows then"
    assert capfd.readouterr().out == "b restarted online 3M\nb:1 deleted - -\n"


@pytest.mark.parametrize(
    ("words", "answers", "lines"),
    [
        (["pid", "--format={pid} {status}"], {"list": ROWS[:1]}, f"{ROWS[0]['pid']} {ROWS[0]['status']}\n"),
        (["id", "--format", "{id}={name}"], {"list": ROWS}, "0=b\n1=a\n"),
        (["ping", "--format", "{master_pid}"], {"ping": {"master_pid": 7}}, "7\n"),
        (["get", "--format", "{key} is {value}"], {}, "logs.total_size is "),
        (["version", "--format", "{master_version}"], {"ping": {"version": "9.9"}}, "9.9\n"),
        (["completion", "bash", "--format", "{shell}"], {}, "bash\n"),
        (["monit", "--once", "--format", "{name} {cpu}"], {"list": ROWS}, "b 2%\na -\n"),
        (["events", "--format", "{event} {cause}"], {}, "run.ended exit\nmaster.ended -\n"),
        (["help", "stop"], {}, "Usage: pypm stop [OPTIONS]"),
        (["help"], {}, "Usage: pypm [OPTIONS] COMMAND"),
        (["help", "help"], {}, "Usage: pypm [OPTIONS] COMMAND"),
    ],
)
def test_every_kind_of_answer_has_lines(
    words: list[str], answers: dict[str, Any], lines: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    story = ['{"event": "run.ended", "cause": "exit", "time": ""}', '{"event": "master.ended", "time": ""}']
    (home / "events.jsonl").write_text("\n".join(story) + "\n")
    with ScriptedMaster(home, **answers):
        assert guarded(run, words) == 0
    out, err = capfd.readouterr()
    assert out.startswith(lines)
    assert err == ""
