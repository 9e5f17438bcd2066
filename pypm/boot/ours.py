"""Files that pypm wrote are known by the home that is named in them; all others are left alone."""

from __future__ import annotations

from collections.abc import Callable

from pypm.core.errors import RequestError

__all__ = ["refuse_what_is_not_ours"]


def refuse_what_is_not_ours(path: str, home: str, home_in: Callable[[str], str | None]) -> None:
    """Raise RequestError if there is a file at ``path`` that was not written for ``home``.

    ``home_in`` gives the home that a file's text names, or None if it is none of ours.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            owner = home_in(file.read())
    except FileNotFoundError:
        return
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from error
    if owner is None:
        raise RequestError(f"{path} was not written by pypm", hint="choose another --name")
    if owner != home:
        raise RequestError(
            f"{path} starts another home, {owner}", hint="choose another --name, or set PYPM_HOME to it"
        )
