"""The reference pages of the documentation, made from the code each time the site is built.

A hook of mkdocs (mkdocs.yml): it adds the pages of ``PAGES`` below ``reference/``. The pages that people have
written say what things are for; these say what there is, and cannot be out of date.
"""

from __future__ import annotations

import ast
import html
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import msgspec

import pypm
from pypm.cli.main import group
from pypm.cli.verbs import ALIASES, VERBS
from pypm.config import keys
from pypm.config.keys import Key
from pypm.config.probes import PROBE_KEYS
from pypm.config.schema import PROBE_VALUES, TABLES, schema_of_key
from pypm.config.units import format_duration, format_size, parse_duration
from pypm.core import causes, differences, errors
from pypm.core.instance import Status
from pypm.core.spec import AppSpec
from pypm.master.event_log import TROUBLES
from pypm.protocol import names, shapes

DOCS = Path(__file__).parents[1] / "docs"
PACKAGE = Path(pypm.__file__).parent
MADE = "*Made from the code of this version; nobody writes this page.*"

Schema = Mapping[str, Any]


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to those that mkdocs has found in the folder."""
    from mkdocs.structure.files import File

    for address, page in PAGES.items():
        files.append(File.generated(config, address, content=page()))
    return files


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of Markdown; a `|` may stand in code only."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def code(text: object) -> str:
    """Words as code, in a table too."""
    return f"`{text}`"


def text_of(words: str) -> str:
    """A sentence whose signs mean themselves outside of `code`."""
    parts = words.replace("``", "`").split("`")
    plain = [
        re.sub(r"([*_\[\]])", r"\\\1", html.escape(part, quote=False)).replace("|", "&#124;")
        for part in parts[::2]
    ]
    coded = [f"`{part}`" for part in parts[1::2]]
    return "".join(each for pair in zip(plain, [*coded, ""], strict=False) for each in pair)


# -- the command line


def commands() -> str:
    """Every verb: its usage, help, examples and options."""
    verbs = list(dict.fromkeys(VERBS))
    parts = ["# Commands", MADE, "What each is for, in more words: [the command line](../cli.md)."]
    for verb in verbs:
        parts += list(command_parts(verb))
    return "\n\n".join(parts) + "\n"


def command_of(verb: str) -> click.Command:
    """The click command of a verb."""
    command = group.get_command(click.Context(group), verb)
    if command is None:
        raise LookupError(verb)
    return command


def command_parts(verb: str) -> Iterator[str]:
    """The section of one verb."""
    command = command_of(verb)
    context = click.Context(command, info_name=f"pypm {verb}")
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## {verb}"
    yield f"    pypm {verb} {usage}"
    aliases = [code(alias) for alias, real in ALIASES.items() if real == verb]
    if aliases:
        yield f"Also: {', '.join(aliases)}."
    yield from paragraphs(command.help or "")
    rows = [
        option_row(each, context)
        for each in command.params
        if isinstance(each, click.Option) and not each.hidden
    ]
    if rows:
        yield table(("option", ""), rows)


def paragraphs(help_text: str) -> Iterator[str]:
    """A help text: what is preformatted there (``\\b``) is preformatted here."""
    for paragraph in inspect.cleandoc(help_text).split("\n\n"):
        if paragraph.startswith("\b"):
            lines = paragraph.removeprefix("\b").lstrip("\n").split("\n")
            yield "\n".join(f"    {line}" for line in lines)
        else:
            yield text_of(" ".join(paragraph.split()))


def option_row(option: click.Option, context: click.Context) -> tuple[str, str]:
    """An option's names with what it takes, and its help."""
    record = option.get_help_record(context)
    written, said = record if record is not None else (", ".join(option.opts), option.help or "")
    return code(written), text_of(said)


# -- the ecosystem file


OF_OPTIONS = """Each name is also taken in camelCase, as PM2 does. A change of what is marked `restart` takes
a new run; of everything else the run that is there goes on. What a key means is behind its link."""


