"""Every step that a test of the core takes is checked: see invariants.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from invariants import checked_step

from pypm.testing import simulation


@pytest.fixture(autouse=True, scope="session")
def _every_step_is_checked() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "step", checked_step)
        yield
