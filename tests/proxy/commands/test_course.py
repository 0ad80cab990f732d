"""What a configuration does with a request is what the proxy does."""

import tomllib

import pytest

from config.schema import Config
from proxy.commands.course import Course, course_of
from tests.configurations import Site

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
