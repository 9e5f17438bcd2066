"""The click road: the group of all verbs, each imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from pypm import __version__
from pypm.cli.elsewhere import ELSEWHERE, OF_A_DECLARATION, OPTIONS_ELSEWHERE
from pypm.cli.verbs import ALIASES, MODULES, SECTIONS, VERBS
from pypm.core.errors import UsageError

__all__ = ["group", "run"]

GAP = 2
"""Columns between a verb and what it does."""


class LazyGroup(click.Group):
    """A group that imports a verb when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Give the verbs in the order of their help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Give the command of a verb or of one of its aliases."""
        verb = ALIASES.get(cmd_name, cmd_name)
        if verb not in VERBS:
            return None
        command: click.Command = import_module(f"pypm.cli.{MODULES.get(verb, verb)}").command
        command.short_help = VERBS[verb]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the verbs under their headings; none of them has to be imported for it."""
        widest = max(map(len, VERBS))
        for heading, verbs in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(f"{verb:<{widest}}", words) for verb, words in verbs.items()], col_spacing=GAP
                )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest right names."""
        word = args[0]
        if not word.startswith("-") and word not in VERBS and word not in ALIASES:
            from difflib import get_close_matches

            if word in ELSEWHERE:
                raise UsageError(f"no such command {word!r}", hint=ELSEWHERE[word])
            close = get_close_matches(word, [*VERBS, *ALIASES, "help"], n=3, cutoff=0.5)
            verbs = dict.fromkeys(ALIASES.get(name, name) for name in close)
            hint = f"did you mean {' or '.join(verbs)}?" if verbs else "`pypm --help` lists the commands"
            raise UsageError(f"no such command {word!r}", hint=hint)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-v", "--version", message="pypm %(version)s")
def group() -> None:
    """Keep long-running agents alive.

    \b
    Begin with:
      pypm start ecosystem.toml      start the apps that a file declares
      pypm start agent.py --name a   start one program
      pypm list                      see how they are
      pypm logs -f                   see what they say

    `pypm COMMAND --help` has examples. What runs, the logs and the state are in
    PYPM_HOME (~/.pypm).
    """


def run(arguments: list[str]) -> int:
    """Run the command in ``arguments``; give its exit status.

    Raises :class:`PypmError` for what a person is to be told.
    """
    if arguments[:1] == ["help"]:
        arguments = [*(word for word in arguments if word != "help"), "--help"]
    # Not by `group.main`, which has its own ways with a closed pipe and an interrupt.
    try:
        with group.make_context("pypm", list(arguments)) as context:
            status: Any = group.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "pypm"
        hint = _option_elsewhere(error) or _nearest_choice(error) or f"`{command} --help` shows how"
        message = error.message if _option_elsewhere(error) else error.format_message()
        raise UsageError(_plain(message), hint=hint) from None
    return status if isinstance(status, int) else 0


def _option_elsewhere(error: click.ClickException) -> str:
    """A hint to the command that has the option which this one does not have; empty: there is none."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return ""
    command = (error.ctx.command.name or "") if error.ctx.parent else "pypm"
    option = error.option_name
    hint = OPTIONS_ELSEWHERE.get((command, option)) or OPTIONS_ELSEWHERE.get(("", option), "")
    if not hint and command in ("restart", "reload"):
        from pypm.cli.start import command as start

        declaring = [each for each in start.params if isinstance(each, click.Option) and not each.hidden]
        if any(option in each.opts for each in declaring):
            return OF_A_DECLARATION.format(option=option)
    return hint


def _nearest_choice(error: click.ClickException) -> str:
    """A hint to the choice that was probably meant; empty: it is another fault, or none is near."""
    parameter = error.param if isinstance(error, click.BadParameter) else None
    if parameter is None or not isinstance(parameter.type, click.Choice):
        return ""
    from difflib import get_close_matches

    written = error.message[1:].partition("'")[0]
    close = get_close_matches(written, map(str, parameter.type.choices), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else ""


def _plain(message: str) -> str:
    """Click's sentence in the form of our own: no capital at its beginning, no full stop at its end."""
    message = message.removesuffix(".")
    return message[:1].lower() + message[1:]
