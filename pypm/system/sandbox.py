"""An app's sandbox: what ``[apps.sandbox]`` says becomes the words of bubblewrap's command line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pypm.core.sandbox_spec import HOMES, MAY_BE_MISSING, SandboxSpec, fault_of_sandbox, is_below
from pypm.core.spec import AppSpec
from pypm.system.home import Home
from pypm.system.spawn_error import SpawnError

__all__ = ["Sandbox", "availability", "sandbox_of"]

TOOLS = "/usr/bin:/bin:/usr/local/bin:/usr/sbin:/sbin:/run/current-system/sw/bin"
NOT_THERE = "the program bwrap is not there (on Debian and Ubuntu: apt install bubblewrap)"
PATIENCE = 10.0
"""Seconds that a sandbox may take to be made."""
LEAST = ("--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc")

SYSTEM = {"yes": ("/usr", "/boot", "/efi"), "full": ("/usr", "/boot", "/efi", "/etc")}
API = ("/dev", "/proc", "/sys")
TUNABLES = (
    *("/proc/sys", "/proc/sysrq-trigger", "/proc/latency_stats", "/proc/acpi", "/proc/timer_stats"),
    *("/proc/fs", "/proc/irq", "/sys"),
)
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - the names, for folders of the sandbox's own
NAMESPACES = {
    "private_network": "--unshare-net",
    "private_ipc": "--unshare-ipc",
    "private_pids": "--unshare-pid",
    "protect_hostname": "--unshare-uts",
}
DROPPED = ("SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_PTRACE", "DAC_READ_SEARCH", "MKNOD")
"""Capabilities with which root could undo its sandbox."""

_made: set[tuple[str, ...]] = set()
"""Command lines of sandboxes that could be made."""


class Layer(NamedTuple):
    """Something that is mounted: what lies deeper comes later, and is what is seen there."""

    path: str
    words: tuple[str, ...]
    hidden_by: str = ""
    """The key that says that nothing of the machine is seen here; empty: it is."""
    sealing: tuple[str, ...] = ()
    """What is to be done when all else has been mounted."""


class Ground(NamedTuple):
    """What of the machine and of pypm a sandbox depends on."""

    folders: frozenset[str]
    """Those of the paths in question that are folders; all have been resolved."""
    files: frozenset[str] = frozenset()
    is_root: bool = False
    hidden: tuple[str, ...] = ()
    """Folders of pypm's own."""
    shown: tuple[str, ...] = ()
    """What an agent needs of them."""
    state: str = ""
    """The folder in which it may keep something, which is one of them."""

    def has(self, path: str) -> bool:
        """Whether there is such a path."""
        return path in self.folders or path in self.files


class Sandbox(NamedTuple):
    """The sandbox of an app, before it is known for which process."""

    spec: SandboxSpec
    allow_control: bool = False
    owner: tuple[int, int] | None = None
    """User and group of the agent, where these are not ours."""

    def prefix(self, program: str, cwd: str, env: Mapping[str, str]) -> list[str]:
        """The words that go before a command; ``env`` tells where pypm and the instance are.

        Raises SpawnError where a path is missing, the program or its folder would not be seen, or this
        machine cannot make such a sandbox; the message says why.
        """
        bwrap = _find()
        spec = resolved(self.spec)
        ground = self._ground(spec, env)
        layers = layers_of(spec, ground)
        for what, path in (("its folder", cwd), ("its program", program)):
            if path.startswith("/") and (key := hidden_by(path, layers)):
                raise SpawnError(f"sandbox: {what} {path} is hidden by {key}{_remedy(key)}")
        words = (bwrap, *options(spec, layers, is_root=ground.is_root), "--chdir", cwd, "--")
        _try(words)
        return [*words]

    def _ground(self, spec: SandboxSpec, env: Mapping[str, str]) -> Ground:
        """Look at what is there; make the instance's folder, as nobody could within."""
        listed = {*spec.read_write_paths, *spec.read_only_paths, *spec.inaccessible_paths}
        every = {*listed, *SYSTEM["full"], *HOMES, *TEMPORARY, *TUNABLES, "/sys/fs/cgroup"}
        # A link in the place of one of the system's folders (/home -> /srv/home) is followed.
        folders = frozenset(os.path.realpath(path) for path in every if os.path.isdir(path))
        files = frozenset(path for path in every if os.path.exists(path) and not os.path.isdir(path))
        ground = Ground(folders, files, os.geteuid() == 0)
        if self.allow_control or not env.get("PYPM_HOME"):
            return ground
        home = Home(env["PYPM_HOME"])
        if own := {os.path.realpath(home.path), os.path.realpath(home.socket)} & listed:
            raise SpawnError(
                f"sandbox: {min(own)} is pypm's own; who may control pypm says so by allow_control = true"
            )
        endpoint = env.get("PYPM_AGENT_ENDPOINT", "").removeprefix("ipc://")
        shown = [path for path in (endpoint, env.get("NOTIFY_SOCKET", "")) if path.startswith("/")]
        state = env.get("PYPM_STATE_DIR", "")
        if state:
            self._make_state_folder(state)
        return ground._replace(
            hidden=tuple(dict.fromkeys(map(os.path.realpath, (home.path, home.socket_folder)))),
            shown=tuple(map(os.path.realpath, shown)),
            state=os.path.realpath(state) if state else "",
        )

    def _make_state_folder(self, path: str) -> None:
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            if self.owner is not None:
                os.chown(path, *self.owner, follow_symlinks=False)
        except OSError as error:
            raise SpawnError(f"sandbox: cannot make {path}: {error.strerror}") from error


