"""The shape of answers of a route itself."""

from typing import Any

import pytest
from pydantic import ValidationError

from config.routes.replies import RedirectConfig, RespondConfig


def refused(model: type[RespondConfig | RedirectConfig], **document: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document)
    return str(caught.value)


def test_an_answer_has_status_fields_and_one_body() -> None:
    assert RespondConfig.model_validate({}).status == 200
    found = RespondConfig.model_validate({"status": 503, "headers": {"Retry-After": "60"}, "body": "soon"})
    assert (found.status, found.headers, found.body, found.file) == (503, {"Retry-After": "60"}, "soon", None)
    assert RespondConfig.model_validate({"file": "robots.txt"}).file == "robots.txt"


@pytest.mark.parametrize("status", [100, 101, 199, 206, 426, 600, 0, -1])
def test_statuses_that_are_no_final_answer_of_ours_are_refused(status: int) -> None:
    assert "a final status from 200 to 599" in refused(RespondConfig, status=status)


@pytest.mark.parametrize("status", ["200", 200.0, True])
def test_status_is_a_number(status: object) -> None:
    refused(RespondConfig, status=status)


def test_body_and_file_exclude_each_other() -> None:
    assert "either body or file" in refused(RespondConfig, body="a", file="b")


@pytest.mark.parametrize("status", [204, 205, 304])
@pytest.mark.parametrize("key", ["body", "file"])
def test_statuses_without_content_have_no_body(status: int, key: str) -> None:
    assert RespondConfig.model_validate({"status": status}).status == status
    assert "has no content" in refused(RespondConfig, status=status, **{key: "x"})


def test_a_long_body_belongs_into_a_file() -> None:
    assert RespondConfig.model_validate({"body": "a" * 65_536}).body
    assert "or a file" in refused(RespondConfig, body="a" * 65_537)


@pytest.mark.parametrize("name", ["ETag", "etag", "Content-Length", "transfer-encoding", "Connection", "Date"])
def test_fields_that_the_proxy_writes_are_refused(name: str) -> None:
    assert "the proxy" in refused(RespondConfig, headers={name: "1"})


@pytest.mark.parametrize("name", ["", "A B", "A:", "A\r\nB", "Ä", "A\0", "(x)"])
def test_name_of_a_field_is_a_token(name: str) -> None:
    assert "names of fields" in refused(RespondConfig, headers={name: "x"})


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\n", "\x00", " a", "a ", "ä", "\x7f"])
def test_value_of_a_field_is_one_line_of_ascii(value: str) -> None:
    assert "text in ASCII in one line" in refused(RespondConfig, headers={"X-A": value})
    for good in ("", "a", "a\tb c", "*"):
        assert RespondConfig.model_validate({"headers": {"X-A": good}}).headers == {"X-A": good}


def test_a_field_stands_once() -> None:
    assert "each field once" in refused(RespondConfig, headers={"X-A": "1", "x-a": "2"})


@pytest.mark.parametrize(
    "to",
    [
        "https://new.example{path}{query}",
        "https://new.example",
        "https://new.example/",
        "http://new.example:8080/a?b=c#d",
        "https://{host}:8443{path}",
        "https://www.{host}{path}{query}",
        "https://[2001:db8::1]:8443{path}",
        "https://new.example{query}",
        "https://new.example/?from={host}{path}",
        "https://new.example/%20{path}",
        "/new{path}{query}",
        "/",
        "/?a=b",
        "/{host}",
    ],
)
def test_a_target_has_a_fixed_authority(to: str) -> None:
    assert RedirectConfig.model_validate({"to": to}).status == 308


@pytest.mark.parametrize(
    "to",
    [
        "",
        "new.example",
        "//new.example",
        "/{path}",
        "//{path}",
        "/\\new.example",
        "{path}",
        "{host}{path}",
        "https://{path}",
        "https://{query}",
        "https:///x",
        "https://",
        "https://a@b.example",
        "https://user:pw@b.example{path}",
        "https://{host}@b.example",
        "https://{host}.example{path}",
        "https://a{host}{path}",
        "https://{host}{host}",
        "https://b.example:{path}",
        "https://b.example:0",
        "https://b.example\\{path}",
        "https://b..example",
        "https://bücher.example",
        "javascript:alert(1)",
        "ftp://b.example",
        "HTTPS://b.example",
        "https://b.example/{user}",
        "https://b.example/{path",
        "https://b.example/ x",
        "https://b.example/\r\nX: y",
        "https://b.example/%0",
        "https://b.example/%zz",
    ],
)
def test_other_targets_are_refused(to: str) -> None:
    refused(RedirectConfig, to=to)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_statuses_that_lead_elsewhere(status: int) -> None:
    assert RedirectConfig.model_validate({"to": "/x", "status": status}).status == status


@pytest.mark.parametrize("status", [200, 300, 304, 305, 306, 309, 404])
def test_other_statuses_are_no_redirects(status: int) -> None:
    assert "301, 302, 303, 307 or 308" in refused(RedirectConfig, to="/x", status=status)


def test_a_long_target_is_judged_in_linear_time() -> None:
    assert "URL in ASCII" in refused(RedirectConfig, to="https://a.example/" + "a" * 100_000 + "{")
    assert "a host behind the scheme" in refused(RedirectConfig, to="https://" + "a." * 50_000 + "!")
