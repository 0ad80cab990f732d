"""`plexigate route`: what it says, and with which status it ends."""

import json
import tomllib
from pathlib import Path

import pytest

from config.schema import Config
from proxy.commands.route import Course, course_of
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


CONFIG = Config.model_validate(
    tomllib.loads("""
[listener.public]
bind = "127.0.0.1:0"
[identity.chat]
names = ["chat.test", "*.chat.test", "empty.test"]
certificate = "chat.pem"
key = "chat.key"
[upstream.chat]
servers = ["http://127.0.0.1:1"]
[upstream.other]
servers = ["http://127.0.0.1:1"]
[[route]]
host = "chat.test"
upstream = "chat"
[[route]]
host = "chat.test"
path = "/api"
methods = ["POST"]
strip_prefix = "/api"
upstream = "other"
[[route]]
host = "chat.test"
path = "/api"
query = { v = "2" }
headers = { X-Version = "2" }
upstream = "chat"
[[route]]
host = "chat.test"
path = "/inside"
allow = ["10.0.0.0/8"]
pq = "require"
rate = { requests_per_second = 1.0, burst = 1, per = "client" }
upstream = "chat"
[[route]]
host = "chat.test"
path = "/robots.txt"
respond = { body = "x" }
[[route]]
host = "*.chat.test"
redirect = { to = "https://chat.test{path}" }
""")
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


def course(
    start: str = "GET / HTTP/1.1",
    *lines: str,
    host: str = "chat.test",
    client: str | None = None,
    config: Config = CONFIG,
) -> Course:
    raw = "\r\n".join([start, f"Host: {host}", *lines, "", ""])
    return course_of(config, raw.encode(), client)


@pytest.mark.parametrize(
    ("start", "lines", "route", "answer", "target"),
    [
        ("GET /a?b HTTP/1.1", (), "chat.test/", "upstream chat", "/a?b"),
        ("POST /api/x?y HTTP/1.1", (), "chat.test/api POST", "upstream other", "/x?y"),
        ("POST /api?v=2 HTTP/1.1", ("X-Version: 2",), "chat.test/api x-version=2 ?v=2", "upstream chat", "/api?v=2"),
        ("GET /robots.txt HTTP/1.1", (), "chat.test/robots.txt", "respond", None),
    ],
)
def test_request_takes_its_route(
    start: str, lines: tuple[str, ...], route: str, answer: str, target: str | None
) -> None:
    found = course(start, *lines)
    assert (found.route, found.answer, found.target, found.is_refused) == (route, answer, target, False)


def test_suffix_of_a_host_takes_the_others() -> None:
    assert course(host="a.chat.test").answer == "redirect"


@pytest.mark.parametrize(
    ("start", "host", "status"),
    [
        ("GET /api HTTP/1.1", "chat.test", 405),
        ("GET /api?v=2&v=1 HTTP/1.1", "chat.test", 405),
        ("POST /robots.txt HTTP/1.1", "chat.test", 405),
        ("POST /ap%69/x HTTP/1.1", "chat.test", 400),
        ("POST /api//x HTTP/1.1", "chat.test", 400),
        ("GET /a%2F..%2Fb HTTP/1.1", "chat.test", 400),
        ("BREW / HTTP/1.1", "chat.test", 501),
        ("GET / HTTP/1.1", "empty.test", 404),
        ("GET / HTTP/1.1", "evil.test", 421),
        ("GET / HTTP/1.1", "a b", 400),
    ],
)
def test_request_is_refused_as_the_proxy_would(start: str, host: str, status: int) -> None:
    found = course(start, host=host)
    assert (found.answer, found.is_refused) == (f"error {status}", True)


def test_client_decides_where_networks_do() -> None:
    inside = course("GET /inside HTTP/1.1", client="10.0.0.1")
    assert (inside.answer, inside.demands) == (
        "upstream chat",
        ("post-quantum key exchange", "no more requests than its rate allows"),
    )
    assert course("GET /inside HTTP/1.1", client="192.0.2.1").answer == "error 403"
    assert any("--client" in demand for demand in course("GET /inside HTTP/1.1").demands)


def test_endpoints_of_sessions_are_known(site: Site) -> None:
    text = site.minimal + 'payload = "accept"\npayload_sessions = true\n[payload.sessions]\n'
    config = Config.model_validate(tomllib.loads(text))
    found = course("GET /.well-known/payload-keys HTTP/1.1", config=config)
    assert (found.route, found.answer) == ("chat.test/.well-known/payload-keys", "sessions of payload encryption")
