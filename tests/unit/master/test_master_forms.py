"""The form of an instance's logs: what it is made of, and what becomes of it where something is missing."""

from __future__ import annotations

import logging
import os

import msgspec
import pytest

from pypm.core.instance import Instance
from pypm.core.spec import AppSpec, LogSpec
from pypm.logs.carry import Carry, MemoryCarry
from pypm.master.forms import (
    NO_RUN,
    make_settings,
    new_carry,
    read_settings,
    taken_carry,
    warn_of_unmasked,
    with_known,
)


class Keeper:
    def __init__(self) -> None:
        self.kept: dict[str, int] = {}

    def holds(self, name: str) -> bool:
        return name in self.kept

    def take(self, name: str) -> int | None:
        return self.kept.pop(name, None)

    def hold(self, descriptors: dict[str, int]) -> None:
        self.kept.update(descriptors)


def instance(**logs) -> Instance:
    spec = AppSpec(name="a", command=("/bin/true",), cwd="/", logs=LogSpec(**logs))
    return Instance(id=3, app="a", index=0, spec=spec, created=0.0, since=0.0)


def test_settings_are_those_of_the_spec_and_the_run() -> None:
    assert make_settings(instance(), "out", NO_RUN, {}) is None
    redact = ("a+b", "ENV:KEY", "ENV:PEM", "ENV:SHORT", "ENV:NONE")
    one = instance(form="json", redact=redact)
    env = {"KEY": "hunter22", "PEM": "begin\nabcdef\n\nend", "SHORT": "abc"}
    settings = make_settings(one, "error", "9f3c21ab12cd", env)
    framing = settings.framing
    assert (framing.form, framing.stream, framing.instance_id, framing.name) == ("json", "err", 3, "a")
    assert (framing.patterns, framing.secrets) == (("a+b",), (b"hunter22", b"begin", b"abcdef"))
    assert settings.redact == redact


def test_variables_that_mask_nothing_are_told(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_unmasked(
            instance(form="text", redact=("x", "ENV:A", "ENV:B", "ENV:C")), {"A": "abcd", "B": "abc"}
        )
    assert [record.getMessage() for record in caplog.records] == [
        "a: ENV:B masks nothing: the variable has less than 4 bytes",
        "a: ENV:C masks nothing: the variable is not set",
    ]


def test_secrets_of_a_run_are_known_from_the_master_that_began_it() -> None:
    one = instance(form="text", redact=("ENV:KEY",))
    known = make_settings(one, "out", "9f3c21ab12cd", {"KEY": "hunter22"})
    now = make_settings(one, "out", "9f3c21ab12cd", {})
    assert with_known(now, known) == known
    assert with_known(make_settings(one, "out", NO_RUN, {}), known) == known
    other = make_settings(one, "out", "0123456789ab", {"KEY": "other"})
    assert with_known(other, known) == other
    changed = make_settings(instance(form="text", redact=("ENV:KEY", "b")), "out", "9f3c21ab12cd", {})
    assert with_known(changed, known).framing.secrets == (b"hunter22",)
    without = make_settings(instance(form="text", redact=("b",)), "out", "9f3c21ab12cd", {})
    assert with_known(without, known) == without


def test_a_carry_is_kept_and_taken_with_its_settings() -> None:
    keeper = Keeper()
    carry = new_carry(keeper, "out:3")
    settings = make_settings(instance(form="text"), "out", NO_RUN, {})
    carry.keep_settings(msgspec.msgpack.encode(settings))
    taken = taken_carry(keeper, "out:3")
    assert isinstance(taken, Carry)
    assert read_settings(taken) == settings
    assert taken_carry(keeper, "out:3") is None
    carry.close()


def test_without_memory_files_lines_wait_in_the_master_which_says_so(monkeypatch, caplog) -> None:
    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", refuse)
    keeper = Keeper()
    with caplog.at_level(logging.WARNING):
        carry = new_carry(keeper, "out:3")
    assert type(carry) is MemoryCarry
    assert keeper.kept == {}
    assert "out:3: lines on their way into the log would die with this master" in caplog.text


def test_what_is_kept_and_no_carry_is_told_and_closed(caplog) -> None:
    keeper = Keeper()
    descriptor = os.memfd_create("other")
    keeper.hold({"carry:out:3": descriptor})
    assert taken_carry(keeper, "out:3") is None
    assert "out:3: lines on their way into the log are lost" in caplog.text
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


def test_settings_of_another_version_are_told(caplog) -> None:
    carry = Carry()
    carry.keep_settings(b"\xc1")
    assert read_settings(carry).framing.form == "raw"
    assert "not known any more" in caplog.text
    carry.close()
