"""Answers without what looks like a secret, for terminals and for ``--json``."""

from __future__ import annotations

from typing import Any

from pypm.core.masking import MASK, looks_secret, masked, masked_text, masked_words

__all__ = ["MASK", "looks_secret", "masked", "masked_answer"]

_NAMED_VALUES = ("env", "headers")
"""Tables whose keys say what their values are."""
_COMMANDS = ("command", "exec")


def masked_answer(answer: Any, key: str = "") -> Any:
    """An answer of the master, whatever is in it, with what looks like a secret replaced by ``****``."""
    if isinstance(answer, str):
        return _masked_line(answer) if key in ("script", "secrets") else masked_text(answer)
    if isinstance(answer, dict):
        if key in _NAMED_VALUES:
            return masked(answer)
        return {
            name: masked_answer(value, key if key == "secrets" else name) for name, value in answer.items()
        }
    if isinstance(answer, list):
        if key in _COMMANDS and all(isinstance(word, str) for word in answer):
            return masked_words(answer)
        return [masked_answer(each, key) for each in answer]
    return answer


def _masked_line(command: str) -> str:
    """A command that is one text, as it was written."""
    return " ".join(masked_words(command.split(" ")))
