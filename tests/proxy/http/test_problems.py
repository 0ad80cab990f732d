"""Error bodies: what they say, in which format, and that nothing in them is markup that somebody sent."""

import json
import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.problems import TITLES, ProblemBody, pq_required, prefers_html, problem_response

CHROMIUM = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


class Page(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, body: bytes) -> None:
        """Read all of it."""
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(body.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        assert not any(name.startswith("on") or name in {"src", "href"} for name, _ in attrs)
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        """Note it."""
        self.text.append(data)


def answer(accept: bytes | None, detail: str = "no such thing", **extra: object) -> ProblemBody:
    """Answer with 404."""
    return problem_response(404, detail, accept, "f00-1", extra)


class TestJson:
    """RFC 9457."""

    def test_a_problem_has_the_standard_members(self) -> None:
        content_type, body = answer(None)
        assert content_type == "application/problem+json"
        assert json.loads(body) == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "no such thing",
            "instance": "f00-1",
        }

    @pytest.mark.parametrize(
        "status", [400, 403, 404, 405, 408, 413, 414, 417, 421, 426, 429, 431, 500, 501, 502, 503, 504, 505]
    )
    def test_every_status_has_a_title(self, status: int) -> None:
        body = json.loads(problem_response(status, "why", None, "1", {}).body)
        assert (body["status"], body["title"]) == (status, TITLES[status])

    def test_members_can_be_added(self) -> None:
        assert json.loads(answer(None, limit=5).body)["limit"] == 5

    def test_a_refused_key_exchange_names_the_groups_and_the_remedy(self) -> None:
        extra = pq_required("x25519", ("X25519MLKEM768", "SecP256r1MLKEM768"))
        body = json.loads(problem_response(403, "why", b"*/*", "1", extra).body)
        assert body["group"] == "x25519"
        assert body["required"] == ["X25519MLKEM768", "SecP256r1MLKEM768"]
        assert body["title"] == "Post-Quantum Key Exchange Required"
        assert body["type"].startswith("urn:")
        assert "client" in body["remedy"]

    def test_octets_that_are_no_text_stay_valid_json(self) -> None:
        assert json.loads(problem_response(400, "\udcff\x00", None, '\xff\x00"', {}).body)["instance"] == '\xff\x00"'


class TestHtml:
    """The page for browsers."""

    def test_a_page_says_what_the_problem_says(self) -> None:
        content_type, body = answer(CHROMIUM)
        assert content_type == "text/html; charset=utf-8"
        page = Page(body)
        text = "".join(page.text)
        for part in ("404 Not Found", "No such thing.", "f00-1"):
            assert part in text
        assert page.tags.count("h1") == 1
        assert "dl" not in page.tags

    def test_a_page_shows_added_members(self) -> None:
        extra = pq_required("x25519", ["X25519MLKEM768", "SecP256r1MLKEM768"])
        page = Page(problem_response(403, "why", CHROMIUM, "1", extra).body)
        text = "".join(page.text)
        for part in ("403 Post-Quantum Key Exchange Required", "x25519", "X25519MLKEM768, SecP256r1MLKEM768", "client"):
            assert part in text
        assert page.tags.count("dt") == 3
        assert "urn:" not in text

    def test_a_page_suits_dark_screens_and_loads_nothing(self) -> None:
        body = answer(CHROMIUM).body
        assert b'name="color-scheme" content="light dark"' in body
        assert not re.search(rb"https?:|url\(|<script|<img|<link", body)

    def test_text_is_not_markup(self) -> None:
        plain = Page(problem_response(404, "x", CHROMIUM, "x", {"x": "x"}).body)
        hostile = "<script>ALERT('1')</script>\"&<b onload=x>"
        page = Page(problem_response(404, hostile, CHROMIUM, hostile, {hostile: hostile}).body)
        assert page.tags == plain.tags
        assert "".join(page.text).count(hostile) == 4

    def test_text_that_is_no_unicode_makes_a_page(self) -> None:
        assert b"<h1>" in answer(CHROMIUM, "\udcff").body


class TestAccept:
    """RFC 9110 12.5.1."""

    @pytest.mark.parametrize(
        "accept",
        [
            CHROMIUM,
            b"text/html",
            b"TEXT/HTML",
            b"text/html;charset=utf-8",
            b"text/html, */*",
            b"text/*",
            b"application/json;q=0.9 , text/html ; level=1 ; Q=0.91",
            b"application/problem+json;q=0.1, text/html;q=0.2",
            b"application/*;q=0.5, text/html;q=0.6",
            b"*/*;q=0, text/html;q=0.001",
            b"text/html;q=1.000, application/json;q=0.999",
            b"text/html;q=0, text/html",
            b"text/html, text/html;q=0",
            b",, text/html ,,",
        ],
    )
    def test_who_prefers_html_gets_it(self, accept: bytes) -> None:
        assert prefers_html(accept)

    @pytest.mark.parametrize(
        "accept",
        [
            b"",
            b"*/*",
            b"application/json",
            b"application/json, text/html",
            b"application/problem+json, text/html",
            b"application/json, text/plain, */*",
            b"text/html;q=0.5, application/json",
            b"text/html;q=0.5, */*",
            b"text/html;q=0.5, application/*;q=0.6",
            b"text/html;q=0",
            b"text/html;q=0.000, text/*",
            b"text/html;q=0, */*",
            b"text/html;q=2",
            b"text/html;q=0.5555",
            b"text/html;q=-1",
            b"text/html;q=nan",
            b"text/html;q=inf",
            b"text/html;q=",
            b"image/png",
            b"application/json;q=0.9, application/problem+json;q=0.1, text/html;q=0.5",
            b"text/html+xml",
            b"text",
            b"\xff\x00;;q=1",
        ],
    )
    def test_everybody_else_gets_json(self, accept: bytes) -> None:
        assert not prefers_html(accept)

    def test_only_the_beginning_of_a_long_field_counts(self) -> None:
        padding = b"a/b," * 255
        assert prefers_html(padding[:-20] + b"text/html")
        assert not prefers_html(padding + b"text/html")
        assert not prefers_html(padding + b"*/*;q=0.1," + b"text/html")
        # What is cut through is not half read.
        assert not prefers_html(b"a/b," * 253 + b"text/html;q=0")
        assert not prefers_html(b"x" * 1014 + b",text/html;q=0.1")

    def test_a_long_field_costs_no_more_than_its_beginning(self) -> None:
        several = (b"," * 10_000_000, b";" * 10_000_000, b"text/html;q=1," * 1_000_000)
        started = time.process_time()  # the fields are there: to make them takes most of a tenth of a second
        for accept in several:
            prefers_html(accept)
        assert time.process_time() - started < 0.1

    @given(st.binary())
    def test_any_octets_have_an_answer(self, accept: bytes) -> None:
        assert answer(accept).body


@given(st.sampled_from(sorted(TITLES)), st.text(), st.text())
def test_whatever_is_said_the_body_is_well_formed(status: int, detail: str, request_id: str) -> None:
    problem = {
        "type": "about:blank",
        "title": TITLES[status],
        "status": status,
        "detail": detail,
        "instance": request_id,
    }
    assert problem_response(status, detail, None, request_id, {}).body.decode() == json.dumps(problem) + "\n"
    assert Page(problem_response(status, detail, b"text/html", request_id, {}).body).tags.count("p") == 2
