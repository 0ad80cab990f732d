"""The lexical rules of HTTP (RFC 9110 section 5.6) that more than one module needs.

All functions work on bytes, which know ASCII only. `str.strip`, `str.isdigit` and `\\d` know the
white space and the digits of Unicode: in other software an ARABIC-INDIC DIGIT FIVE became a
Content-Length in this way.
"""

from typing import Final

from mypy_extensions import i64

# RFC 9110 5.6.2: tchar.
TOKEN_CHARS = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# RFC 9110 5.5: field-content, i.e. visible characters, obs-text, and SP and HTAB between them.
FIELD_VALUE_CHARS = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))

# RFC 9110 5.6.3: OWS.
WHITESPACE: Final = b" \t"


# Digits of Content-Length: a number below 10^18 fits the signed 64 bits of every upstream.
_LENGTH_DIGITS: Final = 18
_ZERO: Final = 0x30
_NINE: Final = 0x39


def all_but(allowed: bytes) -> bytes:
    """A table for `translate` that changes every octet but these.

    What it leaves as it is has none but these. Compiled code builds a table for each call that
    deletes octets.
    """
    return bytes(code if code in allowed else code ^ 0xFF for code in range(256))


_NO_TOKEN: Final = all_but(TOKEN_CHARS)
_NO_FIELD_VALUE: Final = all_but(FIELD_VALUE_CHARS)


def is_token(value: bytes) -> bool:
    """Say whether `value` is a token (RFC 9110 5.6.2): a method, a field name, an option."""
    return value != b"" and value.translate(_NO_TOKEN) == value


def is_field_value(value: bytes) -> bool:
    """Say whether `value` may be a field value: no CR, LF, NUL or other control character."""
    return value.translate(_NO_FIELD_VALUE) == value


def length_of(value: bytes) -> i64:
    """The number that a value of Content-Length is; -1 if an upstream may not take it."""
    count = len(value)
    if not 0 < count <= _LENGTH_DIGITS:
        return -1
    length: i64 = 0
    at: i64 = 0
    while at < count:
        digit: i64 = value[at]
        if not _ZERO <= digit <= _NINE:
            return -1
        length = length * 10 + digit - _ZERO
        at += 1
    return length


def list_elements(values: list[bytes]) -> list[bytes]:
    """Split the field lines of a comma-separated field into its elements, without white space.

    The elements keep their order; empty ones are left out (RFC 9110 5.6.1.2). This function does
    not understand quoted strings: it is for fields of plain tokens only.
    """
    return [element for value in values for part in value.split(b",") if (element := part.strip(WHITESPACE))]
