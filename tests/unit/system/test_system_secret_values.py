"""Reading secrets."""

from __future__ import annotations

import pytest

from pypm.system.secret_values import read_secret
from pypm.system.spawn_error import SpawnError


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"sk-1\n", "sk-1"), (b"sk-1", "sk-1"), (b"a\nb\n\n", "a\nb\n"), (b"x\r\n", "x"), (b"", "")],
)
def test_one_line_break_at_the_end_is_the_editors(tmp_path, content, value):
    (tmp_path / "s").write_bytes(content)
    assert read_secret("KEY", str(tmp_path / "s")) == value


@pytest.mark.parametrize("content", [b"top secret\0", b"top secret\xff", b"top secret" * 7000])
def test_a_fault_says_nothing_of_the_content(tmp_path, content):
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(SpawnError, match=r"secrets\.KEY: ") as caught:
        read_secret("KEY", str(tmp_path / "s"))
    assert "top secret" not in str(caught.value)


def test_a_file_that_is_gone(tmp_path):
    with pytest.raises(SpawnError, match="No such file"):
        read_secret("KEY", str(tmp_path / "nope"))
