"""Environment variables whose values are not for every eye that sees a terminal."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["MASK", "looks_secret", "masked"]

MASK = "****"

_SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|_PWD$|_PASS$|CREDENTIAL|AUTH(?!OR(?!I))|COOKIE|PRIVATE|SIGNATURE|_PAT$|DSN$",
    re.IGNORECASE,
)

_URL_PASSWORD = re.compile(r"(?<=://)([^/?#\s:@]*):[^/?#\s@]+(?=@)")


def looks_secret(name: str) -> bool:
    """Tell whether a variable of this name is likely to hold a secret."""
    return _SECRET_NAME.search(name) is not None


def masked(environment: dict[str, str], secrets: Collection[str] = ()) -> dict[str, str]:
    """Give ``environment`` with secrets, likely ones, and passwords within URLs, replaced by ``****``.

    ``secrets`` are the names of those that are known to be some.
    """
    return {
        name: MASK
        if value and (name in secrets or looks_secret(name))
        else _URL_PASSWORD.sub(rf"\1:{MASK}", value)
        for name, value in environment.items()
    }
