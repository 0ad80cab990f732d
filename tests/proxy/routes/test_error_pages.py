"""Pages for errors: what is put in stays text."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.routes.error_pages import ErrorPage, ErrorPages, PageUnusable

HTML = ErrorPage(b"<h1 id=x title={request_id}>{status} {title}</h1>{detail}{other}{", is_html=True)
JSON = ErrorPage(b'{"a": {status}, "b": "{title}: {detail}", "c": ["{request_id}"]}', is_html=False)


def test_placeholders_are_filled_and_all_else_stays() -> None:
    assert HTML.body(502, "no answer", "1-2") == b"<h1 id=x title=1-2>502 Bad Gateway</h1>no answer{other}{"
    assert JSON.body(502, "no answer", "1-2") == b'{"a": 502, "b": "Bad Gateway: no answer", "c": ["1-2"]}'
    assert HTML.content_type == "text/html; charset=utf-8"
    assert JSON.content_type == "application/json"


@given(st.text(), st.text())
def test_no_value_becomes_markup_or_ends_a_string(detail: str, request_id: str) -> None:
    found = json.loads(JSON.body(404, detail, request_id))
    assert found == {"a": 404, "b": f"Not Found: {detail}", "c": [request_id]}
    tags = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, len(attrs)))

    page = ErrorPage(b"<p title='{detail}'>{request_id}</p>", is_html=True)
    Reader().feed(page.body(404, detail, request_id).decode())
    assert tags == [("p", 1)]


@pytest.mark.parametrize("value", ["<script>", "' onload=x", '"', "`${x}`", "\\", "a=b", "&lt;"])
def test_what_could_begin_markup_or_code_is_escaped(value: str) -> None:
    body = ErrorPage(b"{detail}", is_html=True).body(404, value, "").decode()
    assert not set(body) & set("<>'\"`=\\")


def test_a_value_is_not_filled_in_again() -> None:
    assert ErrorPage(b"{detail}", is_html=True).body(404, "{request_id}", "x") == b"{request_id}"


@pytest.mark.parametrize(
    ("content", "is_html", "found"),
    [
        (b"\xff", True, "which is not UTF-8"),
        (b"\xff", False, "which is not UTF-8"),
        (b"", False, "which is not JSON once its placeholders are filled: Expecting value"),
        (b"<p>", False, "which is not JSON once its placeholders are filled: Expecting value"),
        (b'{"a": {detail}}', False, "which is not JSON once its placeholders are filled"),
        (b"[" * 100_000, False, "which is not JSON once its placeholders are filled"),
    ],
)
def test_an_unusable_page_is_refused(content: bytes, is_html: bool, found: str) -> None:  # noqa: FBT001 - a parameter
    with pytest.raises(PageUnusable) as caught:
        ErrorPage(content, is_html=is_html)
    assert caught.value.found.startswith(found)


def test_the_nearest_page_answers() -> None:
    pages = {name: ErrorPage(b"%b" % name.encode(), is_html=True) for name in ("a", "b", "c", "d")}
    route = {"5xx": {True: pages["a"]}, "502": {False: JSON}}
    everywhere = {"502": {True: pages["b"], False: JSON}, "404": {True: pages["c"]}, "4xx": {True: pages["d"]}}
    found = ErrorPages([route, everywhere])
    assert found.find(502, is_html=True) is pages["a"]
    assert found.find(502, is_html=False) is JSON
    assert found.find(503, is_html=False) is None
    assert found.find(404, is_html=True) is pages["c"]
    assert found.find(413, is_html=True) is pages["d"]
    assert ErrorPages([]).find(404, is_html=True) is None
