"""The agent protocol spoken by another language: the client of docs/agent-protocol.md, with npm's zeromq.

The package is installed once into a folder of this machine's temporary folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from real_pypm import RealPypm

from pypm.testing import wait_until

PACKAGE = "zeromq@6.8.0"
INSTALLING = 100.0
"""Seconds; the timeout of a test is longer."""
PROTOCOL = Path(__file__).parents[2] / "docs" / "agent-protocol.md"

SCENARIO = """
import { existsSync } from "node:fs";

const flag = async (name) => {
  while (!existsSync(name)) await new Promise((resolve) => setTimeout(resolve, 20));
};

say("status", { text: "loading" });
await flag("go");
say("ready");
const beat = setInterval(() => say("heartbeat", { proves: "loop", ready: true, status: "größe ✓" }), 50);
say("progress", { iteration: 3, message: "question 3 of 12" });
say("metric", { name: "tokens", value: 1234 });
say("task", { name: "summary", state: "begun", id: "1" });
await waiting(120, "model call", () => flag("answered"));
say("task", { name: "summary", state: "done", id: "1" });

process.on("SIGTERM", async () => {
  clearInterval(beat);
  await say("stopping");
  socket?.close();
});
"""


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """A folder ``node_modules`` with zeromq in it."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    cache = Path(tempfile.gettempdir()) / f"pypm-tests-{PACKAGE}-{os.getuid()}"
    if not cache.exists():
        with tempfile.TemporaryDirectory(prefix="pypm-npm-") as folder:
            options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder)
            try:
                done = subprocess.run(
                    ["npm", "install", *options, PACKAGE],
                    capture_output=True,
                    text=True,
                    timeout=INSTALLING,
                    check=False,
                    stdin=subprocess.DEVNULL,
                )
            except subprocess.TimeoutExpired:
                pytest.skip(f"npm could not get {PACKAGE} within {INSTALLING:g} s")
            if done.returncode:
                pytest.skip(f"npm cannot install {PACKAGE}: {done.stderr.strip().splitlines()[-1]}")
            if not cache.exists():  # another run of the tests may have been quicker
                shutil.move(folder, cache)
                Path(folder).mkdir()
    return cache / "node_modules"


def client() -> str:
    """The client in the protocol's page."""
    found = re.search(r"```js\n(import .*?)```", PROTOCOL.read_text(encoding="utf-8"), re.DOTALL)
    assert found, "the page has a client in JavaScript"
    return found[1]


def test_an_agent_in_javascript(pypm: RealPypm, node_modules: Path) -> None:
    (pypm.folder / "node_modules").symlink_to(node_modules)
    script = pypm.write("agent.mjs", client() + SCENARIO)
    pypm.begin({"name": "js", "script": str(script), "wait_ready": True})
    row = pypm.wait_row("js", lambda row: row["status_text"] == "loading", 60.0)
    assert (row["status"], row["ready"], row["heartbeat_age_seconds"]) == ("starting", False, None)

    pypm.write("go", "")
    row = pypm.wait_row("js", lambda row: row["waiting_for"] == "model call")
    assert (row["status"], row["ready"], row["iteration"]) == ("online", True, 3)
    assert row["progress_text"] == "question 3 of 12"
    row = pypm.wait_row("js", lambda row: row["status_text"] == "größe ✓")
    assert row["heartbeat_age_seconds"] < 20

    pypm.write("answered", "")
    pypm.wait_row("js", lambda row: row["waiting_seconds"] is None)
    wait_until(lambda: pypm.json("describe", "js")[0]["tasks"][0]["done"] == 1, 20.0)
    [detail] = pypm.json("describe", "js")
    assert detail["metrics"]["tokens"]["value"] == 1234
    assert "tokens" in pypm.ok("describe", "js")

    pypm.ok("stop", "js")
    assert pypm.row("js")["last_exit"]["code"] == 0
    assert "frames dropped" not in pypm.master_log()
