"""The Python interface: what ``pypm`` does on the command line, for programs. ``from pypm import Client``.

    with Client() as pypm:
        pypm.apply("ecosystem.toml")
        pypm.wait("agent", until="ready", timeout=60)
        for row in pypm.list():
            print(row["name"], row["status"], row["reason"])

Answers are the dictionaries of docs/protocol.md (types in ``pypm.protocol.shapes``); errors are the
exceptions of ``pypm.core.errors``. Targets are names, ids, namespaces and patterns, as on the command line.
"""

from __future__ import annotations

import time

from pypm.client.connection import Connection, ConnectionLostError
from pypm.client.home import home_folder, socket_path
from pypm.client.launch import connect, connect_or_launch
from pypm.client.waiting import GOALS, awaited_ids, is_there, judge
from pypm.core.errors import NoMasterError, RequestError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from pypm.client.files import LogLine
    from pypm.client.waiting import Goal
    from pypm.protocol.shapes import ActionResult, Change, Detail, Environment, Ping, Row, Snapshot

__all__ = ["Client"]

EVERYTHING = ["all"]


class Client(Connection):
    """A connection to the master of ``home`` (a folder; by default ``PYPM_HOME``, else ``~/.pypm``).

    With ``launch`` a master is started where there is none; otherwise that raises ``NoMasterError``. Each
    answer is waited for ``timeout`` seconds at most, but for orders that may rightly take longer: they wait
    as long as the master lives. A master that is killed or replaced meanwhile is waited for, and what was
    asked is done once. Not for use by several threads at once: give each its own.

    ``call`` asks for any method of docs/protocol.md by its name.
    """

    def __init__(self, home: str | None = None, *, launch: bool = False, timeout: float = 30.0) -> None:
        self.home = home_folder() if home is None else home
        path = socket_path(self.home)
        try:
            super().__init__(path, timeout)
        except NoMasterError:
            # One that begins, or makes a removed socket anew, is waited for.
            waited_for = connect_or_launch(self.home, timeout)[0] if launch else connect(self.home, timeout)
            waited_for.close()
            super().__init__(path, timeout)

    def __enter__(self) -> Client:
        return self

    # --- what there is ---

    def ping(self) -> Ping:
        """Who answers."""
        answer: Ping = self.call("ping")
        return answer

    def list(self, *targets: str) -> builtins.list[Row]:
        """The instances (all, if there are no targets). Raises NotFoundError where a target names nothing."""
        answer: builtins.list[Row] = self.call("list", targets=[*targets] or None)
        return answer

    def describe(self, *targets: str) -> builtins.list[Detail]:
        """All about some instances; about all without ``targets``."""
        answer: builtins.list[Detail] = self.call("describe", targets=[*targets] or EVERYTHING)
        return answer

    def env(self, *targets: str) -> builtins.list[Environment]:
        """What the next runs would have as environment, secrets and all."""
        answer: builtins.list[Environment] = self.call("env", targets=[*targets] or EVERYTHING)
        return answer

    def doctor(self) -> dict[str, Any]:
        """The master's own condition."""
        answer: dict[str, Any] = self.call("doctor")
        return answer

    # --- orders ---

    def apply(self, file: str, *, only: Iterable[str] = (), env_name: str | None = None) -> Change:
        """Make what runs what an ecosystem file declares, as ``pypm start FILE`` does; nothing is removed.

        Only what differs is touched. Raises ConfigError with all that is wrong with the file; then nothing
        has changed. Agents inherit this process's environment.
        """
        import msgspec

        from pypm.config import load

        known = {row["app"] for row in self.list()}
        specs = load(file, env_name=env_name, only=tuple(only) or None, known=known)
        return self._order("apply", apps=msgspec.to_builtins(specs), origin=self._origin())

    def run(self, command: str | Iterable[str], /, **keys: Any) -> Change:
        """Declare one app by its command and keys of an ecosystem file, and start it.

        As in ``run(["python", "agent.py"], name="agent", max_memory_restart="1G")``; one text, as in
        ``run("python agent.py")``, is split into words as on the command line. Relative paths begin at the
        present folder.
        """
        import os

        import msgspec

        from pypm.config import from_command

        words = (command,) if isinstance(command, str) else tuple(command)
        spec = from_command(words, keys, cwd=os.getcwd())
        return self._order("apply", apps=[msgspec.to_builtins(spec)], origin=self._origin())

    def start(self, *targets: str) -> Change:
        """Start what is known and not up; what is up stays as it is."""
        return self._order("start", targets=_some(targets))

    def stop(self, *targets: str, wait: bool = True) -> Change:
        """Stop instances, and wait until none of them runs any more."""
        change = self._order("stop", targets=_some(targets))
        if wait and (ids := [each["id"] for each in change["instances"]]):
            self.call_patiently("wait", ids=ids, **{"for": "stopped"})
        return change

    def restart(self, *targets: str, parallel: int | None = None, update_env: bool = False) -> Change:
        """Stop and start instances, ``parallel`` at a time; ``update_env``: with our environment."""
        origin = self._origin() if update_env else None
        return self._order("restart", targets=_some(targets), parallel=parallel, origin=origin)

    def reload(self, *targets: str, max_unavailable: int | None = None) -> Change:
        """Replace runs one after the other, each ready before the next; ``failures`` says what was not."""
        return self._order("reload", targets=_some(targets), max_unavailable=max_unavailable)

    def scale(self, app: str, instances: int) -> Change:
        """Set how many instances an app has; the newest go first."""
        return self._order("scale", app=app, instances=instances)

    def delete(self, *targets: str) -> Change:
        """Stop instances and forget them."""
        return self._order("delete", targets=_some(targets))

    def run_now(self, *targets: str) -> Change:
        """Run jobs at once, whatever their schedules."""
        return self._order("run_now", targets=_some(targets))

    def reset(self, *targets: str) -> Change:
        """Set restart counters to zero."""
        return self._order("reset", targets=_some(targets))

    def signal(self, signal: str | int, *targets: str, group: bool = False) -> Change:
        """Send a signal, as ``"USR1"`` or 10, to the main processes, or with ``group`` to their groups."""
        return self._order("signal", targets=_some(targets), signal=signal, group=group)

    def trigger(
        self, action: str, *targets: str, param: str | None = None, timeout: float = 10.0
    ) -> builtins.list[ActionResult]:
        """Let agents carry out an action that they have registered, within ``timeout`` seconds each.

        Gives what became of it in each instance. Raises RequestError where none of them has that action, and
        where the master was lost meanwhile: it is not asked again, so that nothing is done twice.
        """
        params = {"targets": _some(targets), "action": action, "param": param, "timeout": timeout}
        try:
            answer: builtins.list[ActionResult] = self.call_patiently("trigger", **params)
        except ConnectionLostError:
            lost = f"the master was lost meanwhile: nobody knows who has carried out {action!r}"
            raise RequestError(lost, hint="it is not asked again; `pypm logs` may tell") from None
        return answer

    def flush(self, *targets: str, rotated: bool = False) -> dict[str, builtins.list[str]]:
        """Empty log files, and with ``rotated`` delete the rotated ones; gives their paths."""
        params = {"targets": _some(targets), "rotated": rotated or None}
        answer: dict[str, builtins.list[str]] = self.call("flush", **params)
        return answer

    def save(self, name: str | None = None, *, force: bool = False) -> dict[str, Any]:
        """Keep all apps as they are now under a name, by default ``dump``."""
        answer: dict[str, Any] = self.call("snapshot_save", name=name, force=force)
        return answer

    def snapshots(self) -> builtins.list[Snapshot]:
        """What has been kept."""
        answer: builtins.list[Snapshot] = self.call("snapshot_list")
        return answer

    def resurrect(self, name: str | None = None) -> Change:
        """Bring back the apps that were kept under a name."""
        return self._order("resurrect", name=name)

    def kill(self) -> None:
        """Stop every agent, then the master. The connection is of no use after that."""
        self.call_patiently("kill")

    # --- waiting ---

    def wait(
        self,
        *targets: str,
        until: Goal = "online",
        timeout: float | None = None,
        on_change: Callable[[builtins.list[Row]], None] | None = None,
    ) -> builtins.list[Row]:
        """Wait until all of these instances are ``until``; gives them as they are then.

        ``online``, ``ready`` (it has said so, or need not), ``healthy`` (its health checks say so),
        ``exited`` (no run of it exists any more). ``on_change`` is told whenever something is different.

        Raises NotFoundError for a target that names nothing (an instance that is deleted meanwhile counts as
        exited), TimeoutError after ``timeout`` seconds, and RequestError when one of them has failed for
        good, or was stopped, so that it would be waited for in vain.
        """
        if until not in GOALS:
            raise ValueError(f"until is one of {', '.join(GOALS)}, not {until!r}")
        ids = awaited_ids(self.call("list", targets=_some(targets)), until)
        deadline = None if timeout is None else time.monotonic() + timeout
        revision = 0
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            # Whether that is what is waited for is judged here.
            params = {"ids": ids, "for": "changed", "timeout": left, "revision": revision}
            answer = self.call_patiently("wait", **params)
            rows: builtins.list[Row] = answer["rows"]
            revision = answer["revision"]
            if on_change is not None:
                on_change(rows)
            if judge(rows, ids, until):
                return rows
            if answer["timed_out"]:
                late = [row["name"] for row in rows if not is_there(row, until)]
                raise TimeoutError(f"not {until} after {round(timeout or 0.0, 2):g} s: {', '.join(late)}")

    # --- what is in the files of the home; without a connection too ---

    def events(
        self, *targets: str, since: float | None = None, until: float | None = None, follow: bool = False
    ) -> Iterator[dict[str, Any]]:
        """The story of this home (docs/events.md), oldest first; times are Unix times in seconds.

        With ``follow`` it goes on with what comes, without an end unless ``until`` is given.
        """
        from pypm.client.files import read_events

        return read_events(self.home, targets, since=since, until=until, follow=follow)

    def logs(
        self,
        *targets: str,
        lines: int | None = 15,
        since: float | None = None,
        until: float | None = None,
        follow: bool = False,
    ) -> Iterator[LogLine]:
        """Lines of logs, merged by time: the last ``lines`` of each stream (``None``: all that there are).

        With ``follow`` it goes on with what comes, also of instances that are new, without an end unless
        ``until`` is given. Times are Unix times in seconds.
        """
        from pypm.client.files import read_logs

        return read_logs(self.home, targets, lines=lines, since=since, until=until, follow=follow)

    def _order(self, method: str, **params: Any) -> Change:
        change: Change = self.call_patiently(method, **params)
        return change

    def _origin(self) -> dict[str, Any]:
        from pypm.client.shell import inherited

        return inherited()[0]


def _some(targets: Iterable[str]) -> list[str]:
    """Targets as a list. Raises UsageError where there are none: an order to all has to say ``all``."""
    named = [*targets]
    if not named:
        raise UsageError("there is no target", hint='"all" means all instances')
    return named
