"""The rule by which a route finds out who may use it, from its tables and files."""

from pathlib import Path

import pytest

from proxy.auth.rules import AuthRule, BasicRule
from proxy.tls.openssl.capabilities import Capabilities
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.generations import built, problems
from tests.proxy.auth.test_password_hash import scrypt


def text(site: Site, keys: str) -> str:
    return MINIMAL_LISTENER + site.identity + MINIMAL_REST + keys


def users(directory: Path, content: str, mode: int = 0o600) -> Path:
    file = directory / "admins.users"
    file.write_text(content)
    file.chmod(mode)
    return file


def test_route_without_a_key_is_open(site: Site, capabilities: Capabilities) -> None:
    route = built(site, capabilities, text(site, "")).routes.match(b"chat.test", b"/")
    assert route is not None
    assert route.payload.auth is None


def test_authorization_server_of_a_route(site: Site, capabilities: Capabilities) -> None:
    keys = 'auth = { upstream = "chat", path = "/verify?x", copy = ["X-User", "X_Mail"], timeout = "2s" }\n'
    route = built(site, capabilities, text(site, keys)).routes.match(b"chat.test", b"/")
    assert route is not None
    assert route.payload.auth == AuthRule("chat", b"/verify?x", frozenset({b"x-user", b"x-mail"}), 2.0)


def test_other_routes_to_the_servers_of_a_guarded_one_withhold_what_it_tells(
    site: Site, capabilities: Capabilities, tmp_path: Path
) -> None:
    file = users(tmp_path, f"ada:{scrypt(b'secret')}\n")
    route = '[[route]]\nhost = "chat.test"\npath = "/{}"\nupstream = "{}"\n{}\n'
    other = "[upstream.{}]\nservers = [{}]\n"
    generation = built(
        site,
        capabilities,
        MINIMAL_LISTENER
        + site.identity
        + other.format("chat", '"http://127.0.0.1:1"')
        + other.format("twin", '"http://127.0.0.1:1", "http://127.0.0.1:2"')
        + other.format("else", '"http://127.0.0.1:3"')
        + route.format("", "chat", "")
        + route.format("twin", "twin", "")
        + route.format("else", "else", "")
        + route.format("a", "chat", 'auth = { upstream = "else", copy = ["X_User", "Authorization"] }')
        + route.format("b", "chat", f'basic_auth = {{ file = "{file}" }}'),
    )

    def withheld(path: bytes) -> frozenset[bytes] | None:
        found = generation.routes.match(b"chat.test", path)
        assert found is not None
        return None if found.payload.withheld is None else found.payload.withheld.removed

    both = {b"x-user", b"x-forwarded-user"}
    assert [withheld(path) for path in (b"/", b"/twin", b"/a", b"/b", b"/else")] == [both, both, both, both, None]


def test_users_of_a_route(site: Site, capabilities: Capabilities, tmp_path: Path) -> None:
    file = users(tmp_path, f"ada:{scrypt(b'secret')}\n")
    route = built(
        site, capabilities, text(site, f'basic_auth = {{ file = "{file}", realm = "Admins" }}\n')
    ).routes.match(b"chat.test", b"/")
    assert route is not None
    rule = route.payload.auth
    assert isinstance(rule, BasicRule)
    assert rule.users.accepts("ada", b"secret")
    assert rule.challenge == b'WWW-Authenticate: Basic realm="Admins", charset="UTF-8"\r\n'


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "which cannot be read (No such file or directory)"),
        ("ada:secret\n", "has line 1 with a hash of another kind"),
    ],
)
def test_file_that_cannot_be_used_is_named(
    site: Site, capabilities: Capabilities, tmp_path: Path, content: str | None, found: str
) -> None:
    file = tmp_path / "admins.users" if content is None else users(tmp_path, content)
    found_problems = problems(site, capabilities, text(site, f'basic_auth = {{ file = "{file}" }}\n'))
    problem = found_problems["route[0].basic_auth.file"]
    assert found in problem.found
    assert "secret" not in str(problem)


def test_file_that_others_may_read_is_warned_of(site: Site, capabilities: Capabilities, tmp_path: Path) -> None:
    file = users(tmp_path, f"ada:{scrypt(b'secret')}\n", 0o644)
    (warning,) = built(site, capabilities, text(site, f'basic_auth = {{ file = "{file}" }}\n')).warnings
    assert "which others may read (mode 0644)" in warning.found
