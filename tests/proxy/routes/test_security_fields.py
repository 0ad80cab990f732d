"""The fields by which browsers protect the users of a route."""

import pytest

from proxy.routes.field_edits import FieldEdits
from proxy.routes.security_fields import security_defaults
from proxy.routes.templates import RequestValues

HSTS = b"Strict-Transport-Security: max-age=31536000\r\n"
NOSNIFF = b"X-Content-Type-Options: nosniff\r\n"
REFERRER = b"Referrer-Policy: same-origin\r\n"
FRAMES = b"Content-Security-Policy: frame-ancestors 'self'\r\n"


def unasked() -> RequestValues:
    raise AssertionError("no value depends on the request")


def added(*lines: bytes, hsts: bool = True) -> list[bytes]:
    """What a response with these lines gets."""
    return FieldEdits(defaults=security_defaults(hsts=hsts)).edited(lines, unasked)[len(lines) :]


def test_response_that_says_nothing_gets_all() -> None:
    assert added() == [HSTS, NOSNIFF, REFERRER, FRAMES]
    assert added(hsts=False) == [NOSNIFF, REFERRER, FRAMES]


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        (b"strict-transport-security: max-age=0\r\n", HSTS),
        (b"X-Content-Type-Options: other\r\n", NOSNIFF),
        (b"referrer-policy: origin\r\n", REFERRER),
        (b"Content-Security-Policy: default-src *\r\n", FRAMES),
        (b"X-Frame-Options: ALLOW-FROM https://a.test\r\n", FRAMES),
    ],
)
def test_server_is_never_overridden(line: bytes, missing: bytes) -> None:
    assert added(line) == [one for one in (HSTS, NOSNIFF, REFERRER, FRAMES) if one != missing]
