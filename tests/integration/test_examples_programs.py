"""The other programs in examples/, run for real, without a master."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from example_programs import DEADLINE, EXAMPLES, ROOT, Run
from real_pypm import command_line

from pypm.testing import wait_until


class TestLeakyAgent:
    def test_it_really_grows_and_knows_that_it_was_restarted(self, run: Run, tmp_path: Path) -> None:
        first = run("leaky_agent", "--rate", 40, "--work", tmp_path)
        first.expect("life 1 begins")

        def resident() -> int:
            statm = Path(f"/proc/{first.process.pid}/statm").read_text().split()
            return int(statm[1]) * os.sysconf("SC_PAGESIZE")

        begin = resident()
        wait_until(lambda: resident() > begin + 50 * 1024 * 1024, DEADLINE, "50 MB more")
        assert first.end() == 0
        size = int(first.expect(r"life 1 ends at (\d+) MB, as asked")[1])
        assert size >= 50
        second = run("leaky_agent", "--rate", 1, "--work", tmp_path, env={"PYPM_RUN_ID": "run-17"})
        second.expect(r"life 2 begins at \d+ MB \(run id: run-17\)")
        second.expect(rf"I have been restarted: life 1 was last seen at {size} MB")


class TestFlakyAgent:
    def test_it_crashes_with_a_traceback(self, run: Run, tmp_path: Path) -> None:
        program = run("flaky_agent", "--crash-rate", 1, "--turn", 0.001, "--work", tmp_path)
        assert program.wait() == 1
        program.expect(r"Traceback \(most recent call last\)")
        assert re.search(r"(JSONDecodeError|KeyError|ZeroDivisionError)", program.lines[-1])

    def test_every_life_is_another_one_and_can_be_had_again(self, run: Run, tmp_path: Path) -> None:
        def lives(folder: str) -> list[str]:
            ends = []
            for _ in range(4):
                options = ("--crash-rate", 0.05, "--turn", 0.001, "--work", tmp_path / folder, "--seed", 5)
                program = run("flaky_agent", *options)
                assert program.wait() == 1
                ends.append(re.sub(r"\d\d:\d\d:\d\d", "", program.output))
            return ends

        first = lives("one")
        assert len(set(first)) == 4
        assert lives("two") == first

    def test_without_bad_luck_it_ends_when_asked(self, run: Run, tmp_path: Path) -> None:
        program = run("flaky_agent", "--crash-rate", 0, "--turn", 0.001, "--work", tmp_path)
        program.expect("50 answers")
        assert program.end() == 0
        assert re.search(r"life 1 ends after \d+ answers, as asked", program.lines[-1])


class TestToolWorker:
    def test_its_tools_work(self, run: Run, tmp_path: Path) -> None:
        texts = tmp_path / "texts"
        texts.mkdir()
        (texts / "a.txt").write_text("to be or not to be\nto\n")
        options = ("--texts", texts, "--work", tmp_path, "--pause", 0, "--instance", 1)
        program = run("tool_worker", *options, env={"TOOL_SLEEP": "0.1"})
        program.expect(r"words of a\.txt: 7 ")
        program.expect(r"favourite of a\.txt: 3 to ")
        program.expect(r"longest of a\.txt: 18 ")
        program.expect(r"patience of a\.txt: done ")
        assert program.end() == 0
        results = [
            json.loads(line) for line in (tmp_path / "tools" / "results-1.jsonl").read_text().splitlines()
        ]
        assert results[0] == {**results[0], "tool": "words", "file": "a.txt", "ok": True, "output": "7"}
        assert len(results) <= 200

    def test_it_ends_its_tools(self, run: Run, tmp_path: Path) -> None:
        program = run("tool_worker", "--work", tmp_path, "--parallel", 4, env={"TOOL_SLEEP": "600"})

        def sleepers() -> list[int]:
            return [pid for pid in program.children() if b"600" in command_line(pid)]

        tools = wait_until(sleepers, DEADLINE, "a tool that runs")
        assert program.end() == 0
        assert not any(Path(f"/proc/{tool}").exists() for tool in tools)
        program.expect("patience of .* ended by SIGTERM")

    def test_a_tool_that_ignores_sigterm_is_killed(self, run: Run, tmp_path: Path) -> None:
        stubborn = tmp_path / "bin" / "sleep"
        stubborn.parent.mkdir()
        stubborn.write_text(
            f"#!{sys.executable}\n"
            "import os, signal\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "open(os.environ['TOOL_MARK'], 'w').close()\n"
            "while True: signal.pause()\n"
        )
        stubborn.chmod(0o755)
        mark = tmp_path / "mark"
        env = {"PATH": f"{stubborn.parent}:{os.environ['PATH']}", "TOOL_MARK": str(mark)}
        program = run("tool_worker", "--work", tmp_path, env=env)
        wait_until(mark.exists, DEADLINE, "the stubborn tool")
        assert program.end() == 0
        program.expect("patience of .* ended by SIGKILL")

    def test_a_tool_that_takes_too_long_is_given_up(self, run: Run, tmp_path: Path) -> None:
        options = ("--work", tmp_path, "--tool-timeout", 1.5, "--pause", 0)
        program = run("tool_worker", *options, env={"TOOL_SLEEP": "600"})
        program.expect(r"patience of \S+: took longer than 1\.5 s")
        program.expect("words of 02-lighthouses")  # and goes on
        assert program.end() == 0

    def test_at_most_so_many_at_a_time(self, run: Run, tmp_path: Path) -> None:
        options = ("--work", tmp_path, "--parallel", 1, "--pause", 0)
        program = run("tool_worker", *options, env={"TOOL_SLEEP": "0.2"})
        most = [0]

        def watched() -> bool:
            most[0] = max(most[0], len(program.children()))
            return program.process.poll() is not None or program.output.count("patience") >= 2

        wait_until(watched)
        assert most == [1]


def test_the_example_ecosystem_file_is_valid_and_names_them_all() -> None:
    from pypm.config import load

    specs = load(str(ROOT / "ecosystem.example.toml"))
    assert {spec.name for spec in specs} == {"model", "research", "tools", "leaky", "flaky"}
    scripts = {Path(argument).name for spec in specs for argument in spec.command if argument.endswith(".py")}
    assert scripts == {path.name for path in EXAMPLES.glob("*.py")}
