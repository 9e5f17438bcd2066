"""The file formats: what is read, and what broken files are answered with."""

from __future__ import annotations

import os
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypm.config import find_default, is_config_file, load
from pypm.config.documents import read_document
from pypm.config.faults import Faults
from pypm.config.files import DEFAULT_NAMES
from pypm.config.relaxed_json import parse as parse_json
from pypm.config.yaml_file import parse as parse_yaml
from pypm.core.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text("print(1)\n")
    return tmp_path


def load_text(folder, name, text, **options):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return load(str(path), **options)


def fault(folder, name, text, **options):
    with pytest.raises(ConfigError) as caught:
        load_text(folder, name, text, **options)
    return caught.value.message.removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("e.toml", '[[apps]]\nname = "a\n', "e.toml: line 2, column "),
        ("e.toml", "[[apps]]\nname = \n", "e.toml: line 2, column 8: invalid value"),
        ("e.toml", "[[apps]]\nname = 1\nname = 2\n", "e.toml: line 3, column "),
        ("e.toml", "[[apps", "e.toml: "),
        ("e.json", '{"apps": [\n  {"name": x}\n]}', "e.json: line 2, column 12: "),
        ("e.json", '{"apps": [', "e.json: line 1, column "),
        ("e.json", '// a\n/* b\n c */ {"apps": [,]}', "e.json: line 3, column 17: "),
        ("e.json", '{"apps": [{"name": NaN}]}', "e.json: NaN is not a JSON value"),
        ("e.json", '{"a": 1, "a": 2}', 'e.json: an object has the key "a" twice'),
        ("e.json", "", "e.json: line 1, column 1: "),
        ("e.yaml", "apps:\n  - name: [a\n", "e.yaml: line 3, column 1: "),
        ("e.yaml", "apps:\n  - name: a\n   script: b\n", "e.yaml: line 3, column "),
        ("e.yml", "a: 1\na: 2\n", 'e.yml: line 2, column 1: the key "a" is there twice'),
        ("e.yml", "? [a]\n: 1\n", "e.yml: line 1, column 3: a key must be text"),
        ("e.yml", "a: *nope\n", "e.yml: line 1, column 4: "),
        ("e.yml", "a: !!python/object:os.system x\n", "e.yml: line 1, column 4: "),
        ("e.yml", "a: 1\n---\nb: 2\n", "e.yml: line 2, column 1: "),
    ],
)
def test_broken_syntax_is_told_with_line_and_column(folder, name, text, place):
    assert fault(folder, name, text).startswith(place)


@pytest.mark.parametrize(("name", "sign"), [("e.toml", "["), ("e.json", "["), ("e.yaml", "[")])
def test_nesting_without_end_is_a_fault_of_the_file(folder, name, sign):
    before = "x = " if name == "e.toml" else ""
    assert fault(folder, name, before + sign * 100_000).startswith(f"{name}: ")


def test_files_that_cannot_be_read(folder):
    for path, text in (
        ("nope.toml", "there is no such file"),
        ("no/e.toml", "there is no such file"),
        ("app.py", "not a configuration: expected a name that ends in .toml, .json, .yaml or .config.js"),
        ("d.toml", "not a regular file"),
        ("latin.toml", "line 2: is not UTF-8 text"),
        ("app.py/e.toml", "cannot be read: Not a directory"),
        ("pipe.toml", "not a regular file"),
    ):
        if path == "d.toml":
            (folder / path).mkdir()
        if path == "latin.toml":
            (folder / path).write_bytes(b"a = 1\nb = '\xe4'\n")
        if path == "pipe.toml":
            os.mkfifo(folder / path)
        with pytest.raises(ConfigError) as caught:
            load(str(folder / path))
        assert caught.value.message == f"{folder}/{path}: {text}"


def test_a_mistyped_file_is_answered_with_its_neighbour(folder):
    (folder / "ecosystem.toml").write_text("")
    with pytest.raises(ConfigError, match=r'there is no such file; did you mean "ecosystem.toml"\?'):
        load(f"{folder}/ecosytem.toml")


def test_a_file_may_begin_with_a_byte_order_mark(folder):
    (folder / "e.toml").write_bytes(b'\xef\xbb\xbf[[apps]]\nscript = "app.py"\n')
    assert load(f"{folder}/e.toml")[0].name == "app"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("e.toml", "", "e.toml: apps: declares no apps"),
        ("e.toml", "apps = 5", "e.toml: apps: 5 is a number: expected a list of apps"),
        ("e.toml", "apps = [5]", "e.toml: apps[0]: 5 is a number: expected a table"),
        ("e.toml", '[apps]\nscript = "app.py"', "e.toml: apps: is a table; write [[apps]] with two brackets"),
        ("e.toml", '[[app]]\nscript = "app.py"', 'e.toml: app: unknown key; did you mean "apps"?'),
        ("e.toml", 'script = "app.py"', "e.toml: script: belongs to an app: write it below [[apps]]"),
        (
            "e.toml",
            "[[apps]]\nscript = 'app.py'\n[default]\n",
            'e.toml: default: unknown key; did you mean "defaults"?',
        ),
        (
            "e.toml",
            "defaults = 1\n[[apps]]\nscript = 'app.py'",
            "e.toml: defaults: 1 is a number: expected a table",
        ),
        (
            "e.toml",
            "[defaults]\nname = 'x'\n[[apps]]\nscript='app.py'",
            "e.toml: defaults.name: belongs to one app",
        ),
        (
            "e.toml",
            "[defaults]\nmax_restart = 1\n[[apps]]\nscript='app.py'",
            "e.toml: defaults.max_restart: unknown",
        ),
        ("e.json", "5", "e.json: 5 is a number: expected a list of apps"),
        ("e.json", "[]", "e.json: declares no apps"),
        ("e.json", "[5]", "e.json: apps[0]: 5 is a number: expected a table"),
        ("e.json", '{"version": 1}', "e.json: declares no apps: expected"),
        (
            "e.json",
            '{"apps": {"script": "app.py"}, "static": [{"path": "x"}]}',
            "e.json: static: not supported yet",
        ),
        ("e.toml", "deploy.x = 1\n[[apps]]\nscript='app.py'", "e.toml: deploy: unknown key"),
        ("e.json", '{"apps": [{"script": "app.py"}], "x": 1}', "e.json: x: unknown key"),
        ("e.yaml", "", "e.yaml: null is nothing: expected a list of apps"),
    ],
)
def test_the_frame_of_a_file_is_checked(folder, name, text, message):
    assert fault(folder, name, text).startswith(message)