def sandbox_of(spec: AppSpec, owner: tuple[int, int] | None) -> Sandbox | None:
    """The sandbox of an app, if it has one; ``owner``: user and group of the agent, if they are not ours."""
    return None if spec.sandbox is None else Sandbox(spec.sandbox, spec.allow_control, owner)


def availability() -> str | None:
    """Why no sandbox can be made here, and what helps; None: they can be."""
    try:
        _try((_find(), *LEAST, "--"))
    except SpawnError as error:
        return str(error).removeprefix("sandbox: ")
    return None


def resolved(spec: SandboxSpec) -> SandboxSpec:
    """The spec with all links in its paths followed, and without those that may be missing and are.

    Raises SpawnError for one that is missing, and where links lead to what contradicts itself.
    """
    found: dict[str, tuple[str, ...]] = {}
    for key in ("read_write_paths", "read_only_paths", "inaccessible_paths"):
        paths: list[str] = []
        for written in getattr(spec, key):
            path = written.removeprefix(MAY_BE_MISSING)
            if os.path.exists(path):
                paths.append(os.path.realpath(path))
            elif path == written:
                raise SpawnError(f"sandbox.{key}: {path} is not there (-{path}: it may be missing)")
        found[key] = tuple(dict.fromkeys(paths))
    spec = SandboxSpec(**{name: getattr(spec, name) for name in spec.__struct_fields__} | found)
    if fault := fault_of_sandbox(AppSpec("", (), "", sandbox=spec)):
        raise SpawnError(fault)
    return spec


def layers_of(spec: SandboxSpec, ground: Ground) -> list[Layer]:
    """What is mounted, in this order."""
    is_strict = spec.protect_system == "strict"
    root = Layer("/", ("--ro-bind" if is_strict else "--bind", "/", "/"))
    layers = [*_api_layers(spec, ground, is_strict=is_strict), *_system_layers(spec, ground)]
    layers += [*_home_layers(spec, ground), *_listed_layers(spec, ground), *_own_layers(ground)]
    layers += _ways(layers)
    return [root, *sorted(layers, key=lambda layer: layer.path.count("/"))]


def options(spec: SandboxSpec, layers: Sequence[Layer], *, is_root: bool) -> list[str]:
    """bubblewrap's options for these layers, and for what else the spec asks for."""
    words = [option for field, option in NAMESPACES.items() if getattr(spec, field)]
    if is_root:
        words += [word for name in DROPPED for word in ("--cap-drop", f"CAP_{name}")]
    words += [word for layer in layers for word in layer.words]
    # The deepest first: what is above it is still writable then.
    return words + [word for layer in reversed(layers) for word in layer.sealing]


def hidden_by(path: str, layers: Sequence[Layer]) -> str:
    """The key that hides a path; empty if it is seen."""
    for each in {os.path.abspath(path), os.path.realpath(path)}:
        above = [layer for layer in layers if is_below(each, layer.path)]
        if above and above[-1].hidden_by:
            return above[-1].hidden_by
    return ""


