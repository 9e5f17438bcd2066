"""``pypm start``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pypm.cli.elsewhere import OPTIONS_ELSEWHERE
from pypm.cli.options import json_option, wait_options
from pypm.cli.pm2_options import pm2_options
from pypm.cli.start_plan import StartWords
from pypm.cli.starting import start
from pypm.core.errors import UsageError

__all__ = ["command"]


class StartCommand(click.Command):
    """A command that remembers the words after ``--``, which click would mix with those before."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words from the first ``--`` on away, into ``ctx.obj``; ``None`` there is no ``--``."""
        ctx.obj = None
        if "--" in args:
            place = args.index("--")
            ctx.obj = tuple(args[place + 1 :])
            args = args[:place]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if ("", error.option_name) in OPTIONS_ELSEWHERE:
                raise
            words = f"{error.format_message()} An option of the program itself goes behind --."
            raise click.UsageError(words, ctx) from None


def app_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that stand for keys of an app; each is given on under the key's name."""
    for option in reversed(APP_OPTIONS):
        function = option(function)
    return function


APP_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option("--name", "-n", help="Its name."),
    click.option(
        "--instances", "-i", metavar="N|max", help="How many copies; negative: so many less than cores."
    ),
    click.option("--namespace", help="The group it belongs to."),
    click.option("--cwd", metavar="FOLDER", help="The folder it runs in."),
    click.option("--interpreter", metavar="PROGRAM", help="What runs the script; `none`: the script itself."),
    click.option("--interpreter-args", "--node-args", metavar="TEXT", help="Arguments of the interpreter."),
    click.option("--shell", is_flag=True, default=None, help="Run the command line by /bin/sh."),
    click.option("--max-memory-restart", metavar="SIZE", help="Restart it above so much memory, as in 300M."),
    click.option("--max-restarts", metavar="N", help="Give up after so many restarts in a while."),
    click.option("--restart-delay", metavar="TIME", help="Constant delay before a restart: ms, or as in 5s."),
    click.option("--exp-backoff-restart-delay", metavar="TIME", help="First delay of a growing one."),
    click.option("--stop-exit-codes", metavar="CODES", help="No restart after these, as in 0,3."),
    click.option("--no-autorestart", "autorestart", flag_value=False, default=None, help="Never restart it."),
    click.option(
        "--no-autostart", "autostart", flag_value=False, default=None, help="Declare, do not start."
    ),
    click.option(
        "--cron-restart",
        "--cron",
        "-c",
        "cron_restart",
        metavar="LINE",
        help="Restart it at the moments of a cron line, as in '0 4 * * *'.",
    ),
    click.option("--kill-timeout", "-k", metavar="TIME", help="Grace period before SIGKILL."),
    click.option(
        "--no-treekill", "treekill", flag_value=False, default=None, help="Signal only the main process."
    ),
    click.option("--wait-ready", is_flag=True, default=None, help="It says itself when it is ready."),
    click.option("--listen-timeout", metavar="TIME", help="How long it may take for that."),
    click.option("--output", "-o", "out_file", metavar="FILE", help="Where its stdout goes."),
    click.option("--error", "-e", "error_file", metavar="FILE", help="Where its stderr goes."),
    click.option("--log", "-l", "log_file", metavar="FILE", help="A further file that gets both."),
    click.option("--merge-logs", is_flag=True, default=None, help="One log for all instances."),
    click.option(
        "--filter-env", multiple=True, metavar="TEXT", help="Drop variables with TEXT in their name."
    ),
    click.option("--watch", "watch", is_flag=True, default=None, help="Restart it when its files change."),
    click.option("--ignore-watch", multiple=True, metavar="PATTERN", help="But not when these do."),
    click.option("--watch-delay", metavar="TIME", help="From a change to the restart: ms, or as in 1s."),
    click.option("--time", "time", is_flag=True, default=None, help="A time before each line of its logs."),
    click.option("--log-date-format", metavar="FORMAT", help="How that is written, in moment.js's letters."),
    click.option("--log-type", metavar="raw|json", help="json: a record a line."),
    click.option("--disable-logs", is_flag=True, default=None, help="Keep no output."),
    click.option("--shutdown-with-message", is_flag=True, default=None, help="Ask Node by a message to end."),
    click.option("--uid", metavar="USER", help="The user as whom it runs."),
    click.option("--gid", metavar="GROUP", help="The group as which it runs."),
)


@click.command("start", cls=StartCommand)
@click.argument("words", nargs=-1, metavar="[FILE|SCRIPT|TARGET]… [-- COMMAND|ARGUMENT…]")
@app_options
@click.option("--env", "env_name", metavar="NAME", help="Of an ecosystem file: apply env_NAME too.")
@click.option("--only", multiple=True, metavar="NAMES", help="Of an ecosystem file: these apps only.")
@click.option("--foreground", "--no-daemon", is_flag=True, help="Stay, print the output, end all on Ctrl-C.")
@click.option("--attach", is_flag=True, help="Then follow the logs of what was started.")
@pm2_options
@wait_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    env_name: str | None,
    only: tuple[str, ...],
    foreground: bool,
    attach: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    **keys: Any,
) -> int:
    """Start what an ecosystem file declares, a program, or apps that are known.

    Without words: the ecosystem file of this folder. What runs already and is unchanged stays as it is.
    Exits 1 when an instance has failed, with the reason and the last lines of its stderr.

    \b
    Examples:
      pypm start                                   the ecosystem file of this folder
      pypm start ecosystem.toml --only worker,api
      pypm start agent.py --name a -i 4 -- --port 8000
      pypm start --name sleeper -- sleep 1000
      pypm start worker                            an app that is known and stopped
      pypm start ecosystem.toml --foreground       in a container, or while you develop
    """
    given = StartWords(words, ctx.obj, _given(keys), env_name, _split(only))
    if foreground and (not wait or timeout is not None):
        raise UsageError("--foreground goes neither with --no-wait nor with --timeout")
    if attach and (foreground or as_json):
        raise UsageError("--attach goes neither with --foreground nor with --json or --format")
    return start(given, foreground=foreground, attach=attach, wait=wait, timeout=timeout, as_json=as_json)


def _given(keys: dict[str, Any]) -> dict[str, Any]:
    codes = keys.pop("stop_exit_codes").replace(",", " ").split() if keys["stop_exit_codes"] else None
    keys["stop_exit_codes"] = codes and [int(code) if code.isdecimal() else code for code in codes]
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in keys.items()}
    return {name: value for name, value in given.items() if value not in (None, [])}


def _split(only: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for names in only for name in names.split(",") if name)
