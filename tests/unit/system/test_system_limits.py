"""What pypm takes for itself, and agents do not get with it."""

from __future__ import annotations

import pytest

from pypm.system import attributes, limits
from pypm.system.attributes import inherited_oom_score
from pypm.system.limits import oom_score_of_shell, protect_from_oom
from pypm.system.spawn_error import SpawnError


@pytest.fixture
def score(tmp_path, monkeypatch):
    """A file in the place of the kernel's, which also takes what only root may write there."""
    path = tmp_path / "oom_score_adj"
    path.write_text(" 0\n")
    monkeypatch.setattr(limits, "OWN_OOM_SCORE", str(path))
    monkeypatch.setattr(attributes, "OWN_OOM_SCORE", str(path))
    monkeypatch.delenv("PYPM_OOM_SCORE_ADJ", raising=False)
    monkeypatch.setenv("PYPM_OOM_SCORE_ADJ", "none")  # so that it is put back afterwards
    monkeypatch.delenv("PYPM_OOM_SCORE_ADJ")
    return path


def written(path) -> list[int]:
    """All that was written, one after the other: unlike the kernel's, the file has an end that moves."""
    return [int(each) for each in path.read_text().replace("-", " -").split()]


def test_the_guardian_is_protected_and_the_shells_own_is_remembered(score):
    assert oom_score_of_shell() is None
    protect_from_oom()
    assert written(score) == [0, -900]
    assert oom_score_of_shell() == 0


def test_who_is_better_protected_stays_so(score):
    score.write_text("-1000\n")
    protect_from_oom()
    assert written(score) == [-1000]
    assert oom_score_of_shell() is None


def test_who_may_not_goes_on_as_before(score, monkeypatch):
    monkeypatch.setattr(limits, "OWN_OOM_SCORE", "/nowhere/oom_score_adj")
    protect_from_oom()
    assert oom_score_of_shell() is None


def test_a_protected_master_gives_agents_the_shells(score, monkeypatch):
    monkeypatch.setenv("PYPM_OOM_SCORE_ADJ", "100")
    score.write_text(" -900\n")
    with inherited_oom_score(None):
        assert written(score) == [-900, 100]
    assert written(score)[-1] == -900


def test_one_that_is_not_protected_leaves_it(score):
    with inherited_oom_score(None):
        assert written(score) == [0]
    assert written(score) == [0]


def test_what_was_is_restored_after_a_failure(score):
    with pytest.raises(ZeroDivisionError), inherited_oom_score(500):
        raise ZeroDivisionError
    assert written(score) == [0, 500, 0]


def test_lower_than_we_may_is_told(score, monkeypatch):
    monkeypatch.setattr(attributes, "OWN_OOM_SCORE", "/proc/self/oom_score_adj")
    with open("/proc/self/status") as file:
        capable = int(next(line.split()[1] for line in file if line.startswith("CapEff:")), 16) >> 24 & 1
    if capable:
        pytest.skip("this process may do all")
    with (
        pytest.raises(SpawnError, match=r"limits\.oom_score_adj = -5: Permission denied"),
        inherited_oom_score(-5),
    ):
        pass
