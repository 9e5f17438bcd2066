"""All that is wrong with one file or command line, collected, so that it is told at once."""

from __future__ import annotations

from collections.abc import Iterable

from pypm.core.errors import ConfigError

__all__ = ["Faults", "FileFaultsError", "KeyFaultError", "Place", "nearest"]


class KeyFaultError(ConfigError):
    """A fault that is found where the place is not at hand; ``key`` says which key has it."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


class FileFaultsError(ConfigError):
    """All that is wrong with one source: ``message`` has a line a fault, ``faults`` (place, text) of each."""

    def __init__(self, lines: list[str], faults: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(lines))
        self.faults = faults


class Faults:
    """The faults of one source: a file's path as the person wrote it, or nothing for a command line."""

    def __init__(self, source: str | None) -> None:
        self.source = source
        self.lines: list[str] = []
        self.found: list[tuple[str, str]] = []
        """Place and text of each line."""

    def add(self, place: str, text: str) -> None:
        """Note that something at ``place`` (may be empty) is wrong."""
        place, text = _printable(place), _printable(text)
        self.found.append((place, text))
        self.lines.append(": ".join(part for part in (_printable(self.source or ""), place, text) if part))

    def check(self) -> None:
        """Raise one ConfigError, a line a fault, if there is any."""
        if self.lines:
            raise FileFaultsError(self.lines, self.found)


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


class Place:
    """Where in the source an app is declared: ``apps[2]``, or the options of a command line.

    ``name`` is the app's, once it is known: it goes along with the place in each message.
    """

    def __init__(self, faults: Faults, path: str, *, options: bool = False) -> None:
        self.faults = faults
        self.path = path
        self.options = options
        self.name = ""
        self.written: dict[str, str] = {}
        """How the person spelled each key: an alias, or camelCase; empty for what has no key."""
        self.failed: set[str] = set()
        """The keys (canonical names) whose values are wrong, so that nothing can be concluded from them."""
        self.count = 0

    def fault(self, key: str, text: str) -> None:
        """Note a fault of the key (its canonical name; empty: of the app as a whole)."""
        self.count += 1
        where = self.written.get(key, key)
        if self.options:
            place = f"--{where.replace('_', '-')}" if where else ""
        else:
            place = f"{self.path}.{where}".strip(".")
            place += f" ({self.name[:40]})" if self.name else ""
        self.faults.add(place, text)


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean "…"?`` with the known word that comes nearest, or nothing."""
    from difflib import get_close_matches

    def plain(text: str) -> str:
        return text.replace("_", "").replace("-", "").lower()

    names = {plain(name): name for name in known}
    close = get_close_matches(plain(word), names, n=1, cutoff=0.6)
    return f'; did you mean "{names[close[0]]}"?' if close else ""
