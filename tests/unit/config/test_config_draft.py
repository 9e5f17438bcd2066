"""Files that are written can be read: values as they were, comments beside them."""

from __future__ import annotations

import tomllib

import hypothesis
from hypothesis import strategies as st

from pypm.config.draft import AppDraft, render

SCALARS = st.text(st.characters(exclude_categories=["Cs"])) | st.integers(-(2**63), 2**63 - 1) | st.booleans()
VALUES = SCALARS | st.lists(SCALARS, max_size=30) | st.dictionaries(st.text("ab-_ .\"'", min_size=1), SCALARS)


@hypothesis.given(st.dictionaries(st.text('abc_. "\n', min_size=1), VALUES), st.text())
def test_what_is_written_is_read(settings: dict[str, object], words: str) -> None:
    app = AppDraft(settings)
    app.notes.append(words)
    app.comments = dict.fromkeys(settings, words)
    assert tomllib.loads(render([words], [app]))["apps"] == [settings]


def test_the_form_of_a_file() -> None:
    app = AppDraft({"name": "a"})
    app.notes.append("what it is")
    app.put("script", "a.py", "why")
    app.put("env.KEY", "1")
    app.put("logs.max_size", "5M", "how much")
    app.put("args", ["--long-option", "x" * 40, "--another", "y" * 40], "what it is told")
    assert render(["Top", ""], [app], AppDraft({"namespace": "n"})) == (
        '# Top\n#\n\n[defaults]\nnamespace = "n"\n\n\n# what it is\n[[apps]]\nname = "a"\n'
        'script = "a.py"                       # why\n'
        "# what it is told\nargs = [\n"
        f'    "--long-option",\n    "{"x" * 40}",\n    "--another",\n    "{"y" * 40}",\n]\n'
        '\n[apps.env]\nKEY = "1"\n\n[apps.logs]\n'
        'max_size = "5M"                       # how much\n'
    )
