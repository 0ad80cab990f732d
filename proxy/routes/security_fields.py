"""The fields by which browsers protect the users of a route. Pure."""

from typing import Final

from proxy.routes.field_edits import FieldDefault

# A year. It says nothing about other names below this one, which may have no TLS.
_HSTS: Final = b"Strict-Transport-Security: max-age=31536000\r\n"


def security_defaults(*, hsts: bool) -> tuple[FieldDefault, ...]:
    """The fields that a response gets if the server says nothing about the same thing.

    `hsts`: whether browsers are asked to come by TLS only (RFC 6797).
    """
    always = (
        FieldDefault(b"X-Content-Type-Options: nosniff\r\n", frozenset({b"x-content-type-options"})),
        FieldDefault(b"Referrer-Policy: same-origin\r\n", frozenset({b"referrer-policy"})),
        # frame-ancestors would overrule X-Frame-Options, and a second policy would narrow the first
        FieldDefault(
            b"Content-Security-Policy: frame-ancestors 'self'\r\n",
            frozenset({b"content-security-policy", b"x-frame-options"}),
        ),
    )
    if not hsts:
        return always
    return (FieldDefault(_HSTS, frozenset({b"strict-transport-security"})), *always)
