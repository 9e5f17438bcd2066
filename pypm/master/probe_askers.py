"""What makes the questions of a probe: over the network, to a command, about a file, in a log."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping

from pypm.core.instance import Instance
from pypm.core.policy import describe_duration, describe_exit, signal_name
from pypm.core.probe_spec import ProbeSpec
from pypm.core.secret_sources import secret_commands
from pypm.core.spec import AppSpec
from pypm.core.state import App
from pypm.master.probe_logs import LogAsker
from pypm.master.probes import Asker, Target
from pypm.system.attributes import attributes_of
from pypm.system.beside import Beside
from pypm.system.clock import wall_time
from pypm.system.environment import build_environment
from pypm.system.probe_answer import Answer, failure, success, unknown, without_means
from pypm.system.probe_process import PROBE_VARIABLE, Command, Family, end_left_probes, run_command
from pypm.system.secret_values import printed_for
from pypm.system.spawn import SpawnError

__all__ = ["Askers", "Surroundings", "expanded"]

log = logging.getLogger(__name__)

VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
NOT_FOR_PROBES = (
    *("PYPM_RUN_ID", "PYPM_AGENT_TOKEN", "PYPM_AGENT_ENDPOINT"),
    *("NOTIFY_SOCKET", "WATCHDOG_USEC"),
)


class Surroundings:
    """Where the runs of instances live; ``variables`` gives what every run of an instance is told."""

    def __init__(
        self, apps: Mapping[str, App], variables: Callable[[Instance], dict[str, str]], open_files: int | None
    ) -> None:
        self._apps = apps
        self._variables = variables
        self.open_files = open_files
        """The soft limit of open files, for the processes of probes too."""

    def environment(self, instance: Instance) -> dict[str, str]:
        """The variables of its runs, but for what lets a process speak for one, or makes it part of one.

        Raises SpawnError if one of its files cannot be read.
        """
        origin = self._apps[instance.app].origin
        printed = printed_for(None if instance.run is None else instance.run.pid, instance.spec.secrets)
        own = self._variables(instance)
        env = build_environment(instance.spec, instance.index, origin.env, own, printed)
        return {name: value for name, value in env.items() if name not in NOT_FOR_PROBES}

    def umask(self, instance: Instance) -> int:
        """The umask of its runs."""
        umask = instance.spec.umask
        return self._apps[instance.app].origin.umask if umask is None else umask


class Askers:
    """Makes what asks for a probe."""

    def __init__(self, surroundings: Surroundings, family: Family, logs_folder: str) -> None:
        self._surroundings = surroundings
        self._family = family
        self._logs_folder = logs_folder
        self._beside = Beside()

    def end_left(self, home: str, specs: Iterable[AppSpec]) -> None:
        """Kill what the commands of an earlier master's probes and secrets have left, if there can be any."""
        specs = list(specs)
        probes = [(spec.health.startup, spec.health.liveness, spec.health.readiness) for spec in specs]
        asks = any(probe is not None and probe.exec is not None for each in probes for probe in each)
        if asks or any(secret_commands(spec.secrets) for spec in specs):
            count = end_left_probes(home)
            if count:
                log.info("ended %s processes of the probes and secrets of an earlier master", count)

    def make(self, target: Target) -> Asker:
        """What asks for this probe of this run."""
        if "log" in target.spec.ways:
            return LogAsker(target, self._logs_folder, self._beside)
        return VariableAsker(target, self._surroundings, self._family, self._beside)


class VariableAsker:
    """Asks in one of the ways whose words may have variables of the instance in them."""

    def __init__(self, target: Target, surroundings: Surroundings, family: Family, beside: Beside) -> None:
        self._target = target
        self._surroundings = surroundings
        self._family = family
        self._beside = beside
        self._env: dict[str, str] | None = None

    async def ask(self) -> Answer:
        """Ask once."""
        try:
            if self._target.spec.exec is not None:
                return await self._ask_command(self._target.spec.exec)
            spec = self._expanded()
        except KeyError as error:
            return unknown(f"there is no variable {error.args[0]}")
        except SpawnError as error:  # a file of its environment cannot be read
            return unknown(str(error))
        if spec.file is not None:
            return await self._ask_file(spec.file)
        # Loaded when the first probe needs it.
        from pypm.system.probe_network import Question, ask_http, ask_tcp

        if spec.tcp is not None:
            return await ask_tcp(spec.tcp, self._beside, spec.timeout)
        question = Question(spec.http or "", spec.method, spec.headers, spec.status)
        return await ask_http(question, self._beside, spec.timeout)

    def close(self) -> None:
        """Nothing is kept from one question to the next."""

    def _expanded(self) -> ProbeSpec:
        spec = self._target.spec
        texts = (spec.http, spec.tcp, spec.file, *spec.headers.values())
        if not any("$" in text for text in texts if text):
            return spec
        env = self._environment()

        def filled(text: str | None) -> str | None:
            return None if text is None else expanded(text, env)

        return ProbeSpec(
            http=filled(spec.http),
            tcp=filled(spec.tcp),
            file=filled(spec.file),
            headers={name: expanded(value, env) for name, value in spec.headers.items()},
            method=spec.method,
            status=spec.status,
            timeout=spec.timeout,
        )

    def _environment(self) -> dict[str, str]:
        if self._env is None:
            marks = {PROBE_VARIABLE: self._target.kind}
            self._env = self._surroundings.environment(self._target.instance) | marks
        return self._env

    async def _ask_command(self, words: tuple[str, ...]) -> Answer:
        instance = self._target.instance
        try:
            command = Command(
                words,
                instance.spec.cwd,
                self._environment(),
                self._surroundings.umask(instance),
                self._surroundings.open_files,
                attributes_of(instance.spec),
            )
            end = await run_command(command, self._family)
        except SpawnError as error:
            return unknown(str(error)) if _without_means(error) else failure(str(error))
        code, number = end.death.code, end.death.signal
        if code == 0:
            return success(end.output or "exit code 0")
        how = describe_exit(code, None if number is None else signal_name(number), core_dumped=False)
        answer = f"{how}: {end.output}" if end.output.strip() else how
        # We have not killed it, or nobody would be told: somebody else has, or the kernel for want of memory.
        return unknown(answer) if how == "killed by SIGKILL" else failure(answer)

    async def _ask_file(self, path: str) -> Answer:
        spec = self._target.spec
        whole = os.path.join(self._target.instance.spec.cwd, path)
        status = await self._beside.call(lambda: os.stat(whole), spec.timeout)
        age = max(0.0, wall_time() - status.st_mtime)
        words = f"written to {describe_duration(float(round(age)))} ago"
        return success(words) if spec.max_age is None or age <= spec.max_age else failure(words)


def _without_means(error: SpawnError) -> bool:
    """Whether a command could not be started for want of something that says nothing about it."""
    cause = error.__cause__
    return isinstance(cause, OSError) and (without_means(cause) or cause.errno == errno.EAGAIN)


def expanded(text: str, env: Mapping[str, str]) -> str:
    """The text with the values of ``$NAME`` and ``${NAME}``; ``$$`` is a ``$``. Raises KeyError."""
    return VARIABLE.sub(lambda found: "$" if found[1] else env[found[2] or found[3]], text)
