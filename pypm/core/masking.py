"""What looks like a secret, and is not for every eye that sees a terminal, a report or the story."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

__all__ = ["MASK", "looks_secret", "masked", "masked_text", "masked_words"]

MASK = "****"

_SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|_PWD$|_PASS$|CREDENTIAL|AUTH(?!OR(?!I))|COOKIE|PRIVATE|SIGNATURE|_PAT$|DSN$",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(?<=://)([^/?#\s:@]*):[^/?#\s@]+(?=@)")
_WELL_KNOWN = re.compile(
    r"\b(?:sk-[\w-]{16,}|gh[a-z]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,}|AKIA[0-9A-Z]{16}"
    r"|AIza[\w-]{30,}|hf_\w{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
    r"|(?<=\bBearer )[^\s\"']+",
    re.IGNORECASE,
)
"""The forms that providers give their keys, to be found by the programs that look for lost ones."""
_ASSIGNED = re.compile(r"(-{0,2}[\w.-]+)(=|:\s*)(?=.)", re.DOTALL)


def looks_secret(name: str) -> bool:
    """Tell whether a variable of this name is likely to hold a secret."""
    return _SECRET_NAME.search(name) is not None


def masked(environment: Mapping[str, str], secrets: Collection[str] = ()) -> dict[str, str]:
    """Give ``environment`` with secrets, likely ones, and passwords within URLs, replaced by ``****``.

    ``secrets`` are the names of those that are known to be some.
    """
    return {
        name: MASK if value and (name in secrets or looks_secret(name)) else masked_text(value)
        for name, value in environment.items()
    }


def masked_text(text: str) -> str:
    """A text without passwords in URLs, and without what has the form of a well-known kind of key."""
    return _WELL_KNOWN.sub(MASK, _URL_PASSWORD.sub(rf"\1:{MASK}", text))


def masked_words(words: Iterable[str]) -> list[str]:
    """A command's words without the values of options, variables and headers that look secret."""
    shown: list[str] = []
    value_follows = False
    for word in words:
        if value_follows and not word.startswith("-"):
            shown.append(MASK)
            value_follows = False
            continue
        given = _ASSIGNED.match(word)
        if given is not None and looks_secret(_variable(given[1])):
            shown.append(given[0] + MASK)
        else:
            shown.append(masked_text(word))
        value_follows = given is None and word.startswith("-") and looks_secret(_variable(word))
    return shown


def _variable(option: str) -> str:
    """The name of an option as that of a variable."""
    return option.lstrip("-").replace("-", "_")
