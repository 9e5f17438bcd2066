"""Verbs of PM2 that are none of ours, options that another verb has, and what does here what they do."""

from __future__ import annotations

__all__ = ["ELSEWHERE", "OF_A_DECLARATION", "OPTIONS_ELSEWHERE"]

ELSEWHERE = {
    "deepUpdate": "`pip install --upgrade pypm && pypm update`",
    "logrotate": "logs are rotated without it: `[apps.logs]` in an ecosystem file says how",
    "slist": "`pypm doctor --json`",
    "sysinfos": "`pypm doctor --json`",
    "inspect": "`pypm signal USR1 NAME` for Node, `py-spy dump --pid $(pypm pid NAME)` for Python",
    "pull": "pypm leaves version control to git: `git pull && pypm reload NAME`",
    "forward": "pypm leaves version control to git: `git checkout REF && pypm reload NAME`",
    "backward": "pypm leaves version control to git: `git checkout REF && pypm reload NAME`",
    "deploy": "pypm deploys nothing: `ssh HOST 'git pull && pypm apply'`",
    "serve": "`pypm start --name files -- python3 -m http.server 8080 -d FOLDER`",
    "expose": "`pypm start --name files -- python3 -m http.server 8080 -d FOLDER`",
    "install": "there are no modules: rotation, metrics and alerts are part of pypm",
    "uninstall": "there are no modules: rotation, metrics and alerts are part of pypm",
    "profile:cpu": "`py-spy record --pid $(pypm ping --json | jq .master_pid)`",
    "profile:mem": "`memray attach $(pypm ping --json | jq .master_pid)`",
    "examples": "`pypm COMMAND --help` has examples",
    **dict.fromkeys(
        ("link", "unlink", "plus", "register", "login", "logout", "open", "monitor", "unmonitor"),
        "PM2's hosted service has no counterpart; `pypm list --json` and `pypm events -f --json` tell others",
    ),
}
"""By verb, the hint that `pypm VERB` gives."""

OPTIONS_ELSEWHERE = {
    ("pypm", "--json"): "it follows the command: `pypm list --json`",
    **{
        (verb, option): f"`pypm {other} FILE {option} NAME` takes up the file; here, name the apps"
        for verb, other in (("restart", "startOrRestart"), ("reload", "startOrReload"))
        for option in ("--only", "--env")
    },
    **{(verb, "--only"): f"name the apps: `pypm {verb} NAME`" for verb in ("stop", "delete")},
    ("stop", "--watch"): "what is stopped is not watched; a start watches again what declares `watch`",
    ("startup", "--hp"): "PYPM_HOME says which home: `PYPM_HOME=FOLDER pypm startup`",
    ("startup", "--service-name"): "`pypm startup --name NAME`",
    ("startup", "--wait-ip"): "the unit waits for the network by itself",
    **{(verb, "-u"): f"`sudo pypm {verb} --run-as NAME`" for verb in ("startup", "unstartup")},
    **{(verb, "--foreground"): f"`pypm {verb} NAME --attach`" for verb in ("restart", "reload")},
    **dict.fromkeys(
        (("", "-s"), ("", "--silent")), "`> /dev/null`; results go to stdout, all else to stderr"
    ),
    ("", "--no-color"): "`NO_COLOR=1 pypm …`; into a pipe there are no colours",
}
"""By command (empty: any) and option that it does not have, the hint to what has it."""

OF_A_DECLARATION = (
    "change its file and `pypm apply`, or declare it anew: `pypm start SCRIPT --name NAME {option} …`"
)
"""The hint where `restart` or `reload` is given an option with which `start` declares an app."""
