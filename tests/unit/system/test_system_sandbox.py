"""A sandbox in systemd's words, and bubblewrap's command line for it."""

from __future__ import annotations

import os
import shutil
import stat

import pytest

from pypm.core.sandbox_spec import SandboxSpec
from pypm.core.spec import AppSpec
from pypm.system import sandbox as module
from pypm.system.sandbox import (
    Ground,
    Sandbox,
    availability,
    hidden_by,
    layers_of,
    options,
    resolved,
    sandbox_of,
)
from pypm.system.spawn_error import SpawnError

MACHINE = Ground(
    frozenset(("/usr", "/boot", "/etc", "/home", "/root", "/run/user", "/tmp", "/var/tmp", "/srv/secret")),
    frozenset(("/etc/shadow",)),
)


def words_for(ground: Ground = MACHINE, **fields: object) -> str:
    spec = SandboxSpec(**fields)  # type: ignore[arg-type]
    return " ".join(options(spec, layers_of(spec, ground), is_root=ground.is_root))


BARE = "--bind / / --dev-bind /dev /dev"
STRICT = "--ro-bind / / --dev-bind /dev /dev --bind /proc /proc --bind /sys /sys"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, BARE),
        ({"protect_system": "yes"}, f"{BARE} --ro-bind /usr /usr --ro-bind /boot /boot"),
        (
            {"protect_system": "full"},
            f"{BARE} --ro-bind /usr /usr --ro-bind /boot /boot --ro-bind /etc /etc",
        ),
        ({"protect_system": "strict"}, STRICT),
        (
            {"protect_home": "read-only"},
            f"{BARE} --ro-bind /home /home --ro-bind /root /root --ro-bind /run/user /run/user",
        ),
        (
            {"protect_home": "yes"},
            (
                f"{BARE} --perms 0111 --tmpfs /home --perms 0111 --tmpfs /root --perms 0111 --tmpfs /run/user"
                " --remount-ro /run/user --remount-ro /root --remount-ro /home"
            ),
        ),
        (
            {"protect_home": "tmpfs", "read_only_paths": ("/home/me/agent",)},
            (
                f"{BARE} --perms 0755 --tmpfs /home --perms 0755 --tmpfs /root --perms 0755 --tmpfs /run/user"
                " --perms 0755 --dir /home/me --ro-bind /home/me/agent /home/me/agent"
                " --remount-ro /run/user --remount-ro /root --remount-ro /home"
            ),
        ),
        (
            {"protect_system": "strict", "read_write_paths": ("/var/lib/a",), "read_only_paths": ("/var",)},
            f"{STRICT} --ro-bind /var /var --bind /var/lib/a /var/lib/a",
        ),
        (
            {"inaccessible_paths": ("/srv/secret", "/etc/shadow")},
            (
                f"{BARE} --perms 0000 --tmpfs /srv/secret --ro-bind /dev/null /etc/shadow"
                " --remount-ro /srv/secret"
            ),
        ),
        ({"private_tmp": True}, f"{BARE} --perms 1777 --tmpfs /tmp --perms 1777 --tmpfs /var/tmp"),
        ({"private_devices": True}, "--bind / / --dev /dev --perms 1777 --tmpfs /dev/shm"),
        ({"private_pids": True}, f"--unshare-pid {BARE} --proc /proc"),
        ({"private_network": True, "private_ipc": True}, f"--unshare-net --unshare-ipc {BARE}"),
        ({"protect_hostname": True}, f"--unshare-uts {BARE}"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_each_word_becomes_options(fields, expected):
    assert words_for(**fields) == expected


def test_what_is_protected_of_the_kernel():
    ground = Ground(frozenset(("/proc/sys", "/sys", "/sys/fs/cgroup")), frozenset(("/proc/sysrq-trigger",)))
    words = words_for(ground, protect_kernel_tunables=True, protect_control_groups=True)
    for path in ("/proc/sys", "/proc/sysrq-trigger", "/sys", "/sys/fs/cgroup"):
        assert f"--ro-bind {path} {path}" in words
    assert "/proc/acpi" not in words, "it is not there"


def test_root_loses_what_could_undo_its_sandbox():
    words = words_for(MACHINE._replace(is_root=True))
    assert "--cap-drop CAP_SYS_ADMIN" in words
    assert "--cap-drop CAP_DAC_READ_SEARCH" in words
    assert "--cap-drop" not in words_for()


def test_pypms_own_folder_is_hidden_but_for_what_the_agent_needs():
    home = "/home/me/.pypm"
    ground = MACHINE._replace(hidden=(home,), shown=(f"{home}/agents.sock",), state=f"{home}/agents/a-0")
    words = words_for(ground, protect_home="yes")
    inside = (
        f"--perms 0755 --tmpfs {home} --bind-try {home}/agents.sock {home}/agents.sock"
        f" --perms 0755 --dir {home}/agents --bind {home}/agents/a-0 {home}/agents/a-0 --remount-ro {home}"
    )
    assert inside in words
    assert words.index("--tmpfs /home ") < words.index("--dir /home/me ") < words.index(inside)
    assert words.endswith("--remount-ro /home"), "what is within is mounted before"


def test_what_is_hidden_and_by_what():
    spec = SandboxSpec(
        protect_home="tmpfs",
        private_tmp=True,
        read_only_paths=("/home/me/agent",),
        inaccessible_paths=("/srv/secret",),
    )
    layers = layers_of(spec, MACHINE)
    assert hidden_by("/home/me/agent/run.py", layers) == ""
    assert hidden_by("/home/me/agents", layers) == "protect_home"
    assert hidden_by("/tmp/x", layers) == "private_tmp"
    assert hidden_by("/srv/secret/key", layers) == "inaccessible_paths"
    assert hidden_by("/srv/secrets", layers) == ""


def test_links_are_followed_and_what_is_missing_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    spec = resolved(SandboxSpec(read_write_paths=(f"{tmp_path}/link", f"-{tmp_path}/missing")))
    assert spec.read_write_paths == (f"{os.path.realpath(tmp_path)}/real",)
    with pytest.raises(SpawnError, match=r"sandbox\.read_only_paths: /no/such is not there"):
        resolved(SandboxSpec(read_only_paths=("/no/such",)))


def test_links_that_lead_below_what_is_hidden_are_refused(tmp_path):
    (tmp_path / "hidden" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("hidden/deep")
    spec = SandboxSpec(read_only_paths=(f"{tmp_path}/link",), inaccessible_paths=(f"{tmp_path}/hidden",))
    with pytest.raises(SpawnError, match="of inaccessible_paths"):
        resolved(spec)


def test_without_bubblewrap_no_sandbox(monkeypatch):
    monkeypatch.setattr(module, "TOOLS", "/nowhere")
    assert "apt install bubblewrap" in (availability() or "")
    with pytest.raises(SpawnError, match="the program bwrap is not there"):
        Sandbox(SandboxSpec(private_tmp=True)).prefix("/bin/true", "/", {})


def fake_bwrap(folder, monkeypatch, script):
    (folder / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bwrap").chmod(0o755)
    monkeypatch.setattr(module, "TOOLS", f"{folder}:{module.TOOLS}")


def test_where_namespaces_are_forbidden_it_is_said(tmp_path, monkeypatch):
    said = "bwrap: setting up uid map: Permission denied"
    fake_bwrap(tmp_path, monkeypatch, f"echo '{said}' >&2; exit 1")
    reason = availability()
    assert reason is not None
    assert reason.startswith("bubblewrap: setting up uid map: Permission denied. Namespaces are forbidden")
    with pytest.raises(SpawnError, match=r"user\.max_user_namespaces"):
        Sandbox(SandboxSpec(private_tmp=True)).prefix("/bin/true", "/", {})


def test_a_sandbox_that_was_made_once_is_not_tried_again(tmp_path, monkeypatch):
    fake_bwrap(tmp_path, monkeypatch, f"echo tried >> {tmp_path}/log")
    for _ in range(2):
        Sandbox(SandboxSpec(private_ipc=True)).prefix("/bin/true", "/", {})
    assert (tmp_path / "log").read_text() == "tried\n"


@pytest.mark.parametrize(
    ("program", "cwd", "expected"),
    [("/bin/true", "{0}/hidden", "its folder"), ("{0}/hidden/run", "/", "its program")],
)
def test_a_program_that_would_not_be_seen_is_refused(tmp_path, monkeypatch, program, cwd, expected):
    fake_bwrap(tmp_path, monkeypatch, "exit 0")
    (tmp_path / "hidden").mkdir()
    sandbox = Sandbox(SandboxSpec(inaccessible_paths=(f"{tmp_path}/hidden",)))
    with pytest.raises(SpawnError, match=f"{expected} .* is hidden by inaccessible_paths"):
        sandbox.prefix(program.format(tmp_path), cwd.format(tmp_path), {})


def test_the_state_folder_is_made_and_the_control_socket_is_not_shown(tmp_path, monkeypatch):
    fake_bwrap(tmp_path, monkeypatch, "exit 0")
    home = tmp_path / "h"
    home.mkdir()
    env = {
        "PYPM_HOME": str(home),
        "PYPM_STATE_DIR": f"{home}/agents/a-0",
        "PYPM_AGENT_ENDPOINT": f"ipc://{home}/agents.sock",
        "NOTIFY_SOCKET": f"{home}/notify.sock",
    }
    words = Sandbox(SandboxSpec(private_ipc=True)).prefix("/bin/true", "/", env)
    real = os.path.realpath(home)
    assert f"--tmpfs {real} --bind-try {real}/agents.sock" in " ".join(words)
    assert f"{real}/pypm.sock" not in words
    assert stat.S_IMODE((home / "agents" / "a-0").stat().st_mode) == 0o700
    open_words = Sandbox(SandboxSpec(private_ipc=True), allow_control=True).prefix("/bin/true", "/", env)
    assert str(real) not in open_words
    with pytest.raises(SpawnError, match="allow_control"):
        Sandbox(SandboxSpec(read_write_paths=(str(home),))).prefix("/bin/true", "/", env)


def test_an_app_without_the_table_has_none():
    assert sandbox_of(AppSpec("a", ("/bin/true",), "/"), None) is None


@pytest.mark.skipif(shutil.which("bwrap", path=module.TOOLS) is None, reason="bubblewrap is not installed")
def test_bubblewraps_own_words_tell_why_it_cannot(tmp_path):
    if reason := availability():
        pytest.skip(f"no sandbox here: {reason}")
    sandbox = Sandbox(SandboxSpec(private_ipc=True))
    with pytest.raises(SpawnError, match=r"bubblewrap: Can't chdir to /no/such/folder"):
        sandbox.prefix("/bin/true", "/no/such/folder", {})
