"""Taking over from PM2: what is not started here runs there again, whatever came between."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from pypm.cli import take_over
from pypm.config.foreign.drafting import FileDraft
from pypm.core.errors import RequestError
from pypm.core.spec import AppSpec


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What PM2 and the master are asked; the master refuses what it is to start."""
    words: list[str] = []

    def call(method: str, **params: Any) -> list[Any]:
        words.append(" ".join(["pypm", method, *params.get("targets", ())]))
        return []

    monkeypatch.setattr(take_over, "load", lambda *_, **__: [AppSpec("a", ("/bin/a",), "/")])
    monkeypatch.setattr(take_over, "master", lambda: nullcontext(SimpleNamespace(call_patiently=call)))
    monkeypatch.setattr(take_over, "_pm2", lambda *each: words.append(" ".join(each)) or "")
    return words


@pytest.mark.parametrize("error", [RequestError("not on this machine"), KeyboardInterrupt()])
def test_what_does_not_come_to_a_start_goes_back(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def refuse(*_: object) -> str:
        raise error

    monkeypatch.setattr(take_over, "_started", refuse)
    draft = FileDraft("the running PM2")
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            take_over.take_over("ecosystem.toml", draft)
    else:
        taken, fault = take_over.take_over("ecosystem.toml", draft)
        assert taken == []
        assert "not on this machine" in fault
    assert asked == ["pypm list", "stop a", "pypm list", "start a"]
