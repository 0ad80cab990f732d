"""The credentials of the Basic scheme (RFC 7617): a name and a password in each request. Pure."""

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Iterable
from typing import Final, NamedTuple

from proxy.http.head import Header

# RFC 9110 section 11.4. A longer value is not a password that a person or a program would use.
_CREDENTIALS: Final = re.compile(rb"basic +([A-Za-z0-9+/]{1,1400}={0,2})", re.IGNORECASE)


class BasicCredentials(NamedTuple):
    """What a client says it is. It has no useful `repr`: see `__repr__`."""

    name: str
    password: bytes

    def __repr__(self) -> str:
        return f"<BasicCredentials of {self.name!r}>"


def basic_credentials(headers: Iterable[Header]) -> BasicCredentials | None:
    """Read the credentials of a request; None if there are none with a single meaning."""
    values = [value for name, value in headers if name.lower() == b"authorization"]
    found = _CREDENTIALS.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        return None
    try:
        octets = b64decode(found[1], validate=True)
        name, colon, password = octets.partition(b":")
        shown = name.decode("utf-8")
    except (Error, ValueError):
        return None
    return BasicCredentials(shown, password) if colon else None


def challenge(realm: str) -> bytes:
    """The field line of a 401 (RFC 7617 section 2). `realm` is ASCII without quotes."""
    return b'WWW-Authenticate: Basic realm="%b", charset="UTF-8"\r\n' % realm.encode("ascii")
