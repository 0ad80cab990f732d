"""Answers of fixed content."""

import pytest

from proxy.http.head import Header
from proxy.http.local_answers import LocalAnswer, LocalRequest, WrongMethod
from proxy.routes.replies import Reply, content_type_of

TEXT = b"text/plain"


def asked(reply: Reply, method: bytes = b"GET", *headers: Header) -> LocalAnswer:
    return reply.answer(LocalRequest(method, b"a.test", b"/x", list(headers), b""), 0.0)


def etag(answer: LocalAnswer) -> bytes:
    return answer.fields.partition(b"ETag: ")[2].partition(b"\r\n")[0]


def test_an_answer_has_its_fields_type_and_tag() -> None:
    answer = asked(Reply(200, {b"X-A": b"1"}, TEXT, b"hello"))
    assert (answer.status, answer.body) == (200, b"hello")
    tag = b'"2cf24dba5fb0a30e26e83b2ac5b9e29e"'
    assert answer.fields == b"Content-Type: text/plain\r\nX-A: 1\r\nETag: " + tag + b"\r\n"


def test_a_type_of_the_operator_replaces_ours_and_without_body_there_is_none() -> None:
    answer = asked(Reply(404, {b"content-TYPE": b"application/json"}, TEXT, b"{}"))
    assert answer.fields == b"content-TYPE: application/json\r\n"
    assert asked(Reply(204, {}, TEXT, b"")).fields == b""


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"])
def test_other_methods_than_get_and_head_are_refused(method: bytes) -> None:
    reply = Reply(200, {}, TEXT, b"hello")
    assert asked(reply, b"HEAD") == asked(reply)
    with pytest.raises(WrongMethod) as caught:
        asked(reply, method)
    assert caught.value.allowed == b"GET, HEAD"


def test_methods_may_be_others() -> None:
    reply = Reply(200, {}, TEXT, b"hello", [b"POST", b"OPTIONS"])
    assert asked(reply, b"POST", (b"If-None-Match", b"*")).status == 200
    assert asked(reply, b"OPTIONS").body == b"hello"
    with pytest.raises(WrongMethod) as caught:
        asked(reply, b"GET")
    assert caught.value.allowed == b"OPTIONS, POST"


def test_a_client_that_has_the_content_is_told_so() -> None:
    reply = Reply(200, {b"Cache-Control": b"max-age=60"}, TEXT, b"hello")
    tag = etag(asked(reply))
    for value in (tag, b"W/" + tag, b'"other", ' + tag, b"*", b',, "a,b" ,' + tag):
        answer = asked(reply, b"HEAD", (b"Accept", b"*/*"), (b"if-none-match", value))
        assert (answer.status, answer.body) == (304, b"")
        assert answer.fields == b"Cache-Control: max-age=60\r\nETag: " + tag + b"\r\n"
    assert asked(reply, b"GET", (b"If-None-Match", b'"a"'), (b"If-None-Match", tag)).status == 304


@pytest.mark.parametrize("value", [b"", b'"other"', b"w/*", b"*, *", b'"2cf24dba', b"2cf24dba5fb0a30e26e83b2ac5b9e29e"])
def test_a_client_that_has_something_else_gets_the_content(value: bytes) -> None:
    assert asked(Reply(200, {}, TEXT, b"hello"), b"GET", (b"If-None-Match", value)).status == 200


def test_only_a_200_can_be_unchanged() -> None:
    answer = asked(Reply(404, {}, TEXT, b"hello"), b"GET", (b"If-None-Match", b"*"))
    assert (answer.status, etag(answer)) == (404, b"")


def test_scripts_of_other_origins_may_ask_if_the_operator_lets_them() -> None:
    headers = {b"Access-Control-Allow-Origin": b"*", b"Access-Control-Allow-Headers": b"X-Y", b"X-Other": b"1"}
    answer = asked(Reply(200, headers, TEXT, b"hello"), b"OPTIONS")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.fields == (
        b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: X-Y\r\n"
        b"Access-Control-Allow-Methods: GET, HEAD\r\nAllow: GET, HEAD, OPTIONS\r\n"
    )
    crossing = Reply(200, {b"Access-Control-Allow-Origin": b"*"}, TEXT, b"hello", [b"POST", b"OPTIONS"])
    assert asked(crossing, b"OPTIONS").fields.endswith(b"Allow-Methods: POST\r\nAllow: POST, OPTIONS\r\n")
    with pytest.raises(WrongMethod):
        asked(Reply(200, {b"Access-Control-Allow-Origin": b"*"}, TEXT, b"hello", [b"POST"]), b"OPTIONS")
    own = {b"access-control-allow-origin": b"*", b"access-control-allow-methods": b"GET"}
    assert asked(Reply(200, own, TEXT, b"x"), b"OPTIONS").fields.lower().count(b"allow-methods") == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("robots.txt", b"text/plain; charset=utf-8"),
        ("a/b.HTML", b"text/html; charset=utf-8"),
        ("client.json", b"application/json"),
        ("logo.png", b"image/png"),
        ("client", b"application/octet-stream"),
        ("archive.tar.gz", b"application/octet-stream"),
    ],
)
def test_the_ending_of_a_name_says_what_it_is(name: str, expected: bytes) -> None:
    assert content_type_of(name) == expected
