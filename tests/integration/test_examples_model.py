"""The model server in examples/, run for real, without a master."""

from __future__ import annotations

import http.client
import json
import signal

import pytest
from example_programs import DEADLINE, Run, start_model_server


class TestModelServer:
    @staticmethod
    def call(
        port: int, body: object, path: str = "/v1/chat/completions"
    ) -> tuple[int, str, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                text = body if isinstance(body, str) else json.dumps(body)
                connection.request("POST", path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode(), response.headers
        finally:
            connection.close()

    @staticmethod
    def question(**more: object) -> dict[str, object]:
        return {"model": "m", "messages": [{"role": "user", "content": "Why do tides rise?"}], **more}

    def test_an_answer_in_one_piece(self, run: Run) -> None:
        _, port = start_model_server(run)
        status, text, headers = self.call(port, self.question())
        answer = json.loads(text)
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert (answer["object"], answer["model"]) == ("chat.completion", "m")
        (choice,) = answer["choices"]
        assert (choice["index"], choice["finish_reason"]) == (0, "stop")
        assert choice["message"]["role"] == "assistant"
        assert "tides" in choice["message"]["content"]
        usage = answer["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 20

    def test_a_streamed_answer_is_the_same_one(self, run: Run) -> None:
        _, port = start_model_server(run)
        whole = json.loads(self.call(port, self.question())[1])
        body = self.question(stream=True, stream_options={"include_usage": True})
        status, text, headers = self.call(port, body)
        assert (status, headers["Content-Type"]) == (200, "text/event-stream")
        events = text.split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert len({chunk["id"] for chunk in chunks}) == 1
        *pieces, last = chunks
        assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
        content = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in pieces)
        assert content == whole["choices"][0]["message"]["content"]
        reasons = [chunk["choices"][0]["finish_reason"] for chunk in pieces]
        assert reasons == [None] * (len(pieces) - 1) + ["stop"]
        assert {chunk["usage"] for chunk in pieces} == {None}
        assert (last["choices"], last["usage"]) == ([], whole["usage"])

    def test_a_stream_has_no_usage_unless_asked(self, run: Run) -> None:
        _, port = start_model_server(run)
        assert "usage" not in self.call(port, self.question(stream=True))[1]

    def test_max_tokens_cuts(self, run: Run) -> None:
        _, port = start_model_server(run)
        (choice,) = json.loads(self.call(port, self.question(max_tokens=3))[1])["choices"]
        assert (len(choice["message"]["content"].split()), choice["finish_reason"]) == (3, "length")

    def test_health_and_models(self, run: Run) -> None:
        _, port = start_model_server(run)
        assert json.loads(self.call(port, None, "/health")[1]) == {"status": "ok"}
        models = json.loads(self.call(port, None, "/v1/models")[1])
        assert (models["object"], models["data"][0]["object"]) == ("list", "model")

    @pytest.mark.parametrize(
        "body",
        [
            "not json",
            "[]",
            "{}",
            '{"messages": []}',
            '{"messages": ["x"]}',
            '{"messages": [{}], "max_tokens": 0}',
        ],
    )
    def test_a_wrong_request_is_refused_in_the_usual_shape(self, run: Run, body: str) -> None:
        _, port = start_model_server(run)
        status, text, _ = self.call(port, body)
        error = json.loads(text)["error"]
        assert (status, error["type"]) == (400, "invalid_request_error")
        assert error["message"]

    def test_an_unknown_path(self, run: Run) -> None:
        _, port = start_model_server(run)
        assert self.call(port, None, "/nothing")[0] == self.call(port, {}, "/nothing")[0] == 404

    def test_busy_and_failing(self, run: Run) -> None:
        _, port = start_model_server(run, "--busy-rate", 1, "--retry-after", 1.5)
        status, text, headers = self.call(port, self.question())
        assert (status, headers["Retry-After"]) == (429, "1.5")
        assert json.loads(text)["error"]["type"] == "rate_limit_error"
        _, port = start_model_server(run, "--error-rate", 1)
        status, text, _ = self.call(port, self.question(stream=True))
        assert (status, json.loads(text)["error"]["type"]) == (500, "server_error")

    def test_chance_follows_from_the_seed(self, run: Run) -> None:
        def fates() -> list[int]:
            _, port = start_model_server(run, "--busy-rate", 0.3, "--error-rate", 0.3, "--seed", 11)
            return [self.call(port, self.question())[0] for _ in range(12)]

        first = fates()
        assert set(first) == {200, 429, 500}
        assert fates() == first

    def test_a_port_in_use(self, run: Run) -> None:
        _, port = start_model_server(run)
        second = run("model_server", "--port", port)
        assert second.wait() == 1
        assert f"port {port} is in use by another program" in second.output
        assert "Traceback" not in second.output

    def test_sigterm_lets_a_begun_answer_finish(self, run: Run) -> None:
        program, port = start_model_server(run, latency=1.0)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        connection.request("POST", "/v1/chat/completions", json.dumps(self.question(stream=True)))
        response = connection.getresponse()
        assert response.readline().startswith(b"data: ")
        program.process.send_signal(signal.SIGTERM)
        assert response.read().endswith(b"data: [DONE]\n\n")
        connection.close()
        assert program.wait() == 0
        assert program.lines[-1].endswith("ended")
