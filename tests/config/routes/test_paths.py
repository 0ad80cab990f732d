"""What a route may do with the path."""

import pytest
from pydantic import ValidationError

from config.routes.route import RouteConfig

ROUTE = {"host": "chat.example.org", "upstream": "chat"}


def accepted(**keys: object) -> RouteConfig:
    return RouteConfig.model_validate({**ROUTE, **keys})


def rewrite(path: str, to: str) -> dict[str, str]:
    return {"path": path, "to": to}


@pytest.mark.parametrize("strip", ["/api", "/api/v1"])
@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/api/v1/users"])
def test_prefix_to_strip_begins_the_path_of_the_route(path: str, strip: str) -> None:
    assert accepted(path=path, strip_prefix=strip, add_prefix="/in").strip_prefix == strip


@pytest.mark.parametrize(
    ("path", "strip"), [("/", "/api"), ("/api", "/api/v1"), ("/apiv1", "/api"), ("/api", "/ap"), ("/api", "/other")]
)
def test_prefix_that_not_every_path_has_is_not_stripped(path: str, strip: str) -> None:
    with pytest.raises(ValidationError, match="the path of the route"):
        accepted(path=path, strip_prefix=strip)


@pytest.mark.parametrize(
    "prefix", ["", "/", "api", "/api/", "//api", "/a//b", "/a/../b", "/.", "/%61", "/a;b", "/a?b", "/a b", "/ä", "/{a}"]
)
def test_other_prefixes_are_refused(prefix: str) -> None:
    for key in ("strip_prefix", "add_prefix"):
        with pytest.raises(ValidationError):
            accepted(path="/api", **{key: prefix})


@pytest.mark.parametrize(
    ("path", "form", "to"),
    [
        ("/u", "/u/{user}/files/{rest*}", "/files/{user}/{rest*}"),
        ("/u/", "/u/{user}", "/{user}"),
        ("/", "/{rest*}", "/in/{rest*}"),
        ("/", "/{a}/{b}", "/{b}"),
        ("/old", "/old", "/new/"),
        ("/old", "/old/", "/"),
    ],
)
def test_forms_have_named_parts(path: str, form: str, to: str) -> None:
    assert accepted(path=path, rewrite=rewrite(form, to)).rewrite is not None


@pytest.mark.parametrize(
    ("form", "to"),
    [
        ("/u/{user}", "/files/{name}"),
        ("/u/{user}", "/{user*}"),
        ("/u/{rest*}/x", "/{rest*}"),
        ("/u/{rest*}", "/{rest*}/x"),
        ("/u/{a}/{a}", "/{a}"),
        ("/u/{a}", "/{a}/{a}"),
        ("/u/x{a}", "/{a}"),
        ("/u/{A}", "/{A}"),
        ("/u//x", "/x"),
        ("/u/../x", "/x"),
        ("/u/x", "//x"),
        ("/u/x", "x"),
        ("/u/x", "/a%2Fb"),
        ("/other/{a}", "/{a}"),
        ("/users/{a}", "/{a}"),
        ("/{a}", "/{a}"),
    ],
)
def test_other_forms_are_refused(form: str, to: str) -> None:
    with pytest.raises(ValidationError):
        accepted(path="/u", rewrite=rewrite(form, to))


def test_rewrite_stands_alone_and_needs_an_upstream() -> None:
    with pytest.raises(ValidationError, match="rewrite alone"):
        accepted(add_prefix="/in", rewrite=rewrite("/a", "/b"))
    with pytest.raises(ValidationError, match="the proxy itself answers"):
        accepted(upstream=None, respond={"status": 404}, add_prefix="/in")
