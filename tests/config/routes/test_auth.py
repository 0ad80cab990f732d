"""The shape of `auth` and `basic_auth` of a route."""

from typing import Any

import pytest
from pydantic import ValidationError

from config.routes.auth import AuthConfig, BasicAuthConfig
from config.routes.route import RouteConfig
from tests.cross_checks import GOOD, check


def refused(model: type[AuthConfig | BasicAuthConfig], **keys: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(keys)
    return str(caught.value)


def test_defaults() -> None:
    auth = AuthConfig.model_validate({"upstream": "sso"})
    assert (auth.path, auth.copy, auth.seconds) == ("/", (), 5.0)
    assert BasicAuthConfig.model_validate({"file": "admins"}).realm == "Plexigate"


@pytest.mark.parametrize("path", ["/", "/verify", "/outpost/auth?rd=https%3A//x&y=1", "/api/verify/"])
def test_path_is_what_stands_in_a_request_line(path: str) -> None:
    assert AuthConfig.model_validate({"upstream": "sso", "path": path}).path == path


@pytest.mark.parametrize(
    "path", ["", "verify", "/a b", "/a\r\nX: y", "//x", "/a//b", "/a/../b", "/a#b", "http://x/", "/ä"]
)
def test_other_paths_are_refused(path: str) -> None:
    assert "a path that starts with" in refused(AuthConfig, upstream="sso", path=path)


@pytest.mark.parametrize("name", ["X-User", "Remote-User", "Authorization", "Cookie", "X-Forwarded-User", "x_auth"])
def test_fields_of_the_application_are_copied(name: str) -> None:
    assert AuthConfig.model_validate({"upstream": "sso", "copy": [name]}).copy == (name,)


@pytest.mark.parametrize("name", ["", "X User", "X:", "Ä"])
def test_copy_takes_names_of_fields(name: str) -> None:
    assert "the name of a field" in refused(AuthConfig, upstream="sso", copy=[name])


@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "Transfer_Encoding", "Connection", "X-Forwarded-For", "x.forwarded.uri", "Client-Cert",
     "Sec-WebSocket-Key", "X-TLS-Group", "Set-Cookie"],
)  # fmt: skip
def test_fields_that_the_proxy_writes_are_never_copied(name: str) -> None:
    assert "the proxy writes this one itself" in refused(AuthConfig, upstream="sso", copy=[name])


@pytest.mark.parametrize("realm", ["", 'a"b', "a\\b", "ä", "a\r\nb", "x" * 65])
def test_realm_needs_no_quoting(realm: str) -> None:
    assert "64 ASCII letters" in refused(BasicAuthConfig, file="admins", realm=realm)


def test_a_route_asks_in_one_way() -> None:
    route = {"host": "chat.test", "upstream": "chat", "auth": {"upstream": "sso"}, "basic_auth": {"file": "admins"}}
    with pytest.raises(ValidationError, match="one of the two"):
        RouteConfig.model_validate(route)


@pytest.mark.parametrize("edits", [{"set": {"X_User": "x"}}, {"add": {"x-user": "x"}}, {"remove": ["X-User"]}])
def test_what_the_authorization_server_says_is_not_changed(edits: dict[str, object]) -> None:
    route = {"host": "chat.test", "upstream": "chat", "auth": {"upstream": "sso", "copy": ["X-User"]}}
    assert RouteConfig.model_validate({**route, "request_headers": {"set": {"X-Other": "x"}}}).auth is not None
    with pytest.raises(ValidationError, match="comes from the authorization server"):
        RouteConfig.model_validate({**route, "request_headers": edits})


def test_authorization_server_is_an_upstream_and_counts_as_used() -> None:
    auth = 'auth = { upstream = "sso" }\n'
    assert check(GOOD + auth) == [
        'f: route[0].auth.upstream: found "sso"; allowed: the name of an upstream: "chat"',
    ]
    assert check(GOOD + auth + '[upstream.sso]\nservers = ["http://127.0.0.1:9"]\n') == []
