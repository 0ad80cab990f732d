"""What routes say about each other and about other tables."""

from typing import Any

import pytest

from config.crosschecks.routes import reach_problems
from config.schema import Config
from config.values.omissions import Omissions
from tests.cross_checks import GOOD, check


def test_a_route_leads_to_an_upstream() -> None:
    text = GOOD.replace('upstream = "chat"', 'upstream = "nowhere"')
    assert 'f: route[0].upstream: found "nowhere"; allowed: the name of an upstream: "chat"' in check(text)
    assert not any("route[0]" in problem for problem in check(text, ("upstream", "nowhere")))
    empty = text.replace("[upstream.chat]\nservers = ", "# ")
    assert check(empty) == ['f: route[0].upstream: found "nowhere"; allowed: the name of an upstream: there is none']


@pytest.mark.parametrize(
    "host", ["chat.example.org", "a.chat.example.org", "*.chat.example.org", "*.example.org", "*.org"]
)
def test_a_route_host_that_some_client_can_ask_for_is_fine(host: str) -> None:
    assert check(GOOD.replace('host = "chat.example.org"', f'host = "{host}"')) == []


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "files.example.org",
        "a.b.chat.example.org",
        "*.files.example.org",
        "*.at.example.org",
        "192.0.2.1",
    ],
)
def test_a_route_host_that_no_identity_has_is_refused(host: str) -> None:
    text = GOOD.replace('host = "chat.example.org"', f'host = "{host}"')
    assert check(text) == [
        f'f: route[0].host: found "{host}"; allowed: a host among the names of the identities, because clients can only reach these: '
        '"*.chat.example.org", "chat.example.org"'
    ]
    assert check(text, ("identity", "gone")) == []


def test_a_strict_route_needs_a_listener_that_offers_hybrids() -> None:
    text = GOOD.replace(":8443", ':8443"\npq = "off') + 'pq = "require"\n'
    (problem,) = check(text)
    assert problem.startswith(
        'f: route[0].pq: found "require"; allowed: no pq here, or a listener whose pq is not "off"'
    )
    assert check(text, ("listener", "public", "pq")) == []
    assert check(text + '[listener.two]\nbind = "[::1]:8443"\n') == []


def test_host_and_path_of_a_route_are_unique() -> None:
    again = '[[route]]\nhost = "Chat.example.org"\npath = "/"\nupstream = "chat"\n'
    assert check(GOOD + again) == [
        'f: route[1]: found host "chat.example.org" and path "/", which route[0] already uses; allowed: each pair of host and path once,'
        " or with conditions (methods, headers, query) of which one route has more, or that exclude each other"
    ]
    (problem,) = check(GOOD + again, ("route", 0))
    assert problem.startswith("f: route[2]: found")
    assert "which route[1] already uses" in problem


def conditional(*conditions: str) -> str:
    """A configuration with a route to one place for each of these conditions."""
    start = GOOD.replace('[[route]]\nhost = "chat.example.org"\nupstream = "chat"\n', "")
    return start + "".join(
        f'[[route]]\nhost = "chat.example.org"\nupstream = "chat"\n{condition}\n' for condition in conditions
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", 'methods = ["GET"]'),
        ('methods = ["GET"]', 'methods = ["POST"]'),
        ("headers = { a = '1' }", "headers = { A = '2' }"),
        ("query = { a = '1' }", "query = { a = '2' }"),
        ("query = { a = '1' }", "query = { a = '*' }"),
        ("query = { a = '1' }", "query = { a = '1', b = '*' }"),
        ("query = { a = '1' }", "methods = ['GET']\nheaders = { a = '*' }"),
    ],
)
def test_routes_of_one_place_where_one_always_wins_are_fine(one: str, other: str) -> None:
    assert check(conditional(one, other)) == []
    assert check(conditional(other, one)) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('methods = ["GET"]', 'methods = ["GET"]'),
        ('methods = ["GET"]', 'methods = ["HEAD", "POST"]'),
        ('methods = ["GET"]', "headers = { a = '*' }"),
        ("headers = { a = '*' }", "headers = { b = '*' }"),
        ("query = { a = '1' }", "query = { b = '1' }"),
        ("query = { a = '*', b = '1' }", "query = { a = '1', b = '*' }"),
        ("headers = { a = '1' }", "query = { a = '2' }"),
    ],
)
def test_routes_of_one_place_that_could_both_win_are_refused(one: str, other: str) -> None:
    (problem,) = check(conditional(one, other))
    assert problem.startswith('f: route[1]: found host "chat.example.org" and path "/" with ')
    assert "which route[0] already uses" in problem


def test_path_with_and_without_a_final_slash_are_two_routes() -> None:
    routes = [
        f'[[route]]\nhost = "chat.example.org"\npath = "{path}"\nupstream = "chat"\n' for path in ("/api", "/api/")
    ]
    assert check(GOOD + "".join(routes)) == []


