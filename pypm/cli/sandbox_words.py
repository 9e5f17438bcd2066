"""The sandbox of an app in words, which are those of its declaration."""

from __future__ import annotations

from msgspec.structs import fields

from pypm.core.spec import AppSpec

__all__ = ["sandbox_in_words"]


def sandbox_in_words(spec: AppSpec) -> str:
    """What its processes can see and change; empty if that is all."""
    if spec.sandbox is None:
        return ""
    words = []
    for field in fields(spec.sandbox):
        value = getattr(spec.sandbox, field.name)
        if value is True or value == "yes":
            words.append(field.name)
        elif value and value != "no":
            words.append(f"{field.name} {value if isinstance(value, str) else ', '.join(value)}")
    return "; ".join(words)
