"""Whether HTTP/3 can be served here, and the reasons why not."""

from dataclasses import replace
from pathlib import Path

import pytest

from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from proxy.quic.availability import LIBRARIES, Library, http3_problems, unavailable, written
from tests.c_library import build_library

VERSION = """
#include <stddef.h>
struct info { int age; int number; const char *text; };
static const struct info told = { 1, NUMBER, "text" };
const struct info *toy_version(int least) { return least > told.number ? NULL : &told; }
"""


@pytest.fixture
def toy(tmp_path: Path) -> Library:
    """A library of version 1.11.2."""
    source = tmp_path / "toy.c"
    source.write_text(VERSION.replace("NUMBER", "0x010b02"))
    file = build_library(source, tmp_path / "libtoy.so")
    return Library("libtoy", str(file), "libtoy-1", "toy_version", (1, 11, 2))


def test_version_is_asked_of_the_library(toy: Library) -> None:
    assert toy.version() == (1, 11, 2)
    assert toy.fault() is None
    assert written((1, 11, 2)) == "1.11.2"


def test_older_library_is_a_fault(toy: Library) -> None:
    newer = replace(toy, least=(1, 12, 0))
    assert newer.fault() == "libtoy 1.11.2 is older than 1.12.0: install a newer libtoy-1"


def test_library_that_is_not_there_is_a_fault_with_its_package(toy: Library) -> None:
    missing = replace(toy, file="libtoy-that-nobody-has.so.1")
    assert missing.version() is None
    assert missing.fault() == "libtoy-that-nobody-has.so.1 is not installed: apt-get install libtoy-1"


def test_library_without_the_function_is_as_good_as_none(toy: Library) -> None:
    assert replace(toy, function="other_version").version() is None


def test_first_reason_is_told_and_none_if_all_is_there() -> None:
    def fine() -> None:
        return None

    def first() -> str:
        return "first"

    def second() -> str:
        return "second"

    assert unavailable([fine, first, second]) == "first"
    assert unavailable([fine, fine]) is None


def test_what_is_asked_of_this_installation_has_an_answer() -> None:
    reason = unavailable()
    assert reason is None or reason
    assert {one.name for one in LIBRARIES} == {"libngtcp2", "libnghttp3"}


def test_only_listeners_that_want_it_are_warned_of() -> None:
    loaded = configured(http3=True)
    (problem,) = http3_problems(loaded, lambda: "no luck")
    assert problem.key == "listener.new.http3"
    assert "no luck" in problem.found
    assert not problem.is_error
    assert http3_problems(loaded, lambda: None) == ()
    assert http3_problems(configured(http3=False), lambda: "no luck") == ()


def configured(*, http3: bool) -> LoadedConfig:
    listeners = {
        "new": {"bind": "127.0.0.1:443", "http3": http3},
        "old": {"bind": "127.0.0.1:444"},
    }
    return LoadedConfig(Config.model_validate({"listener": listeners}), ConfigFile(Path("/p.toml")))
