"""`plexigate route`: what it says, and with which status it ends."""

import json
from pathlib import Path

import pytest

from tests.configurations import Site
from tests.proxy.commands.test_cli import plexigate


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = Site.make(tmp_path_factory.mktemp("site"))
    inside = (
        '[[route]]\nhost = "chat.test"\npath = "/in"\nupstream = "chat"\nallow = ["10.0.0.0/8"]\nadd_prefix = "/x"\n'
    )
    by_header = 'methods = ["POST"]\nheaders = { X-A = "1" }\n'
    return site.write(site.minimal + by_header + inside)


def test_answer_is_told(file: Path) -> None:
    result = plexigate("route", str(file), "https://chat.test/a?b=1", "--method", "POST", "--header", "X-A: 1")
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        ["route      chat.test/ POST x-a=1", "answer     upstream chat", "path sent  /a?b=1"],
    )


def test_demands_are_told(file: Path) -> None:
    result = plexigate("route", str(file), "https://chat.test/in")
    assert result.exit_code == 0
    assert "path sent  /x/in" in result.stdout
    assert "demands    a client of an allowed network" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("https://chat.test", "--header", "X-A: 1"), "this is answered to POST"),
        (("https://chat.test/in", "--client", "192.0.2.1"), "the route is not for the network of 192.0.2.1"),
    ],
)
def test_refusal_is_told(file: Path, arguments: tuple[str, ...], reason: str) -> None:
    result = plexigate("route", str(file), *arguments)
    assert result.exit_code == 1
    assert f"because    {reason}" in result.stdout


def test_answer_is_json_if_asked(file: Path) -> None:
    result = plexigate("route", str(file), "https://chat.test/in", "--client", "10.0.0.1", "--json")
    assert json.loads(result.stdout) == {
        "route": "chat.test/in",
        "answer": "upstream chat",
        "target": "/x/in",
        "demands": [],
        "reason": None,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("http://chat.test/",),
        ("chat.test/",),
        ("https:///x",),
        ("https://chat.test/\u00e4",),
        ("https://chat.test/", "--header", "A: b\r\nC: d"),
        ("https://chat.test/", "--client", "chat"),
    ],
)
def test_what_is_no_request_is_refused(file: Path, arguments: tuple[str, ...]) -> None:
    assert plexigate("route", str(file), *arguments).exit_code == 2


def test_configuration_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    path = tmp_path / "plexigate.toml"
    path.write_text("[listener]\n")
    result = plexigate("route", str(path), "https://chat.test/")
    assert result.exit_code == 2
    assert "found" in result.stderr
