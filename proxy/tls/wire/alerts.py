"""TLS alerts: the numbers of RFC 8446 section 6, and the plaintext record of one before any key."""

import contextlib
from enum import IntEnum
from typing import Final

_ALERT_RECORD_HEADER: Final = bytes.fromhex("15 0303 0002")  # content type 21, legacy version 1.2, two bytes follow
_RECORD_BYTES: Final = 7
_WARNING: Final = 1
_FATAL: Final = 2


class AlertDescription(IntEnum):
    """What an alert says. RFC 8446 section 6; the names are the RFC's."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    INAPPROPRIATE_FALLBACK = 86
    USER_CANCELED = 90
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110
    UNRECOGNIZED_NAME = 112
    BAD_CERTIFICATE_STATUS_RESPONSE = 113
    UNKNOWN_PSK_IDENTITY = 115
    CERTIFICATE_REQUIRED = 116
    NO_APPLICATION_PROTOCOL = 120


# RFC 8446 section 6.1: the two that only close a connection are warnings; section 6.2: the rest is
# fatal.
_CLOSURE_ALERTS: Final = frozenset({AlertDescription.CLOSE_NOTIFY, AlertDescription.USER_CANCELED})


def alert_record(description: AlertDescription) -> bytes:
    """Write the alert as one plaintext record of 7 bytes, for the time before the ServerHello."""
    level = _WARNING if description in _CLOSURE_ALERTS else _FATAL
    return _ALERT_RECORD_HEADER + bytes((level, description))


def alert_in(records: bytes) -> AlertDescription | None:
    """The description in a plaintext alert record; None for anything else.

    An encrypted alert can be read by the peer only.
    """
    if len(records) == _RECORD_BYTES and records[0] == _ALERT_RECORD_HEADER[0]:
        with contextlib.suppress(ValueError):
            return AlertDescription(records[-1])
    return None