def test_a_name_is_listed_once_in_what_is_allowed() -> None:
    text = (
        GOOD.replace('host = "chat.example.org"', 'host = "other.example.org"')
        + '[identity.again]\nnames = ["chat.example.org"]\n'
    )
    text += 'certificate = "a"\nkey = "b"\n'
    (host,) = [problem for problem in check(text) if problem.startswith("f: route[0].host")]
    assert host.count('"chat.example.org"') == 1


@pytest.mark.parametrize(
    ("networks", "told"),
    [
        ('deny = ["0.0.0.0/0", "::/0"]', ("deny", "networks with every client")),
        ('deny = ["0.0.0.0/1", "128.0.0.0/1"]', ("deny", '"0.0.0.0/0", every address of IPv4')),
        ('allow = ["10.1.0.0/16", "::1"]\ndeny = ["10.0.0.0/8", "::1"]', ("deny", "all networks of allow")),
        ('allow = ["10.1.0.0/16", "::1"]\ndeny = ["10.0.0.0/8"]', ("allow[0]", '"10.1.0.0/16"')),
        ('allow = ["10.0.0.0/8"]\ndeny = ["10.1.0.0/16"]', None),
        ('deny = ["10.0.0.0/8"]', None),
    ],
)
def test_networks_that_let_nobody_through_are_only_said(networks: str, told: tuple[str, str] | None) -> None:
    found = check(GOOD.replace('upstream = "chat"', f'upstream = "chat"\n{networks}', 1))
    assert [one.partition("; better")[0] for one in found] == (
        [f"f: route[0].{told[0]}: warning: found {told[1]}"] if told else []
    )


ALLOW = {"allow": ["10.0.0.0/8"]}


def route(path: str, **keys: Any) -> dict[str, Any]:
    return {"host": "chat.test", "path": path, "upstream": "chat", **keys}


def problems(*routes: dict[str, Any]) -> list[str]:
    identity = {"names": ["chat.test", "b.test"], "certificate": "a.pem", "key": "a.key"}
    upstream = {name: {"servers": ["http://127.0.0.1:1"]} for name in ("chat", "other")}
    listener = {"public": {"bind": "127.0.0.1:1"}}
    config = Config.model_validate(
        {"listener": listener, "identity": {"a": identity}, "upstream": upstream, "route": routes}
    )
    return [f"{one.key}: {one.found}" for one in reach_problems(config, "f", Omissions())]


@pytest.mark.parametrize(
    ("routes", "url"),
    [
        ([route("/chat", strip_prefix="/chat"), route("/metrics", **ALLOW)], "/chat/metrics"),
        ([route("/a", strip_prefix="/a", add_prefix="/in"), route("/in/x", **ALLOW)], "/a/x"),
        ([route("/"), route("/admin", add_prefix="/in", **ALLOW)], "/in/admin"),
        ([route("/"), route("/admin", strip_prefix="/admin", **ALLOW)], "/"),
        ([route("/chat/", strip_prefix="/chat", deny=["10.0.0.1"]), route("/m", **ALLOW)], "/chat/m"),
    ],
)
def test_way_past_a_stricter_route_is_told(routes: list[dict[str, Any]], url: str) -> None:
    (found,) = problems(*routes)
    assert found.startswith('route[0]: a way past allow of "chat.test/')
    assert found.endswith(f'the server gets its paths from "{url}"')


@pytest.mark.parametrize(
    "routes",
    [
        [route("/"), route("/metrics", **ALLOW)],
        [route("/chat", strip_prefix="/chat"), route("/metrics")],
        [route("/chat", strip_prefix="/chat", **ALLOW), route("/metrics", **ALLOW)],
        [route("/chat", strip_prefix="/chat", upstream="other"), route("/metrics", **ALLOW)],
        [route("/chat", strip_prefix="/chat", host="b.test"), route("/metrics", **ALLOW)],
        [route("/chat", strip_prefix="/chat", add_prefix="/in"), route("/metrics", **ALLOW)],
        [
            route("/chat", strip_prefix="/chat"),
            route("/metrics", **ALLOW),
            route("/chat/metrics", strip_prefix="/chat", **ALLOW),
        ],
        [route("/a", methods=["GET"], strip_prefix="/a"), route("/a", methods=["POST"], strip_prefix="/a", **ALLOW)],
        [route("/a", rewrite={"path": "/a/{r*}", "to": "/{r*}"}), route("/metrics", strip_prefix="/metrics", **ALLOW)],
        [{"host": "chat.test", "respond": {"body": "x"}}, route("/metrics", strip_prefix="/metrics", **ALLOW)],
    ],
)
def test_what_leads_nowhere_else_is_no_problem(routes: list[dict[str, Any]]) -> None:
    assert problems(*routes) == []
