"""A Procfile (Heroku, foreman, honcho): a line a process, ``name: command``."""

from __future__ import annotations

import os
import re

from pypm.config.draft import AppDraft
from pypm.config.foreign.drafting import NO_EQUAL, FileDraft, put_command

__all__ = ["read_procfile"]

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)")
_PORT = re.compile(r"\$PORT\b|\$\{PORT\b")
FIRST_PORT = 5000
STEP = 100
"""From one process type to the next, as foreman numbers them."""


def read_procfile(text: str, path: str) -> FileDraft:
    """The processes of the Procfile at ``path``."""
    draft = FileDraft(os.path.basename(path))
    has_env = os.path.isfile(os.path.join(os.path.dirname(os.path.abspath(path)), ".env"))
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        match = _LINE.fullmatch(line)
        if match:
            draft.apps.append(_app(match[1], match[2].strip(), len(draft.apps), has_env=has_env))
        elif line and not line.startswith("#"):
            draft.notes.append(f"line {number}: {NO_EQUAL}: {line}")
    return draft


def _app(name: str, command: str, index: int, *, has_env: bool) -> AppDraft:
    app = AppDraft({"name": name})
    put_command(app, command)
    if has_env:
        app.put("env_file", ".env", "read anew at each start")
    if _PORT.search(command):
        app.put("env.PORT", str(FIRST_PORT + index * STEP), "as foreman gives it")
    if name == "release":
        app.put("autorestart", False, "a release phase runs once")
        app.notes.append('others can wait for it: depends_on = { release = "completed" }')
    return app
