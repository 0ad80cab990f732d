"""The lines of an answer's head, encrypted and plain."""

import pytest

from proxy.payload.answer_fields import PLAIN_MARK, plain_lines, refusal_lines, sealed_lines

VARY = b"Vary: Accept-Encoding, Payload-Key, Payload-Session\r\n"


def test_what_speaks_of_the_plain_content_is_gone() -> None:
    lines = [
        b"Content-Type: text/html\r\n", b"ETag: \"x\"\r\n", b"Accept-Ranges: bytes\r\n", b"Content-Digest: sha-256=:x:\r\n",
        b"Repr-Digest: x\r\n", b"Expires: 0\r\n", b"Cache-Control: max-age=5\r\n", b"Payload-Key: forged:9\r\n",
    ]  # fmt: skip
    assert sealed_lines(lines, b"fernet", b"chat:3") == [
        b"Content-Type: text/html\r\n",
        b'ETag: W/"x"\r\n',
        b"Content-Encoding: fernet\r\n",
        b"Payload-Key: chat:3\r\n",
        b"Cache-Control: no-store\r\n",
        VARY,
    ]


def test_stricter_word_of_the_backend_and_its_own_coding_stay() -> None:
    lines = [b'ETag: W/"x"\r\n', b"Cache-Control: No-Store, private\r\n", b"Content-Encoding: gzip\r\n"]
    assert sealed_lines(lines, b"fernet", b"") == [
        b'ETag: W/"x"\r\n',
        b"Content-Encoding: gzip, fernet\r\n",
        b"Cache-Control: No-Store, private\r\n",
        VARY,
    ]


def test_answer_without_content_has_no_coding() -> None:
    assert sealed_lines([], b"", b"") == [b"Cache-Control: no-store\r\n", VARY]


@pytest.mark.parametrize(
    ("said", "vary"),
    [
        ([b"Vary: *\r\n"], b"Vary: *\r\n"),
        (
            [b"Vary: Origin\r\n", b"vary: payload-key\r\n"],
            b"Vary: Origin, payload-key, Accept-Encoding, Payload-Session\r\n",
        ),
    ],
)
def test_vary_is_completed(said: list[bytes], vary: bytes) -> None:
    assert plain_lines(said) == [vary]


def test_scripts_of_other_origins_learn_our_fields_where_the_backend_lets_them() -> None:
    allowed = b"Access-Control-Allow-Origin: https://page.test\r\n"
    exposed = b"Access-Control-Expose-Headers: X-Mine, Content-Encoding, Payload-Key, Payload-Plain\r\n"
    assert plain_lines([allowed, b"access-control-expose-headers: X-Mine\r\n"]) == [allowed, VARY, exposed]


def test_preflight_allows_our_fields() -> None:
    lines = [
        b"Access-Control-Allow-Origin: *\r\n",
        b"Access-Control-Allow-Methods: POST\r\n",
        b"Access-Control-Allow-Headers: Content-Type\r\n",
    ]
    assert plain_lines(lines)[-1] == (
        b"Access-Control-Allow-Headers: Content-Type, Content-Encoding, Payload-Key, Payload-Session, Payload-Accept,"
        b" Payload-Nonce\r\n"
    )


def test_backend_that_says_in_every_answer_what_it_allows_hides_nothing() -> None:
    lines = [b"Access-Control-Allow-Origin: *\r\n", b"Access-Control-Allow-Headers: Content-Type\r\n"]
    exposed = b"Access-Control-Expose-Headers: Content-Encoding, Payload-Key, Payload-Plain\r\n"
    assert exposed in plain_lines(lines)
    assert exposed in sealed_lines(lines, b"fernet", b"chat:1")


def test_backend_cannot_mark_an_answer_as_ours() -> None:
    assert plain_lines([b"Payload-Plain: proxy\r\n"]) == [VARY]


@pytest.mark.parametrize("origin", [None, b"https://other.test", b"null", b"", b"https://page.test:8443", b"*"])
def test_refusal_is_closed_to_pages_of_other_origins(origin: bytes | None) -> None:
    assert refusal_lines(origin, {b"https://page.test"}) == PLAIN_MARK


def test_refusal_is_open_to_pages_of_the_origins_that_are_named() -> None:
    assert refusal_lines(b"https://page.test", {b"https://page.test", b"https://other.test"}).splitlines() == [
        b"Payload-Plain: proxy",
        b"Access-Control-Allow-Origin: https://page.test",
        b"Access-Control-Allow-Credentials: true",
        b"Access-Control-Expose-Headers: Payload-Plain, Retry-After, X-Request-Id",
        b"Vary: Origin",
    ]
