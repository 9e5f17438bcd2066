"""What a probe is told, and the errors that say nothing about who was asked."""

from __future__ import annotations

import errno
from typing import Literal, NamedTuple

__all__ = ["Answer", "failure", "success", "unknown", "without_means"]

NO_MEANS = frozenset(
    (
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS),  # nothing left to ask with
        errno.EADDRNOTAVAIL,  # no local port
    )
)
LONGEST = 200


class Answer(NamedTuple):
    """The outcome of one question; ``output`` is for people."""

    result: Literal["success", "failure", "unknown"]
    output: str


def success(output: str) -> Answer:
    """A yes."""
    return Answer("success", plain(output))


def failure(output: str) -> Answer:
    """A no."""
    return Answer("failure", plain(output))


def unknown(output: str) -> Answer:
    """The question could not be asked."""
    return Answer("unknown", plain(output))


def without_means(error: OSError) -> bool:
    """Whether it was us who lacked something."""
    return error.errno in NO_MEANS


def plain(text: str) -> str:
    """One bounded line without signs that do not print."""
    line = " ".join(text.split())
    return "".join(sign if sign.isprintable() else "?" for sign in line[: 2 * LONGEST])[:LONGEST]