def options() -> str:
    """Every key of an ecosystem file: its names, what it takes, its default, what a change of it takes."""
    parts = [
        "# Options",
        MADE,
        OF_OPTIONS,
    ]
    tables = [("The app", "", keys.KEYS), *_tables()]
    for title, prefix, of_table in tables:
        parts += [f"## {title}", table(KEY_HEAD, [key_row(prefix, key) for key in of_table])]
    parts += [
        "## Probes",
        "`[apps.health.startup]`, `.liveness` and `.readiness`.",
        table(KEY_HEAD, _probes()),
    ]
    parts += ["## What is refused", refused()]
    return "\n\n".join(parts) + "\n"


KEY_HEAD = ("key", "also", "takes", "default", "a change")


def _tables() -> list[tuple[str, str, tuple[Key, ...]]]:
    return [(f"`[apps.{name}]`", f"{name}.", of_table) for name, of_table in TABLES.items()]


def key_row(prefix: str, key: Key) -> tuple[str, ...]:
    """The row of one key; ``prefix`` is its table's name with a full stop."""
    schema = schema_of_key(key)
    default, change = of_spec(prefix + key.name)
    return (
        f"[`{key.name}`](../ecosystem.md#{section_of(key.name)})",
        ", ".join(map(code, key.aliases)),
        taken(schema) if schema else "",
        default,
        change,
    )


def of_spec(written: str) -> tuple[str, str]:
    """The default of a key in the words of the file, and ``restart`` where a change takes a new run."""
    for path, key in differences.KEYS.items():
        if key.written == written:
            return shown(_default(path), key.unit), "restart" if key.restart else ""
    return "", ""


def _default(path: str) -> Any:
    value: Any = AppSpec(name="", command=(), cwd="")
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


def shown(value: Any, unit: str) -> str:
    """A default as one would write it; nothing for none."""
    if value is None or value in ((), {}, ""):
        return ""
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, float) and unit == "":
        return code(format_duration(value))
    if unit == "bytes":
        return code(format_size(value))
    if isinstance(value, tuple | list) and all(isinstance(each, msgspec.Struct) for each in value):
        return ", ".join(code(each.action) for each in value)
    if isinstance(value, msgspec.Struct):
        return ""
    return code(value if isinstance(value, str | int) else msgspec.json.encode(value).decode())


def section_of(name: str) -> str:
    """The anchor of the section of docs/ecosystem.md that has the row of a key."""
    section = ""
    for line in (DOCS / "ecosystem.md").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"#{2,} (.*)", line):
            section = re.sub(r"[^\w\- ]", "", match[1].lower()).strip().replace(" ", "-")
        elif line.startswith(f"| `{name}` |"):
            return section
    raise LookupError(f"docs/ecosystem.md has no row about {name}")


DEFINED = {"text": "text", "duration": "duration", "size": "size", "environment": "table", "ladder": "ladder"}
DEFINED |= {"hook": "command or table", "probe": "[probe](#probes)", "rules": "rules", "digits": ""}
"""Definitions of the schema, in words; digits are numbers written as text, which goes without saying."""
TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "boolean"}
TYPES |= {"object": "table"}


def taken(schema: Schema) -> str:
    """What a JSON Schema takes, in words."""
    return " or ".join(dict.fromkeys(word for word in _words(schema) if word))


def _words(schema: Schema) -> Iterator[str]:
    if "$ref" in schema:
        yield DEFINED[schema["$ref"].rpartition("/")[2]]
    for each in schema.get("anyOf", ()):
        yield from _words(each)
    values = [schema["const"]] if "const" in schema else schema.get("enum", ())
    yield from (code(msgspec.json.encode(value).decode()) for value in values)
    kinds = schema.get("type", ())
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind == "array":
            items = taken(schema["items"])
            yield "list" if " or " in items else f"list of {items}"
        elif kind == "integer" and "minimum" in schema:
            most = f" to {schema['maximum']}" if "maximum" in schema else " or more"
            yield f"{schema['minimum']}{most}"
        else:
            yield TYPES[kind]


def _probes() -> Iterator[tuple[str, ...]]:
    for name, convert in PROBE_KEYS.items():
        schema = PROBE_VALUES.get(name) or {"$ref": "/duration" if convert is parse_duration else "/text"}
        yield f"[`{name}`](../ecosystem.md#probes)", "", taken(schema), "", ""


def refused() -> str:
    """PM2's keys that pypm does not have, with the reasons; a value that asks for nothing is taken."""
    rows = [(code(name), why) for name, why in keys.NEVER.items()]
    rows += [(code(name), "not supported yet") for name in sorted(keys.NOT_YET)]
    return table(("key", "why"), rows)


