"""The shape of a route."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from config.routes.route import RouteConfig
from config.tables.listener import PqPolicy

ROUTE = {"host": "chat.example.org", "upstream": "chat"}


def refused(model: type[BaseModel], document: Mapping[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document)
    return str(caught.value)


@pytest.mark.parametrize("path", ["/", "/api", "/api/", "/api/v1/@me", "/.well-known", "/a..b", "/..."])
def test_route_path_is_a_plain_prefix(path: str) -> None:
    assert RouteConfig.model_validate({**ROUTE, "path": path}).path == path


@pytest.mark.parametrize(
    "path",
    ["", "api", "//", "/a//b", "/a?b", "/a#b", "/%61", "/a/../b", "/.", "/a/..", "/a b", "/ä", "/a\\b", "/a;b", "/a\n"],
)
def test_other_route_paths_are_refused(path: str) -> None:
    assert "path" in refused(RouteConfig, {**ROUTE, "path": path})


def test_a_route_can_only_be_stricter() -> None:
    assert RouteConfig.model_validate({**ROUTE, "pq": "require"}).pq is PqPolicy.REQUIRE
    for policy in ("off", "prefer", "report"):
        assert "stricter" in refused(RouteConfig, {**ROUTE, "pq": policy})


def test_route_hosts_are_names_or_suffixes() -> None:
    assert RouteConfig.model_validate({**ROUTE, "host": "*.Example.org"}).host == "*.example.org"
    refused(RouteConfig, {**ROUTE, "host": "*"})


def test_a_route_has_one_answer() -> None:
    one: list[dict[str, object]] = [
        {"upstream": "chat"},
        {"respond": {}},
        {"redirect": {"to": "/"}},
        {"admin_page": {}},
    ]
    for answer in one:
        RouteConfig.model_validate({"host": "chat.example.org", **answer})
    assert "one of upstream, respond, redirect and admin_page" in refused(RouteConfig, {"host": "chat.example.org"})
    for answer in one[1:]:
        assert "one of upstream, respond, redirect and admin_page" in refused(RouteConfig, {**ROUTE, **answer})
