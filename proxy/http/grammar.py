"""The lexical rules of HTTP (RFC 9110 section 5.6) that more than one module needs.

All functions work on bytes, which know ASCII only. `str.strip`, `str.isdigit` and `\\d` know the
white space and the digits of Unicode: in other software an ARABIC-INDIC DIGIT FIVE became a
Content-Length in this way.
"""

# RFC 9110 5.6.2: tchar.
TOKEN_CHARS = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# RFC 9110 5.5: field-content, i.e. visible characters, obs-text, and SP and HTAB between them.
FIELD_VALUE_CHARS = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))

# RFC 9110 5.6.3: OWS.
WHITESPACE = b" \t"


def is_token(value: bytes) -> bool:
    """Say whether `value` is a token (RFC 9110 5.6.2): a method, a field name, an option."""
    return value != b"" and not value.translate(None, TOKEN_CHARS)


def is_field_value(value: bytes) -> bool:
    """Say whether `value` may be a field value: no CR, LF, NUL or other control character."""
    return not value.translate(None, FIELD_VALUE_CHARS)


def list_elements(values: list[bytes]) -> list[bytes]:
    """Split the field lines of a comma-separated field into its elements, without white space.

    The elements keep their order; empty ones are left out (RFC 9110 5.6.1.2). This function does
    not understand quoted strings: it is for fields of plain tokens only.
    """
    return [element for value in values for part in value.split(b",") if (element := part.strip(WHITESPACE))]
