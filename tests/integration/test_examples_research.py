"""The research agent in examples/, run for real, without a master."""

from __future__ import annotations

import json
import re
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
import zmq
from example_programs import DEADLINE, EXAMPLES, Program, Run, ScriptedModel, start_model_server

from pypm.agent.checkpoint import load


class TestResearchAgent:
    @pytest.fixture
    def work(self, tmp_path: Path) -> Path:
        questions = tmp_path / "questions"
        questions.mkdir()
        for name in ("1-tides", "2-bees"):
            (questions / f"{name}.txt").write_text(f"What about {name[2:]}?\n")
        return tmp_path

    @staticmethod
    def start(run: Run, work: Path, url: str, env: dict[str, str] | None = None) -> Program:
        options = ("--work", work, "--questions", work / "questions", "--model-url", url, "--pause", 0)
        return run("research_agent", *options, env=env)

    @staticmethod
    def checkpoint(work: Path) -> dict[str, Any]:
        data = load(folder=work / "research" / "checkpoints")
        assert isinstance(data, dict)
        return data

    def test_killed_in_mid_step_it_resumes_that_step(
        self, run: Run, work: Path, model: ScriptedModel
    ) -> None:
        agent = self.start(run, work, model.url)
        agent.expect("a new beginning: 4 steps")
        for text in ("I am here", "the first answer", "the first review"):
            model.next_question()
            model.answer(text)
        assert "bees" in model.next_question()  # step 3 has been begun
        assert agent.end(signal.SIGKILL) == -signal.SIGKILL
        model.answer("an answer that nobody hears")

        agent = self.start(run, work, model.url)
        agent.expect(r"resumed at step 3 of 4 \(round 1, 20 tokens so far\)")
        assert model.next_question() == "Are you there?"
        model.answer("I am here")
        assert "bees" in model.next_question()
        model.answer("the answer about bees")
        question = model.next_question()
        assert "the answer about bees" in question, "the review is about the answer"
        model.answer("the review about bees")
        agent.expect("step 4 of 4, round 1 done")
        notes = {path.name: path.read_text() for path in (work / "research" / "notes").iterdir()}
        assert notes.keys() == {"1-tides.md", "2-bees.md"}
        assert "the first answer" in notes["1-tides.md"]
        assert "the first review" in notes["1-tides.md"]
        assert notes["2-bees.md"].index("the answer about bees") < notes["2-bees.md"].index(
            "the review about"
        )
        assert "nobody hears" not in notes["2-bees.md"]
        assert "bees" not in model.next_question(), "the second round begins with the first question"
        assert self.checkpoint(work)["tokens"] == 40
        assert (self.checkpoint(work)["round"], self.checkpoint(work)["step"]) == (2, 1)
        model.answer("so that nothing waits")

    def test_killed_between_answer_and_review_it_still_knows_the_answer(
        self, run: Run, work: Path, model: ScriptedModel
    ) -> None:
        agent = self.start(run, work, model.url)
        for text in ("I am here", "the first answer"):
            model.next_question()
            model.answer(text)
        model.next_question()
        agent.end(signal.SIGKILL)
        model.answer("unheard")
        agent = self.start(run, work, model.url)
        agent.expect("resumed at step 2 of 4")
        model.next_question()
        model.answer("I am here")
        assert "the first answer" in model.next_question()
        model.answer("a review")
        agent.expect("step 2 of 4, round 1 done")
        note = (work / "research" / "notes" / "1-tides.md").read_text()
        assert "the first answer" in note
        assert "a review" in note

    def test_sigterm_finishes_the_step(self, run: Run, work: Path, model: ScriptedModel) -> None:
        agent = self.start(run, work, model.url)
        model.next_question()
        model.answer("I am here")
        model.next_question()
        agent.process.send_signal(signal.SIGTERM)
        model.answer("an answer that is worth waiting for")
        assert agent.wait() == 0
        assert agent.lines[-2].endswith("step 1 of 4, round 1 done: 1-tides, 10 tokens so far")
        assert agent.lines[-1].endswith("ended at step 2 of 4, as asked")
        assert self.checkpoint(work)["draft"] == ["an answer that is worth waiting for"]

    def test_sigterm_while_it_waits_for_a_model(self, run: Run, work: Path) -> None:
        agent = self.start(run, work, "http://127.0.0.1:9/v1")
        agent.expect("the model cannot answer")
        assert agent.end() == 0
        assert agent.lines[-1].endswith("ended at step 1 of 4, as asked")

    def test_it_waits_as_long_as_it_is_told_and_survives_all_that_passes(
        self, run: Run, work: Path, model: ScriptedModel
    ) -> None:
        agent = self.start(run, work, model.url)
        for fate in (
            lambda: model.refuse(429, Retry_After="0.07"),
            lambda: model.refuse(503),
            model.break_off,
            lambda: model.answer("here at last"),
        ):
            model.next_question()
            fate()
        agent.expect(r"HTTP 429\); next try in 0\.07 s")
        agent.expect(r"HTTP 503\); next try in 1 s")
        agent.expect(r"the answer broke off\); next try in 2 s")
        agent.expect("the model answers; ready")

    def test_a_refusal_that_no_retry_cures_ends_it(self, run: Run, work: Path, model: ScriptedModel) -> None:
        agent = self.start(run, work, model.url)
        model.next_question()
        model.refuse(401)
        assert agent.wait() == 1
        assert "the model refuses: HTTP 401" in agent.output

    @pytest.mark.parametrize("damage", ["", "pypm-checkpoint 1 json 100 ab", "\0" * 100])
    def test_a_damaged_checkpoint_costs_one_step(
        self, run: Run, work: Path, model: ScriptedModel, damage: str
    ) -> None:
        agent = self.start(run, work, model.url)
        for text in ("I am here", "one", "two"):
            model.next_question()
            model.answer(text)
        model.next_question()
        agent.end(signal.SIGKILL)
        model.answer("unheard")
        newest = max((work / "research" / "checkpoints").iterdir())
        newest.write_text(damage)
        agent = self.start(run, work, model.url)
        agent.expect(f"{newest.name} is damaged")
        agent.expect("resumed at step 2 of 4")

    def test_other_questions_are_a_new_beginning(self, run: Run, work: Path, model: ScriptedModel) -> None:
        agent = self.start(run, work, model.url)
        for text in ("I am here", "one"):
            model.next_question()
            model.answer(text)
        agent.expect("step 1 of 4, round 1 done")
        model.next_question()
        agent.end(signal.SIGKILL)
        model.answer("unheard")
        (work / "questions" / "3-bread.txt").write_text("What about bread?")
        self.start(run, work, model.url).expect("a new beginning: 6 steps")

    def test_ready_only_when_the_model_has_answered(self, run: Run, work: Path, model: ScriptedModel) -> None:
        with (
            tempfile.TemporaryDirectory(prefix="px", dir="/tmp") as folder,
            zmq.Context() as context,
            context.socket(zmq.ROUTER) as router,
        ):
            endpoint = f"ipc://{folder}/a.sock"
            router.bind(endpoint)
            env = {"PYPM_AGENT_ENDPOINT": endpoint, "PYPM_AGENT_TOKEN": "t"}
            agent = self.start(run, work, model.url, env)
            model.next_question()
            first = json.loads(self.receive(router))
            assert (first["type"], first["text"]) == ("status", "waiting for the model")
            second = json.loads(self.receive(router))
            assert (second["type"], second["text"]) == ("extend", "model call")
            assert not router.poll(0), "it has said more than it knows"
            model.answer("I am here")
            types = [first["type"]]
            while types[-1] != "ready":
                types.append(json.loads(self.receive(router))["type"])
            assert set(types) <= {"status", "heartbeat", "ready", "reset_deadline"}
            model.next_question()
            model.answer("one")
            agent.process.send_signal(signal.SIGTERM)
            model.answer("two")  # if it had begun the next step already
            while types[-1] != "stopping":
                types.append(json.loads(self.receive(router))["type"])
            assert "progress" in types
            assert agent.wait() == 0

    @staticmethod
    def receive(router: zmq.Socket[bytes]) -> bytes:
        assert router.poll(int(DEADLINE * 1000)), "no message came"
        return router.recv_multipart()[1]

    def test_rounds_with_a_model_that_is_often_busy(self, run: Run, tmp_path: Path) -> None:
        server, port = start_model_server(run, "--busy-rate", 0.2, "--retry-after", 0.01, "--seed", 3)
        url = f"http://127.0.0.1:{port}/v1"
        agent = run("research_agent", "--work", tmp_path, "--model-url", url, "--pause", 0)
        agent.expect("step 12 of 12, round 3 done")
        assert "HTTP 429" in agent.output
        assert agent.end() == 0
        assert server.end() == 0
        steps = re.findall(r"step (\d+) of 12, round (\d+) done", agent.output)
        expected = [(str(step), str(number)) for number in range(1, 50) for step in range(1, 13)]
        assert steps == expected[: len(steps)], "every step once, in order"
        files = sorted(path.name for path in (tmp_path / "research" / "notes").iterdir())
        names = [path.stem for path in sorted((EXAMPLES / "questions").glob("*.txt"))]
        assert files == [f"{name}.md" for name in names]
        assert len(list((tmp_path / "research" / "checkpoints").iterdir())) == 3
