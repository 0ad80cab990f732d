"""Names of fields that no table on the way may hold (RFC 7541 6.2.3 and 7.1.3).

A table that holds a secret can be probed by the length of what is sent. A sender marks such a
field by its representation: a literal that is never indexed. An intermediary has to keep the mark.
Marks continue by names: if one of two fields with the same name is marked, both are.
"""

from typing import Final

NO_NAMES: Final[frozenset[bytes]] = frozenset()
"""What nearly every list of fields has beside the names that are secret anyway."""

SECRET_NAMES: Final = frozenset(
    (
        *(b"authorization", b"authentication-info", b"cookie", b"proxy-authenticate", b"proxy-authentication-info"),
        *(b"proxy-authorization", b"set-cookie", b"www-authenticate"),
    )
)
"""These are never indexed, marked or not. So their marks need not continue."""

# In which fields servers get the value of a field of the client once more, or in its place.
_COPIES: Final = (
    (b":authority", frozenset((b"forwarded", b"x-forwarded-host"))),
    (b"host", frozenset((b":authority", b"forwarded", b"x-forwarded-host"))),
    (b":path", frozenset((b"x-forwarded-uri",))),
)


def with_copies(names: frozenset[bytes]) -> frozenset[bytes]:
    """The marked names of a request, with those of fields that repeat what it marked."""
    for name, copies in _COPIES:
        if name in names:
            names |= copies
    return names
