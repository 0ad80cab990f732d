"""What the file system has at the places that a configuration names."""

import os
import socket
import time
from pathlib import Path

import pytest

from config.loading.loader import load, survey
from config.loading.reading import READ_SECONDS
from config.values.problems import ConfigError, Problem
from tests.configurations import Site
from tests.silent_files import silence


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


def found(site: Site, text: str) -> dict[str, Problem]:
    return {problem.key: problem for problem in survey(site.write(text)).problems}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[openssl]\nmodule_path = "missing"\n', "openssl.module_path"),
        ('[openssl]\nmodule_path = "chat.pem"\n', "openssl.module_path"),
        ('[log]\nfile = "missing/log"\n', "log.file"),
        ('[log]\nfile = "."\n', "log.file"),
        ('[audit]\nfile = "missing/audit"\n', "audit.file"),
        ('[hsm]\nmodule = "missing.so"\n[hsm.token.a]\npin_file = "pin"\n', "hsm.module"),
        (f'[log]\nfile = "{"x" * 300}/log"\n', "log.file"),
        (f'[hsm]\nmodule = "{"x" * 300}"\n[hsm.token.a]\npin_file = "pin"\n', "hsm.module"),
    ],
)
def test_a_place_that_is_not_there_is_named(site: Site, text: str, key: str) -> None:
    assert list(found(site, site.minimal + text)) == [key]


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_may_keep_its_reader_for_ever_is_no_file_and_nobody_opens_it(site: Site, kind: str) -> None:
    place = site.directory / "place"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(place))
    else:
        place.symlink_to("/dev/zero")
    text = site.minimal.replace(str(site.chat.key), "place") + '[sealing]\nkey = "place"\n'
    result = survey(site.write(text))
    assert {problem.key for problem in result.problems} == {"identity.chat.key", "sealing.key"}
    assert kind in result.problems[0].found
    assert result.loaded is not None
    with pytest.raises(NotADirectoryError):
        result.loaded.file.resolve("place").read_bytes()


def test_a_file_that_does_not_answer_is_named_and_nobody_waits_for_it_again(site: Site) -> None:
    """A start and a reload read a configuration by the same function."""
    with silence(site.chat.key):
        began = time.monotonic()
        with pytest.raises(ConfigError) as caught:
            load(site.write(f'{site.minimal}[sealing]\nkey = "{site.chat.key}"\n'))
        assert time.monotonic() - began < 2 * READ_SECONDS
        told = {problem.key: str(problem) for problem in caught.value.problems}
        assert f'"{site.chat.key}", which gives no answer within 5 s; allowed' in told["identity.chat.key"]
        assert told.keys() == {"identity.chat.key", "sealing.key"}


def test_a_file_is_fit_also_through_a_link(site: Site) -> None:
    (site.directory / "link").symlink_to(site.chat.key)
    assert found(site, site.minimal.replace(str(site.chat.key), "link")) == {}