def _api_layers(spec: SandboxSpec, ground: Ground, *, is_strict: bool) -> list[Layer]:
    """/dev, /proc and /sys, which are not part of the system that is protected."""
    layers = [Layer("/dev", ("--dev-bind", "/dev", "/dev"))]
    if spec.private_devices:
        shared = ("--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108 - the sandbox's own
        layers = [Layer("/dev", ("--dev", "/dev")), Layer("/dev/shm", shared)]  # noqa: S108
    if spec.private_pids:
        layers.append(Layer("/proc", ("--proc", "/proc")))
    elif is_strict:
        layers.append(Layer("/proc", ("--bind", "/proc", "/proc")))
    if is_strict:
        layers.append(Layer("/sys", ("--bind", "/sys", "/sys")))
    read_only: tuple[str, ...] = TUNABLES if spec.protect_kernel_tunables else ()
    read_only += ("/sys/fs/cgroup",) if spec.protect_control_groups else ()
    return layers + [Layer(path, ("--ro-bind", path, path)) for path in read_only if ground.has(path)]


def _system_layers(spec: SandboxSpec, ground: Ground) -> list[Layer]:
    layers = [
        Layer(path, ("--ro-bind", path, path))
        for path in SYSTEM.get(spec.protect_system, ())
        if ground.has(path)
    ]
    if spec.private_tmp:
        layers += [
            Layer(path, ("--perms", "1777", "--tmpfs", path), "private_tmp")
            for path in TEMPORARY
            if ground.has(path)
        ]
    return layers


def _home_layers(spec: SandboxSpec, ground: Ground) -> list[Layer]:
    homes = [path for path in HOMES if ground.has(path)]
    if spec.protect_home == "read-only":
        return [Layer(path, ("--ro-bind", path, path)) for path in homes]
    if spec.protect_home == "no":
        return []
    is_closed = spec.protect_home == "yes"
    return [_empty(path, "protect_home", "0111" if is_closed else "0755") for path in homes]


def _listed_layers(spec: SandboxSpec, ground: Ground) -> list[Layer]:
    """What the app itself lists, which wins over the rest."""
    layers = [Layer(path, ("--bind", path, path)) for path in spec.read_write_paths]
    layers += [Layer(path, ("--ro-bind", path, path)) for path in spec.read_only_paths]
    key = "inaccessible_paths"
    for path in spec.inaccessible_paths:
        if path in ground.folders:
            layers.append(_empty(path, key, "0000"))
        else:  # a device, where there are none, cannot even be opened
            layers.append(Layer(path, ("--ro-bind", "/dev/null", path), key))
    return layers


def _own_layers(ground: Ground) -> list[Layer]:
    """pypm's own folders, with state and logs of all apps and the socket by which it is controlled."""
    layers = [_empty(path, "pypm, which keeps its own folder to itself", "0755") for path in ground.hidden]
    layers += [Layer(path, ("--bind-try", path, path)) for path in ground.shown]
    return layers + ([Layer(ground.state, ("--bind", ground.state, ground.state))] if ground.state else [])


def _ways(layers: Sequence[Layer]) -> list[Layer]:
    """The folders between an empty one and what is shown in it, which another user can pass then too."""
    mounted = {layer.path for layer in layers}
    ways: dict[str, Layer] = {}
    for hidden in [layer for layer in layers if layer.hidden_by]:
        for shown in [layer for layer in layers if is_below(layer.path, hidden.path)]:
            path = os.path.dirname(shown.path)
            while path not in mounted and is_below(path, hidden.path):
                ways[path] = Layer(path, ("--perms", "0755", "--dir", path), hidden.hidden_by)
                path = os.path.dirname(path)
    return [*ways.values()]


def _empty(path: str, key: str, permissions: str) -> Layer:
    return Layer(path, ("--perms", permissions, "--tmpfs", path), key, ("--remount-ro", path))


def _remedy(key: str) -> str:
    if key == "protect_home":
        return ': say protect_home = "tmpfs" and list it in read_only_paths'
    return "" if key == "inaccessible_paths" else "; read_only_paths or read_write_paths can show it"


def _find() -> str:
    from shutil import which  # brings compression along, and few apps need this

    bwrap = which("bwrap", path=TOOLS)
    if bwrap is None:
        raise SpawnError(f"sandbox: {NOT_THERE}")
    return bwrap


def _try(words: tuple[str, ...]) -> None:
    """Make such a sandbox once, for nothing: raises SpawnError with what bubblewrap says about it."""
    if words in _made:
        return
    from shutil import which

    true = which("true", path=TOOLS) or "true"
    try:
        done = subprocess.run(
            [*words, true], cwd="/", env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise SpawnError(f"sandbox: bubblewrap did not make it within {PATIENCE:.0f} s") from None
    except OSError as error:
        raise SpawnError(f"sandbox: {words[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise SpawnError(f"sandbox: {_explain(done.stderr.decode(errors='replace').strip())}")
    _made.add(words)


def _explain(said: str) -> str:
    """What bubblewrap says, and what helps against it."""
    words = said.removeprefix("bwrap: ") or "bubblewrap has failed without a word"
    if "namespace" in words or "uid map" in words or "Operation not permitted" in words:
        return (
            f"bubblewrap: {words}. Namespaces are forbidden here: for users other than root see "
            "sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone and "
            "kernel.apparmor_restrict_unprivileged_userns; in a container see its seccomp profile"
        )
    return f"bubblewrap: {words}"
