from hypothesis import given
from hypothesis import strategies as st

from pypm.core.spec import AppSpec, LogSpec
from pypm.logs.paths import LogFiles, file_stem, log_files


def spec(name: str = "agent", instances: int = 1, **logs: object) -> AppSpec:
    return AppSpec(name=name, command=("/bin/true",), cwd="/", instances=instances, logs=LogSpec(**logs))


def test_one_instance_has_no_index() -> None:
    expected = LogFiles("/h/logs/agent-out.log", "/h/logs/agent-error.log", None)
    assert log_files("/h/logs", spec(), 0) == expected


def test_several_instances_have_one() -> None:
    expected = LogFiles("/l/agent-1-out.log", "/l/agent-1-error.log", None)
    assert log_files("/l", spec(instances=2), 1) == expected


def test_merged_instances_share() -> None:
    several = spec(instances=3, merge=True, combined_file="/c.log")
    assert log_files("/l", several, 0) == log_files("/l", several, 2)
    assert log_files("/l", several, 2).combined == "/c.log"


def test_custom_files_get_the_index_before_the_suffix() -> None:
    custom = spec(instances=2, out_file="/a/x.log", error_file="/a.b/plain", combined_file="/a/y.txt")
    assert log_files("/l", custom, 1) == LogFiles("/a/x-1.log", "/a.b/plain-1", "/a/y-1.txt")


def test_words_that_keep_nothing() -> None:
    nothing = spec(instances=2, out_file="/dev/null", error_file="NULL", combined_file="disabled")
    assert log_files("/l", nothing, 1) == LogFiles(None, None, None)
    assert log_files("/l", spec(disabled=True, out_file="/x.log"), 0) == LogFiles(None, None, None)


def test_names_stay_readable_and_inside_the_folder() -> None:
    assert file_stem("web_2.1-b") == "web_2.1-b"
    assert file_stem("../a b%é") == "..%2Fa%20b%25%C3%A9"


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_names_never_become_one_file(one: str, other: str) -> None:
    assert (file_stem(one) == file_stem(other)) == (one == other)


def test_long_names_fit_a_file_system_and_stay_apart() -> None:
    one, other = file_stem("é" * 200 + "a"), file_stem("é" * 200 + "b")
    assert one != other
    assert len(f"{one}-99-error.log.99999") <= 255
