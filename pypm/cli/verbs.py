"""The verbs, as data: in which order and under which headings help has them, and their other names.

Completion reads this at each TAB, so it imports nothing.
"""

from __future__ import annotations

__all__ = ["ALIASES", "MODULES", "SECTIONS", "VERBS"]

SECTIONS = {
    "Run": {
        "start": "Start a file's apps, a program, or known apps.",
        "stop": "Stop instances; they stay in the list.",
        "restart": "Restart instances.",
        "reload": "Renew instances one after another, without a gap.",
        "scale": "Set how many instances an app has.",
        "run-now": "Run jobs at once.",
        "reset": "Set the restart counters to zero.",
        "delete": "Stop instances and forget them.",
    },
    "Look": {
        "list": "Show all instances.",
        "monit": "Watch all instances live, and act on them.",
        "top": "Show who uses CPU and memory, down to the processes.",
        "describe": "Tell all about some instances.",
        "why": "Tell why an instance is as it is, and what happens next.",
        "events": "Show what happened, and why; follow it with -f.",
        "wait": "Wait until instances are online, ready, healthy or exited.",
        "env": "Show what the next run has as environment.",
        "pid": "Print process ids.",
        "id": "Print ids.",
        "jlist": "Print all instances as `pm2 jlist` does.",
        "prettylist": "Print all instances as `pm2 prettylist` does.",
    },
    "Logs": {
        "logs": "Show logs and follow them; search by time, run, text.",
        "flush": "Empty log files.",
        "reloadLogs": "Open all log files anew.",
    },
    "Talk": {
        "signal": "Send a signal.",
        "send": "Write a line to an agent's stdin.",
        "attach": "Type to an agent, and follow its output.",
        "trigger": "Let agents carry out an action that they offer.",
    },
    "Declare": {
        "apply": "Make what runs what a file declares; shows what changes.",
        "validate": "Check ecosystem files; starts nothing.",
        "ecosystem": "Write an ecosystem file for this folder.",
        "import": "Turn another manager's files into an ecosystem file.",
        "schema": "Print the JSON Schema of ecosystem files, for editors.",
        "startOrRestart": "Start what a file declares, restart what runs of it.",
        "startOrReload": "Start what a file declares, reload what runs of it.",
    },
    "Keep": {
        "save": "Keep all apps as they are now under a name.",
        "resurrect": "Bring back the apps of a snapshot.",
        "cleardump": "Remove a snapshot.",
        "startup": "Start with the machine.",
        "unstartup": "Undo startup.",
    },
    "pypm itself": {
        "ping": "Ask whether a master runs.",
        "doctor": "Check the home, the master and the machine.",
        "report": "Print what a report of a problem needs.",
        "update": "Let the installed version take over; no agent notices.",
        "kill": "Stop every agent, then the master.",
        "version": "Print the version.",
        "set": "Change a setting of this home.",
        "get": "Show a setting of this home, or all.",
        "unset": "Take a setting of this home back.",
        "multiset": "Change several settings of this home.",
        "conf": "Show the settings of this home, or change one.",
        "completion": "Print the script that completes words in bash, zsh or fish.",
    },
}
"""Heading -> verb -> what it does, in so few words that a terminal of 80 columns takes them in one line."""

VERBS = {verb: words for verbs in SECTIONS.values() for verb, words in verbs.items()}
"""Each is a module of this name beside this one, with the click command as ``command``."""

MODULES = {
    "reloadLogs": "reload_logs",
    "run-now": "run_now",
    "import": "import_file",
    "startOrRestart": "start_or_restart",
    "startOrReload": "start_or_reload",
}
"""Where the module has another name, as PM2's name of the verb is none for a module."""

ALIASES = {
    "del": "delete",
    "ls": "list",
    "l": "list",
    "status": "list",
    "ps": "list",
    "show": "describe",
    "info": "describe",
    "desc": "describe",
    "log": "logs",
    "sendSignal": "signal",
    "updatePM2": "update",
    "dump": "save",
    "init": "ecosystem",
    "reload-logs": "reloadLogs",
    "run_now": "run-now",
    "gracefulReload": "reload",
    "softReload": "reload",
    "startOrGracefulReload": "startOrReload",
    "dash": "monit",
    "dashboard": "monit",
    "imonit": "monit",
    "config": "conf",
}
"""PM2's other names of the verbs; help does not list them."""
