"""The rules of HTTP/2 for every list of fields (RFC 9113 sections 8.2 and 8.3). Pure.

A list that breaks a rule makes its message malformed, which is an error of its stream (8.1.1).
"""

from collections.abc import Container
from typing import TYPE_CHECKING, Final

from proxy.http.grammar import all_but, is_field_value
from proxy.http.head import Header
from proxy.http2.hpack.decoder import DecodedFields
from proxy.http2.wire.errors import ErrorCode, StreamFault

if TYPE_CHECKING:
    from mypy_extensions import i64

# RFC 9113 8.2.2: HTTP/2 has no fields about a connection.
CONNECTION_FIELDS: Final = frozenset(
    b"connection proxy-connection keep-alive transfer-encoding upgrade http2-settings".split()
)
# One look-up tells that a field has no rule of its own.
_HOP_BY_HOP: Final = CONNECTION_FIELDS | {b"te"}

# RFC 9113 8.2: a field name is a token without upper-case letters.
_NO_NAME: Final = all_but(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_SPACE: Final = 0x20
_TAB: Final = 0x09


def pseudo_fields(fields: list[Header], known: Container[bytes]) -> dict[bytes, bytes]:
    """Collect the pseudo-fields: known ones only, once each, before all others (RFC 9113 8.3).

    Raises StreamFault.
    """
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if not name.startswith(b":"):
            break
        if name not in known:
            raise malformed("unknown pseudo-field")
        if name in pseudo:
            raise malformed("pseudo-field that stands twice")
        pseudo[name] = value
    return pseudo


def check_characters(fields: list[Header], start: int) -> None:
    """Check all values, and the names from `start` (RFC 9113 8.2.1, 8.2.2). Raises StreamFault."""
    for _, value in fields[:start]:
        check_value(value)
    for name, value in fields[start:]:
        check_field(name, value)


def check_field(name: bytes, value: bytes) -> None:
    """Check a field that is no pseudo-field.

    It has exactly the bytes that the parser of HTTP/1.1 takes. Raises StreamFault.
    """
    if not name:
        raise malformed("empty field name")
    if name.translate(_NO_NAME) != name:
        raise malformed("pseudo-field out of its place" if name.startswith(b":") else "invalid field name")
    check_value(value)
    if name in _HOP_BY_HOP and (name in CONNECTION_FIELDS or value.lower() != b"trailers"):
        raise malformed("field about the connection")  # RFC 9113 8.2.2: but `te: trailers`


def check_value(value: bytes) -> None:
    """Check one value (RFC 9113 8.2.1). Raises StreamFault."""
    length: i64 = len(value)
    if length > 0:
        first: i64 = value[0]
        last: i64 = value[length - 1]
        if first in (_SPACE, _TAB) or last in (_SPACE, _TAB):
            raise malformed("white space around a field value")
    if not is_field_value(value):
        raise malformed("control character in a field value")


def trailer_fault(block: DecodedFields) -> StreamFault | None:
    """Return what is wrong with the trailer fields of a request (RFC 9113 8.1); None if nothing is.

    They never continue.
    """
    if block.is_too_large:
        return malformed("too many trailer fields, or too large ones")
    try:
        check_characters(block.fields, 0)
    except StreamFault as fault:
        return fault
    return None


def malformed(reason: str) -> StreamFault:
    """Return the fault of a malformed message. `reason` is for the log."""
    return StreamFault(ErrorCode.PROTOCOL_ERROR, reason)
