"""The handlers and the protocol know of the same methods."""

from __future__ import annotations

from pathlib import Path

import pytest

from pypm.master import handlers
from pypm.master.handlers import HANDLERS
from pypm.protocol.names import KEYED, METHODS


def test_every_method_has_a_file_and_every_file_is_a_method() -> None:
    files = {path.stem for path in Path(handlers.__path__[0]).glob("[!_]*.py")}
    assert files == set(METHODS) == HANDLERS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_a_handler_either_answers_or_gives_a_receipt(name: str) -> None:
    handler = HANDLERS[name]
    assert hasattr(handler, "Params")
    assert hasattr(handler, "handle") != hasattr(handler, "order")
    assert hasattr(handler, "order") or not hasattr(handler, "answer")


def test_clients_give_a_key_where_a_handler_gives_a_receipt() -> None:
    assert {name for name, handler in HANDLERS.items() if hasattr(handler, "order")} == KEYED