@pytest.mark.parametrize(
    "text",
    [
        '{"apps": [{"script": "app.py"}]}',
        '{"apps": {"script": "app.py"}}',
        '{"pm2": [{"script": "app.py"}]}',
        '{"apps": [{"script": "app.py"}], "deploy": {"production": {"user": "node", "host": ["a"]}}}',
        '[{"script": "app.py"}]',
        '{"script": "app.py"}',
        '// the app\n{"apps": [ /* one\n */ {"script": "app.py", // runs\n}, ], }',
    ],
)
def test_every_shape_of_pm2_is_read(folder, text):
    (spec,) = load_text(folder, "e.json", text)
    assert (spec.name, spec.instance_var, spec.cwd) == ("app", "NODE_APP_INSTANCE", str(folder))


def test_signs_within_texts_are_no_comments(folder):
    text = '{"script": "app.py", "args": ["http://x/*y*/", ",]", "\\"//"], /* "x" */}'
    assert load_text(folder, "e.json", text)[0].command[2:] == ("http://x/*y*/", ",]", '"//')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(json_values, st.booleans())
def test_json_with_comments_and_trailing_commas_means_the_same(value, ascii_only):
    import json

    class Commented(json.JSONEncoder):
        item_separator = ", // and, ]\n /* } */"

    text = json.dumps(
        value, cls=Commented, ensure_ascii=ascii_only, separators=(", // and, ]\n /* } */", ": ")
    )
    assert parse_json(text) == value


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_text_that_is_no_json_is_a_value_error_at_most(text):
    for form in (f"[{text},]", text):
        try:
            parse_json(form)
        except ValueError:
            continue


def test_yaml_has_the_scalars_of_yaml_1_2():
    text = "{a: on, b: 12:30, c: 0777, d: 0x1F, e: 1e3, f: ~, g: true, h: No, i: 2024-01-01, j: '5', k: -3, "
    assert parse_yaml(text + "l: .5, m: }") == {
        "a": "on",
        "b": "12:30",
        "c": 777,
        "d": 31,
        "e": 1000.0,
        "f": None,
        "g": True,
        "h": "No",
        "i": "2024-01-01",
        "j": "5",
        "k": -3,
        "l": 0.5,
        "m": None,
    }
    assert parse_yaml("{1: a, true: b, null: c}") == {"1": "a", "true": "b", "null": "c"}


def test_yaml_anchors_and_merges_may_be_overridden():
    text = """
        base: &base {a: 1, b: 2}
        deep:
          er: &more
            <<: *base
            b: 3
        all: {<<: *more, c: 4}
        """
    parsed = parse_yaml(textwrap.dedent(text))
    assert parsed["deep"]["er"] == {"a": 1, "b": 3}
    assert parsed["all"] == {"a": 1, "b": 3, "c": 4}


def test_a_yaml_list_within_itself_is_a_fault(folder):
    text = "script: app.py\nenv: {A: &a [*a]}\n"
    assert "env: A cannot be written as JSON" in fault(folder, "e.yaml", text)
    assert "args" in fault(folder, "e.yaml", "script: app.py\nargs: &a [*a]\n")


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), name=st.sampled_from(["e.toml", "e.json", "e.yaml"]))
def test_random_bytes_are_a_config_error_at_most(tmp_path_factory, data, name):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    faults = Faults("f")
    try:
        document = read_document(str(path), faults)
    except ConfigError as error:
        faults.lines.append(error.message)
    else:
        assert document.apps or faults.lines
    assert all(line.startswith((f"{path}: ", "f: ")) for line in faults.lines)


def test_which_words_are_configurations(folder):
    for name in (
        "a.toml",
        "a.json",
        "A.YAML",
        "a.yml",
        "ecosystem.config.js",
        "x.config.cjs",
        "x.config.mjs",
    ):
        assert not is_config_file(str(folder / name))
        (folder / name).write_text("")
        assert is_config_file(str(folder / name))
    for name in ("app.js", "app.py", "config.js", "toml"):
        (folder / name).write_text("")
        assert not is_config_file(str(folder / name))
    (folder / "d.toml").mkdir()
    assert not is_config_file(str(folder / "d.toml"))
    assert not is_config_file("")


def test_the_file_that_is_meant_when_none_is_named(tmp_path):
    assert find_default(str(tmp_path)) is None
    for name in reversed(DEFAULT_NAMES):
        (tmp_path / name).write_text("")
        assert find_default(str(tmp_path)) == f"{tmp_path}/{name}"
        assert is_config_file(f"{tmp_path}/{name}")
