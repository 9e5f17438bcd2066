"""The files into which an instance's output goes, from its app's spec alone."""

from __future__ import annotations

import os
import re

import msgspec

from pypm.core.spec import AppSpec

__all__ = ["LogFiles", "file_stem", "log_files"]

NOTHING = frozenset({"/dev/null", "NULL", "disabled"})
"""What a person writes to keep nothing of a stream."""
LONGEST_STEM = 180
"""Bytes of an app's name in a file name: with index, suffix and rotation number it stays below 255."""


class LogFiles(msgspec.Struct, frozen=True):
    """Absolute paths of an instance's logs; ``None``: nothing is kept of that stream."""

    out: str | None
    error: str | None
    combined: str | None


def log_files(logs_folder: str, spec: AppSpec, index: int) -> LogFiles:
    """The log files of instance ``index`` of an app; ``logs_folder`` is where the default ones are.

    Instances of an app with several have ``-<index>`` in the name of their files, unless their logs are
    merged. Apps of different names have different default files; only an app ``x-0`` shares them with
    instance 0 of an app ``x`` that has several, which is the same as merged logs.
    """
    logs = spec.logs
    if logs.disabled:
        return LogFiles(None, None, None)
    infix = f"-{index}" if spec.instances > 1 and not logs.merge else ""
    stem = os.path.join(logs_folder, file_stem(spec.name) + infix)
    return LogFiles(
        out=f"{stem}-out.log" if logs.out_file is None else custom_file(logs.out_file, infix),
        error=f"{stem}-error.log" if logs.error_file is None else custom_file(logs.error_file, infix),
        combined=None if logs.combined_file is None else custom_file(logs.combined_file, infix),
    )


def custom_file(path: str, infix: str) -> str | None:
    """A declared path with the instance's ``infix`` before its suffix; ``None`` if it keeps nothing."""
    if path in NOTHING:
        return None
    root, suffix = os.path.splitext(path)
    return f"{root}{infix}{suffix}"


def file_stem(name: str) -> str:
    """An app's name as a part of a file name: percent-encoded, so that two names never become one.

    A name that is too long for a file system is cut, and told from others by a digest.
    """
    stem = re.sub(rb"[^A-Za-z0-9._-]", lambda match: b"%%%02X" % match[0][0], name.encode()).decode()
    if len(stem) <= LONGEST_STEM:
        return stem
    import hashlib  # takes longer to load than all else here, and such names are rare

    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{stem[: LONGEST_STEM - len(digest) - 1]}~{digest}"
