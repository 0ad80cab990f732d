"""Cookies of a request (RFC 6265 section 4.2). Pure."""

from collections.abc import Iterable

from proxy.http.head import Header


def cookie_value(headers: Iterable[Header], name: bytes) -> bytes | None:
    """The value of the first cookie with this name, or None. Cookie names are case-sensitive."""
    start = name + b"="
    for field, value in headers:
        if field.lower() == b"cookie":
            for pair in value.split(b";"):
                cookie = pair.strip(b" \t")
                if cookie.startswith(start):
                    return cookie[len(start) :]
    return None
