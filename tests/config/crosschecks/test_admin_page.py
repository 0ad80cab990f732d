"""Routes to the admin page: where they may be, and what they demand."""

import pytest

from tests.cross_checks import GOOD, check

_HOST = "ops.chat.example.org"
_SOCKET = '[admin]\npage_socket = "/run/p/page.sock"\n'


def page(more: str = 'admin_page = { tokens = "page.tokens" }', *, host: str = _HOST, path: str = "/") -> str:
    return f'[[route]]\nhost = "{host}"\npath = "{path}"\n{more}\n'


def test_page_with_tokens_on_a_host_of_its_own_is_fine() -> None:
    assert check(GOOD + page() + _SOCKET) == []


def test_page_for_client_certificates_is_fine() -> None:
    text = GOOD + page('admin_page = {}\nclient_certificate = "require"') + _SOCKET
    asked = '[identity.chat.client_certificates]\nca = "ops.pem"\n'
    assert check(text + asked) == []


def test_page_that_demands_nothing_is_refused() -> None:
    (problem,) = check(GOOD + page("admin_page = {}") + _SOCKET)
    assert problem.startswith("f: route[1].admin_page: found a page that every client may read; allowed: a file of")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (page(host="chat.example.org", path="/ops"), 'route[1].path: found "/ops"; allowed: path "/"'),
        (page(host="chat.example.org", path="/ops"), "which also has the route"),
        (page(host="*.chat.example.org"), "one name for the admin page, no wildcard"),
        (page() + page("redirect = { to = '/x' }", path="/y"), "a host of its own for the admin page"),
    ],
)
def test_page_shares_its_host_with_no_other_application(text: str, problem: str) -> None:
    assert any(problem in found for found in check(GOOD + text + _SOCKET))


@pytest.mark.parametrize(
    "key",
    [
        'methods = ["GET"]',
        'headers = { x-y = "z" }',
        'query = { x = "y" }',
        'auth = { upstream = "chat" }',
        'basic_auth = { file = "users" }',
        "stream_requests = true",
        "body_bytes = 1",
        'request_headers = { remove = ["A"] }',
        'response_headers = { remove = ["Content-Security-Policy"] }',
    ],
)
def test_keys_that_would_weaken_the_page_are_refused(key: str) -> None:
    name = key.partition(" ")[0]
    found = check(GOOD + page(f'admin_page = {{ tokens = "t" }}\n{key}') + _SOCKET)
    assert f"f: route[1].{name}: found {name} together with admin_page; allowed: no {name}" in found


def test_page_needs_the_socket_and_the_socket_a_page() -> None:
    (problem,) = check(GOOD + page())
    assert problem == (
        "f: admin.page_socket: found nothing; allowed: a path for route[1].admin_page, such as /run/plexigate/page.sock"
    )
    assert check(GOOD + page(), ("admin", "page_socket")) == []
    (problem,) = check(GOOD + _SOCKET)
    assert "which no route uses" in problem
    assert check(GOOD + _SOCKET, ("route", 1)) == []


def test_two_sockets_have_two_paths() -> None:
    (problem,) = check(GOOD + page() + _SOCKET + 'socket = "/run/p/page.sock"\n')
    assert "which admin.socket already uses" in problem
