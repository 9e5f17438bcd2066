"""supervisord's expressions, ``%(program_name)s`` and the like, in commands, variables and other values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pypm.config.program import shell_sign

__all__ = ["Command", "Expressions"]

_EXPRESSION = re.compile(r"%\((\w+)\)(0?\d*)([sd])|%%")
_NUMBER_OF_A_FILE = re.compile(r"[-_.]?%\(process_num\)0?\d*[sd]")
_MARK = re.compile("\0([^\0]*)\0")


class Command(NamedTuple):
    """What is to run: text, or words where only a list is exact; and whether by a shell."""

    words: str | list[str]
    by_shell: bool


class Expressions:
    """What they mean for one program: what is known now, and what only a shell knows in each instance."""

    def __init__(self, known: Mapping[str, str], copies: int, first: int) -> None:
        """``first``: the number of the first of the ``copies``."""
        self._known = known
        self._copies = copies
        self._first = first

    def plain(self, text: str) -> str:
        """``text`` for a place in which nothing is expanded; what is not known stays as it is written."""
        return self._replaced(text, lambda match: match[0])

    def path(self, text: str) -> str:
        """A log file's name: instances have a file each, so that their number is none of it."""
        return self.plain(_NUMBER_OF_A_FILE.sub("", text) if self._copies > 1 else text)

    def is_plain(self, text: str) -> bool:
        """Whether all of it is known now."""
        return "\0" not in self._marked(text)

    def command(self, text: str, variables: Mapping[str, str]) -> Command:
        """A command line with ``variables`` that a shell has to expand.

        supervisord splits a command as a shell does and expands nothing else in it: neither does this, so a
        shell comes into it only where an expression needs one.
        """
        marked = self._marked(text)
        if "\0" not in marked and not variables:
            return Command(_split(marked) if shell_sign(marked) else marked, False)
        words = ["exec", *(["env"] if variables else [])]
        words += [
            f"{name}={_shell_word(self._marked(value), whole=True)}" for name, value in variables.items()
        ]
        words += [_shell_word(word) for word in _split(marked)]
        return Command(" ".join(words), True)

    def _marked(self, text: str) -> str:
        """``text`` with what a shell has to find out between two NULs, in hex, which needs no quotes."""

        def marked(match: re.Match[str]) -> str:
            found = self._in_a_shell(match)
            return f"\0{found.encode().hex()}\0" if found else match[0]

        return self._replaced(text, marked)

    def _replaced(self, text: str, otherwise: Callable[[re.Match[str]], str]) -> str:
        def replaced(match: re.Match[str]) -> str:
            name, width, kind = match.groups()
            if name is None:
                return "%"
            if name == "process_num" and self._copies == 1:
                return f"%{width}{kind}" % self._first
            return self._known[name] if name in self._known else otherwise(match)

        return _EXPRESSION.sub(replaced, text)

    def _in_a_shell(self, match: re.Match[str]) -> str:
        name, width = match[1], match[2]
        if name == "process_num":
            number = f"$((PYPM_INSTANCE + {self._first}))" if self._first else "$PYPM_INSTANCE"
            return f"$(printf %{width}d {number})" if width else number
        if name == "host_node_name":
            return "$(hostname)"
        return f"${{{name[4:]}}}" if name.startswith("ENV_") else ""


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quotation that does not end: `validate` says so
        return text.split()


def _shell_word(marked: str, whole: bool = False) -> str:
    """A word with marks, quoted where it has to be; ``whole``: what a shell finds may have blanks."""
    parts = _MARK.split(marked)  # what is written and what a shell finds out, by turns
    if len(parts) == 1:
        return shlex.quote(marked)
    parts[1::2] = [bytes.fromhex(each).decode() for each in parts[1::2]]
    if whole or any(each and shlex.quote(each) != each for each in parts[::2]):
        parts[::2] = [re.sub(r'([\\"$`])', r"\\\1", each) for each in parts[::2]]
        return f'"{"".join(parts)}"'
    return "".join(parts)