# -- the protocol


def protocol() -> str:
    """Every method with its parameters, and the shapes of the answers."""
    parts = [
        "# Methods and shapes",
        MADE,
        "What they do, and how they are asked: [the protocol](../protocol.md).",
    ]
    parts += [f"This is version {names.PROTOCOL_VERSION} of it.", "## Methods of the socket"]
    for method in names.METHODS:
        parts += list(method_parts(method))
    parts.append("## Shapes")
    for name in shapes.__all__:
        shape = getattr(shapes, name)
        if hasattr(shape, "__annotations__"):
            rows = [(code(field), code(_type_name(kind))) for field, kind in _fields(shape).items()]
            parts += [
                f"### {name}",
                text_of(str(shape.__doc__ or "").strip()),
                table(("field", "type"), rows),
            ]
    return "\n\n".join(part for part in parts if part) + "\n"


def method_parts(method: str) -> Iterator[str]:
    """The section of one method."""
    module = import_module(f"pypm.master.handlers.{method}")
    yield f"### {method}"
    yield text_of(str(module.__doc__).split("\n\n")[0].rpartition("``: ")[2].capitalize())
    if method in names.KEYED:
        yield "Takes a `key`: it is carried out once for each."
    if method in names.VERSIONLESS:
        yield "Answered to clients of any version."
    rows = [param_row(field) for field in msgspec.structs.fields(module.Params)]
    yield table(("parameter", "type", "default"), rows) if rows else "No parameters."


def param_row(field: msgspec.structs.FieldInfo) -> tuple[str, ...]:
    """The row of a parameter."""
    default = "" if field.required else code(msgspec.json.encode(_default_of(field)).decode())
    return code(field.encode_name), code(_type_name(field.type)), default or "needed"


def _default_of(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _fields(shape: Any) -> dict[str, Any]:
    return get_type_hints(shape)


def _type_name(kind: Any) -> str:
    """A type as one writes it, without the modules and conditions."""
    if hasattr(kind, "__metadata__"):
        kind = kind.__origin__
    written = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
    plain = re.sub(r"\b(?:typing|pypm)\.(?:\w+\.)*", "", written).replace("NoneType", "None")
    return re.sub(r"Optional\[(?:Annotated\[)?(\w+).*\]", r"\1 | None", plain)


# -- words


def words() -> str:
    """The values that fields, rules and scripts go by."""
    kinds = [
        error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, Exception)
    ]
    statuses = sorted(
        {(error.exit_status, error.__name__) for error in kinds if hasattr(error, "exit_status")}
    )
    parts = ["# Words", MADE]
    for title, found in (
        ("Statuses", [each.value for each in Status]),
        ("Health", get_args(shapes.Health)),
        ("Causes of an end", causes.CAUSES),
        ("[Events](../events.md)", event_names()),
        ("Kinds of errors", names.ERROR_KINDS),
        ("Environment of a run", names.AGENT_VARIABLES),
    ):
        parts += [f"## {title}", "\n".join(f"- `{each}`" for each in found)]
    parts += [
        "## Exit statuses",
        table(("status", "exception"), [(str(status), code(name)) for status, name in statuses]),
    ]
    return "\n\n".join(parts) + "\n"


TELLERS = ("Tell", "_tell", "record", "_record", "_line")
"""What is called with the name of an event."""


def event_names() -> list[str]:
    """The names of all events that the code tells; ``operator.*`` where the rest is not written in it."""
    found = {*TROUBLES.values()}
    for room in ("core", "master"):
        for module in sorted((PACKAGE / room).rglob("*.py")):
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and _called(node) in TELLERS:
                    found.update(_names_in(node))
    return sorted(found)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _names_in(call: ast.Call) -> Iterator[str]:
    for argument in call.args[:2]:
        for node in ast.walk(argument):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"[a-z]+\.[a-z_]+", node.value):
                    yield node.value
                elif re.fullmatch(r"[a-z]+\.", node.value):
                    yield f"{node.value}*"


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/commands.md": commands,
    "reference/options.md": options,
    "reference/protocol.md": protocol,
    "reference/words.md": words,
}
"""Address below docs/ -> what makes the page."""
