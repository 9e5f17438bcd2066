"""``ecosystem.config.js``: evaluated by node, which hands back what the module exports as JSON."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

from pypm.core.errors import ConfigError

__all__ = ["evaluate"]

TIMEOUT = 20.0
"""Seconds that a configuration may take."""

# The answer goes to a descriptor of its own, so that what the file prints cannot be taken for it. Once it is
# written node leaves, whatever timers or connections the file has opened.
_PROGRAM = """
const path = process.argv[1], answer = Number(process.argv[2]);
import(require("url").pathToFileURL(path)).then(async (module) => {
  const value = await (module.default === undefined ? module : module.default);
  if (typeof value === "function") throw new TypeError("the file exports a function; export an object");
  require("fs").writeFileSync(answer, JSON.stringify(value) ?? "null");
  process.exit(0);
}, (reason) => { throw reason instanceof Error ? reason : new Error(String(reason)); });
"""
_STACK = re.compile(r"^\s+at |^Node\.js v|^\s*$|^\s*\^+\s*$")
_THROWN = re.compile(r"^[\w$.]*(?:Error|Exception)\b")


def evaluate(path: str) -> Any:
    """What the module exports (a promise is awaited).

    Raises ConfigError where there is no node, and if the file throws, exports nothing that is JSON, or takes
    longer than TIMEOUT.
    """
    answer, messages = os.memfd_create("pypm-answer"), os.memfd_create("pypm-messages")
    try:
        status = _run(os.path.abspath(path), answer, messages)
        if status is None:
            raise ConfigError(f"{path}: node did not finish within {TIMEOUT:g} s")
        if status != 0:
            raise ConfigError(f"{path}: {_explain(path, _content(messages), status)}")
        content = _content(answer)
        if not content:
            raise ConfigError(f"{path}: ended node before it exported anything")
        return json.loads(content)
    finally:
        os.close(answer)
        os.close(messages)


def _run(path: str, answer: int, messages: int) -> int | None:
    import subprocess

    # A parent that is itself a child of node (PM2, for one) must not have its channel taken over.
    env = {key: value for key, value in os.environ.items() if key != "NODE_CHANNEL_FD"}
    argv = ["node", "--input-type=commonjs", "-e", _PROGRAM, path, str(answer)]
    try:
        child = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            pass_fds=(answer,),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: needs node to be evaluated, and there is no node in PATH",
            hint="install Node.js, or write the file as TOML, JSON or YAML",
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: node cannot be run: {error.strerror}") from error
    try:
        return child.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if child.poll() is None:  # too slow, or the person has lost patience
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _content(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(os.dup(descriptor), encoding="utf-8", errors="replace") as file:
        return file.read()


def _explain(path: str, messages: str, status: int) -> str:
    """One line out of what node prints about an uncaught error: the place in the file, and the error."""
    lines = [line for line in messages.splitlines() if not _STACK.match(line)]
    thrown = next((line for line in lines if _THROWN.match(line)), lines[-1] if lines else "")
    place = re.search(rf"{re.escape(os.path.basename(path))}:([0-9]+)(?::([0-9]+))?", messages)
    where = f"line {place[1]}" + (f", column {place[2]}" if place[2] else "") if place else ""
    fault = thrown.strip() or f"node ended with status {status}"
    return ": ".join(part for part in (where, fault) if part)
