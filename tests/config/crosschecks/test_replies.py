"""What routes that the proxy answers itself say about each other."""

import pytest

from tests.cross_checks import GOOD, check


def route(more: str, *, host: str = "chat.example.org", path: str = "/old") -> str:
    return f'[[route]]\nhost = "{host}"\npath = "{path}"\n{more}\n'


def redirect(to: str, *, host: str = "chat.example.org", path: str = "/old") -> str:
    return route(f'redirect = {{ to = "{to}" }}', host=host, path=path)


def test_answers_without_a_server_are_fine() -> None:
    text = GOOD + route('respond = { body = "hello" }') + redirect("https://new.example{path}", path="/gone")
    assert check(text) == []


@pytest.mark.parametrize(
    "key",
    ["stream_requests = true", 'payload = "accept"\npayload_sessions = true', 'request_headers = { remove = ["A"] }'],
)
def test_keys_for_servers_are_refused_without_one(key: str) -> None:
    name = key.partition(" ")[0]
    assert any(
        f"f: route[1].{name}: found {name} on a route without a server" in problem
        for problem in check(GOOD + route(f'respond = {{ body = "x" }}\n{key}'))
    )


@pytest.mark.parametrize(
    "to",
    [
        "https://chat.example.org{path}",
        "https://chat.example.org:8443{path}",
        "https://chat.example.org:443{path}{query}",
        "https://{host}{path}",
        "/old{path}",
        "/old",
        "/old?again",
    ],
)
def test_a_redirect_to_itself_is_refused(to: str) -> None:
    (problem,) = check(GOOD + redirect(to))
    assert problem.startswith(f'f: route[1].redirect.to: found "{to}"; allowed: a URL that another route')


@pytest.mark.parametrize(
    "to",
    [
        "https://other.example{path}",
        "http://chat.example.org{path}",
        "https://chat.example.org:9443{path}",
        "https://chat.example.org/",
        "/new{path}",
        "/older",
        "https://a.chat.example.org{path}",
        "https://chat.example.org",
    ],
)
def test_a_redirect_elsewhere_is_fine(to: str) -> None:
    assert check(GOOD + redirect(to)) == []


def test_a_circle_of_several_routes_is_refused_at_each() -> None:
    text = (
        GOOD + redirect("/b", path="/a") + redirect("https://chat.example.org/a", path="/b") + redirect("/a", path="/c")
    )
    assert [problem.partition(": found")[0] for problem in check(text)] == [
        "f: route[1].redirect.to",
        "f: route[2].redirect.to",
    ]


def test_the_most_specific_host_decides_where_a_redirect_leads() -> None:
    wide = redirect("https://a.chat.example.org{path}", host="*.chat.example.org", path="/")
    assert len(check(GOOD + wide)) == 1
    exact = route('respond = { body = "x" }', host="a.chat.example.org", path="/x")
    assert check(GOOD + wide + exact) == []  # whose other paths are 404


def test_a_route_with_conditions_may_lead_to_its_own_path() -> None:
    """Whether it goes round in circles depends on the request that a browser makes then."""
    text = GOOD + redirect("/old", path="/old").replace("[[route]]", '[[route]]\nmethods = ["POST"]')
    assert check(text) == []
    other = route('respond = { body = "x" }\nmethods = ["GET"]', path="/a")
    assert check(GOOD + redirect("/a", path="/b") + other) == []
