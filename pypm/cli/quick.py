"""The quick road: the plain forms of the verbs that scripts call often, before click is imported.

It takes only words that it fully understands and leaves everything else, also a home without a master
(which a start launches), to the click road, which prints exactly the same through the same functions.
"""

from __future__ import annotations

from pypm.core.errors import NoMasterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pypm.client.connection import Connection

__all__ = ["run_quickly"]


def run_quickly(arguments: list[str]) -> int | None:
    """Run the command in ``arguments`` if it is a plain one; give its exit status, or ``None`` if it is not.

    Raises what the master reports, as the click road does.
    """
    if arguments[:1] == ["start"]:
        return _start(arguments[1:])
    if arguments[:1] == ["__complete"]:
        from pypm.cli.completing import run_complete

        return run_complete(arguments[1:])
    if not arguments or (verb := _VERBS.get(arguments[0])) is None:
        return None
    words = [word for word in arguments[1:] if word != "--json"]
    as_json = len(words) < len(arguments) - 1
    if any(word.startswith("-") for word in words):
        return None
    command = verb(words, as_json)
    if command is None:
        return None
    from pypm.cli.session import existing_master

    try:
        connection = existing_master()
    except NoMasterError:
        return None
    with connection:
        return command(connection)


def _start(arguments: list[str]) -> int | None:
    """Start, which differs from the others in that it launches the master that it needs."""
    words = [word for word in arguments if word not in ("--json", "--no-wait")]
    if any(word.startswith("-") for word in words):
        return None
    from pypm.core.msgspec_alone import load_msgspec

    load_msgspec()
    from pypm.cli.start_plan import StartWords
    from pypm.cli.starting import start

    return start(StartWords(tuple(words)), wait="--no-wait" not in arguments, as_json="--json" in arguments)


def _list(words: list[str], as_json: bool) -> Callable[[Connection], int] | None:
    if words:
        return None
    from pypm.cli.reads import show_list

    return lambda connection: show_list(connection, [], as_json=as_json)


def _ping(words: list[str], as_json: bool) -> Callable[[Connection], int] | None:
    if words:
        return None
    from pypm.cli.reads import show_ping

    return lambda connection: show_ping(connection, as_json=as_json)


def _pid(words: list[str], as_json: bool) -> Callable[[Connection], int] | None:
    from pypm.cli.reads import show_pids

    return lambda connection: show_pids(connection, words, as_json=as_json)


def _id(words: list[str], as_json: bool) -> Callable[[Connection], int] | None:
    from pypm.cli.reads import show_ids

    return lambda connection: show_ids(connection, words, as_json=as_json)


def _jlist(words: list[str], as_json: bool) -> Callable[[Connection], int] | None:  # noqa: ARG001 - it is JSON
    if words:
        return None
    from pypm.cli.reads import show_jlist

    return lambda connection: show_jlist(connection, pretty=False)


def _stop(words: list[str], as_json: bool) -> Callable[[Connection], int] | None:
    if not _plain_targets(words):
        return None
    from pypm.cli.orders import stop

    return lambda connection: stop(connection, words, as_json=as_json)


def _restart(words: list[str], as_json: bool) -> Callable[[Connection], int] | None:
    if not _plain_targets(words):
        return None
    from pypm.cli.orders import restart

    return lambda connection: restart(connection, words, as_json=as_json)


def _plain_targets(words: list[str]) -> bool:
    from pypm.cli.targets import is_file

    return bool(words) and not any(is_file(word) for word in words)


_VERBS: dict[str, Callable[[list[str], bool], Callable[[Connection], int] | None]] = {
    "list": _list,
    "ls": _list,
    "status": _list,
    "ps": _list,
    "l": _list,
    "jlist": _jlist,
    "id": _id,
    "ping": _ping,
    "pid": _pid,
    "stop": _stop,
    "restart": _restart,
}
