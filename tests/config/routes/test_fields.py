"""What a route may change in fields, and what it may never."""

import pytest
from pydantic import ValidationError

from config.routes.fields import FieldsConfig, Variable, template_parts
from config.routes.route import RouteConfig
from config.values.addresses import Refused

ROUTE = {"host": "chat.example.org", "upstream": "chat"}
UNTOUCHABLE = [
    "Content-Length",
    "Transfer-Encoding",
    "Content-Encoding",
    "Trailer",
    "Connection",
    "Keep-Alive",
    "Upgrade",
    "TE",
    "Proxy-Authorization",
    "Sec-WebSocket-Key",
    "Forwarded",
    "X-Forwarded-For",
    "x-forwarded-anything",
    "X_Forwarded_For",
    "Client-Cert",
    "SSL-Client-Verify",
    "X-TLS-Group",
    "Via",
    "Date",
    "X-Request-Id",
    "x.request.id",
    "Payload-Key",
]


def edited(**fields: object) -> FieldsConfig:
    return FieldsConfig.model_validate(fields)


@pytest.mark.parametrize("name", UNTOUCHABLE)
@pytest.mark.parametrize("direction", ["request_headers", "response_headers"])
def test_what_frames_a_message_or_names_the_client_is_not_touched(name: str, direction: str) -> None:
    for edit in ({"set": {name: "x"}}, {"add": {name: "x"}}, {"remove": [name]}):
        with pytest.raises(ValidationError, match=r"other fields: (it|the proxy)"):
            RouteConfig.model_validate({**ROUTE, direction: edit})


@pytest.mark.parametrize(
    "name", ["X-Real-IP", "Server", "Cache-Control", "Content-Type", "Set-Cookie", "X_odd", "X-Via"]
)
def test_other_fields_are(name: str) -> None:
    assert edited(set={name: "x"}).set == {name: "x"}
    assert edited(remove=[name]).remove == (name,)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " x",
        "x ",
        "a\r\nb: c",
        "a\nb",
        "a\rb",
        "a\0b",
        "a\tb",
        "\u00e4",
        "{path}",
        "{client",
        "client}",
        "{}",
        "{CLIENT}",
        "x" * 4_097,
    ],
)
def test_value_that_could_end_its_line_or_is_no_template_is_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        edited(set={"X-A": value})


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", "an empty value"),
        ("secret ", "white space at the beginning or the end"),
        ("a\r\nsecret: b", "a line break"),
        ("secret\u00e4", "the character U+00E4"),
        ("x" * 4_097, "a value of 4_097 characters"),
    ],
)
def test_fault_of_a_value_is_told_without_the_value(value: str, fault: str) -> None:
    with pytest.raises(ValidationError) as caught:
        edited(set={"X-A": value})
    (error,) = caught.value.errors()
    assert error["ctx"]["error"].found == f'"X-A" with {fault}'


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"set": {}},
        {"set": {"X A": "1"}},
        {"set": {"": "1"}},
        {"set": {"X:A": "1"}},
        {"set": {"X-A": "1", "x-a": "2"}},
        {"remove": ["X-A", "x-a"]},
        {"remove": [""]},
        {"add": {f"X-{number}": "1" for number in range(33)}},
        {"put": {"X-A": "1"}},
    ],
)
def test_other_edits_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        edited(**fields)


def test_values_have_variables_and_braces() -> None:
    parts = list(template_parts("a{client}b{{c}}{tls_group}"))
    assert parts == ["a", Variable.CLIENT, "b", "{", "c", "}", Variable.TLS_GROUP]
    assert list(template_parts("plain")) == ["plain"]
    with pytest.raises(Refused):
        list(template_parts("{cookie}"))


@pytest.mark.parametrize("host", ["chat.internal", "chat.internal:8080", "10.0.0.1"])
def test_host_of_a_request_is_set_to_one_value(host: str) -> None:
    route = RouteConfig.model_validate({**ROUTE, "request_headers": {"set": {"Host": host}}})
    assert route.request_headers is not None


@pytest.mark.parametrize(
    "edit",
    [
        {"set": {"Host": "{host}"}},
        {"set": {"host": "a b"}},
        {"set": {"Host": "a/b"}},
        {"add": {"Host": "a"}},
        {"remove": ["Host"]},
    ],
)
def test_host_is_changed_in_no_other_way(edit: object) -> None:
    with pytest.raises(ValidationError):
        RouteConfig.model_validate({**ROUTE, "request_headers": edit})


@pytest.mark.parametrize("edit", [{"set": {"Host": "a"}}, {"add": {"host": "a"}}, {"remove": ["HOST"]}])
def test_responses_have_no_host(edit: object) -> None:
    with pytest.raises(ValidationError):
        RouteConfig.model_validate({**ROUTE, "response_headers": edit})
    RouteConfig.model_validate({**ROUTE, "response_headers": {"set": {"X-A": "a"}}})
