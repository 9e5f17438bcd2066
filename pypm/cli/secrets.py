"""Environment variables whose values are not for every eye that sees a terminal."""

from __future__ import annotations

import re

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


def masked(environment: dict[str, str]) -> dict[str, str]:
    """Give ``environment`` with likely secrets, and passwords within URLs, replaced by ``****``."""
    return {
        name: MASK if value and looks_secret(name) else _URL_PASSWORD.sub(rf"\1:{MASK}", value)
        for name, value in environment.items()
    }
