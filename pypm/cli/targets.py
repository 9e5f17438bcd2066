"""Targets as a person writes them: names, ids, patterns, and ecosystem files. Quick to import."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["expanded", "is_file"]

_SUFFIXES = (".toml", ".json", ".yaml", ".yml", ".js", ".cjs", ".mjs")


def is_file(word: str) -> bool:
    """Tell whether ``word`` looks like a path: a slash that makes no ``/regex/``, or a suffix."""
    if len(word) > 2 and word.startswith("/") and word.endswith("/"):
        return False
    return "/" in word or word.endswith(_SUFFIXES)


def expanded(words: Iterable[str]) -> list[str]:
    """Give ``words`` with each ecosystem file, and ``-`` for one on stdin, replaced by the names of its apps.

    Raises :class:`ConfigError` for a file that cannot be read.
    """
    from pypm.config.files import is_config_file

    targets: list[str] = []
    for word in words:
        if word == "-" or (is_file(word) and is_config_file(word)):
            from pypm.config import load

            targets += [spec.name for spec in load(word, known=None)]
        else:
            targets.append(word)
    return targets
