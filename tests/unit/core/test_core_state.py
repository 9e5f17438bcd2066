"""The state's bytes: what goes in comes out, and nothing that is damaged is taken for a state."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Instance
from pypm.core.spec import AppSpec, LogSpec, Origin, RestartPolicy
from pypm.core.state import (
    App,
    NewerStateError,
    State,
    StateError,
    assemble,
    decode,
    encode_app,
    encode_instance,
    encode_origin,
)
from pypm.testing import Program, Simulation

SPEC = AppSpec(
    "wörker",
    ("/bin/worker", "--flag", 'a "quoted" one\n'),
    "/srv",
    instances=2,
    env={"KEY": "välue"},
    filter_env=True,
    restart=RestartPolicy(max_restarts=None, stop_exit_codes=(0, 3)),
    logs=LogSpec(out_file="/dev/null"),
)
NO_ORIGIN = Origin()


def lived(seconds: float) -> Instance:
    life = Simulation(SPEC, [Program(lives=5.0, signal=9), Program()])
    life.handle(ev.StartRequested())
    life.run(seconds)
    return replace(life.instance, id=4, index=1)


def written(instances: list[Instance], origin: Origin = NO_ORIGIN) -> bytes:
    apps = [encode_app(App(SPEC, 12.5, origin), "o1")]
    encoded = [encode_instance(instance) for instance in instances]
    return assemble("boot-1", 100.5, 1e9, 9, {"o1": encode_origin(origin)}, apps, encoded)


def test_what_goes_in_comes_out() -> None:
    origin = Origin(env={"PATH": "/bin", "LANG": "C"}, umask=0o077)
    instances = [lived(0.0), lived(3.0), lived(5.01), lived(60.0)]
    state = decode(written(instances, origin))
    assert state == State(1, "boot-1", 100.5, 1e9, 9, [App(SPEC, 12.5, origin)], instances)


def test_an_empty_state() -> None:
    state = decode(assemble("b", 1.0, 2.0, 0, {}, [], []))
    assert state == State(1, "b", 1.0, 2.0, 0, [], [])


def test_a_spec_is_stored_once() -> None:
    assert written([lived(3.0)] * 5).count(b'a \\"quoted\\" one') == 1


def test_it_can_be_read_by_people_a_line_an_instance() -> None:
    lines = written([lived(3.0), lived(9.0)]).decode().splitlines()
    assert sum(line.startswith('{"id":4,') for line in lines) == 2


@settings(max_examples=80, deadline=None)
@given(st.integers(min_value=0, max_value=100_000))
def test_a_torn_state_is_never_a_state(length: int) -> None:
    whole = written([lived(3.0)])
    with pytest.raises(StateError):
        decode(whole[: length % (len(whole) - 1)])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
@example(b"\x00" * 4096)
@example(b'{"version":1,"boot_id":"\xff"}')
@example(b'{"version":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
def test_random_bytes_are_no_state(data: bytes) -> None:
    with pytest.raises(StateError):
        decode(data)


def test_one_wrong_byte_in_a_text_is_damage() -> None:
    with pytest.raises(StateError):
        decode(written([lived(3.0)]).replace("välue".encode(), b"v\xfflue!"))


def test_a_state_of_a_newer_pypm_is_told_from_damage() -> None:
    with pytest.raises(NewerStateError, match="version 2"):
        decode(b'{"version":2,"boot_id":["all","is","different"]}')


def test_an_instance_without_its_app_is_damage() -> None:
    orphan = encode_instance(replace(lived(3.0), app="gone"))
    with pytest.raises(StateError, match="gone"):
        decode(assemble("b", 1.0, 2.0, 0, {}, [], [orphan]))
    with pytest.raises(StateError, match="o9"):
        decode(assemble("b", 1.0, 2.0, 0, {}, [encode_app(App(SPEC, 1.0), "o9")], []))


def test_unknown_fields_are_passed_over() -> None:
    data = msgspec.json.decode(written([lived(3.0)]))
    data["new"] = 1
    data["apps"][0]["spec"]["new"] = {"a": 1}
    data["instances"][0]["new"] = [1]
    data["instances"][0]["run"]["new"] = None
    state = decode(msgspec.json.encode(data))
    assert state.instances == [lived(3.0)]
