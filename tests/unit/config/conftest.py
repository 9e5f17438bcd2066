"""What the tests of this folder share: an app of these keys, as a file declares it."""

from __future__ import annotations

import json

import pytest

from pypm.config import load
from pypm.core.errors import ConfigError
from pypm.core.spec import AppSpec


@pytest.fixture
def spec_of(tmp_path):
    def declare(**keys) -> AppSpec:
        (tmp_path / "app.py").write_text("")
        (tmp_path / "one.json").write_text(json.dumps({"apps": [{"script": "app.py", **keys}]}))
        (spec,) = load(str(tmp_path / "one.json"))
        return spec

    return declare


@pytest.fixture
def faults_of(spec_of):
    def declare(**keys) -> str:
        with pytest.raises(ConfigError) as caught:
            spec_of(**keys)
        return caught.value.message

    return declare
