"""What a route may ask of a request beside host and path."""

import pytest
from pydantic import ValidationError

from config.routes.conditions import METHODS
from config.routes.route import RouteConfig
from proxy.http import head

ROUTE = {"host": "chat.example.org", "upstream": "chat"}


def accepted(**conditions: object) -> RouteConfig:
    return RouteConfig.model_validate({**ROUTE, **conditions})


def test_methods_are_those_that_are_served() -> None:
    assert {method.encode() for method in METHODS} == head.METHODS


def test_conditions_are_told_behind_the_path_in_one_order() -> None:
    route = accepted(methods=["POST", "GET"], headers={"X-B": "2", "X-A": "*"}, query={"v": "1", "a": "*"})
    assert route.headers == {"x-a": "*", "x-b": "2"}
    assert route.entry_name == "chat.example.org/ GET,POST x-a=* x-b=2 ?a=* ?v=1"
    assert accepted().entry_name == "chat.example.org/"


@pytest.mark.parametrize("methods", [[], ["get"], ["CONNECT"], ["TRACE"], ["GET", "GET"], ["GET "], "GET"])
def test_other_methods_are_refused(methods: object) -> None:
    with pytest.raises(ValidationError):
        accepted(methods=methods)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "a"},
        {"Connection": "Upgrade"},
        {"Transfer-Encoding": "chunked"},
        {"X-Forwarded-For": "192.0.2.1"},
        {"Client-Cert": "*"},
        {"Cookie": "a=b"},
        {"Upgrade": "websocket"},
        {"X_Version": "1"},
        {"X Version": "1"},
        {"": "1"},
        {"X-A": ""},
        {"X-A": "1, 2"},
        {"X-A": " 1"},
        {"X-A": "1\r\n"},
        {"X-A": "\u00e4"},
        {"X-A": "1", "x-a": "2"},
        {f"X-{number}": "*" for number in range(9)},
    ],
)
def test_other_fields_are_refused(headers: object) -> None:
    with pytest.raises(ValidationError):
        accepted(headers=headers)


@pytest.mark.parametrize("value", ["2", "*", "Bearer abc", 'a;b="c"', "x" * 256])
def test_a_field_has_one_value(value: str) -> None:
    assert accepted(headers={"X-A": value}).headers == {"x-a": value}


@pytest.mark.parametrize(
    "query", [{}, {"": "a"}, {"a": ""}, {"a": "%41"}, {"a b": "1"}, {"a": "1+2"}, {"a[]": "1"}, {"a": "x" * 65}]
)
def test_other_parameters_are_refused(query: object) -> None:
    with pytest.raises(ValidationError):
        accepted(query=query)
