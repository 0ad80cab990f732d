"""ACME Renewal Information (ARI, RFC 9773): when a CA wants a certificate renewed. Pure."""

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509

from certs.identities.chain import extension_of
from certs.issuing.issuer import RenewalWindow

# RFC 9773 section 4.3.2: "clients SHOULD set reasonable limits on their checking interval", with
# these as example.
_SOONEST: Final = timedelta(minutes=1)
_LATEST: Final = timedelta(days=1)


class NoWindow(Exception):
    """An answer that says nothing about a time of renewal: to be treated as none at all (RFC 9773
    section 4.3.3).
    """

    def __str__(self) -> str:
        return "renewal information without a usable window"


def certificate_id(certificate: x509.Certificate) -> str | None:
    """The name of a certificate at its CA (RFC 9773 section 4.1); None for one that does not name
    its issuer's key.

    Key identifier of the issuer, ".", serial number as in DER (so with a leading zero byte where
    its first bit is set).
    """
    issuer = extension_of(certificate, x509.AuthorityKeyIdentifier)
    if issuer is None or issuer.key_identifier is None:
        return None
    serial = certificate.serial_number
    return f"{_base64url(issuer.key_identifier)}.{_base64url(serial.to_bytes(serial.bit_length() // 8 + 1))}"


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def window_of(document: Mapping[str, Any], retry_after: float | None, now: datetime) -> RenewalWindow:
    """Read what a CA answered at `now`; `retry_after` in seconds is kept within a minute and a day.

    Raises `NoWindow`.
    """
    suggested = document.get("suggestedWindow")
    if not isinstance(suggested, Mapping):
        raise NoWindow
    start = _time(suggested.get("start"))
    end = _time(suggested.get("end"))
    if (
        start >= end
    ):  # section 4.2: "A RenewalInfo object in which the end timestamp equals or precedes the start ... is invalid"
        raise NoWindow
    ask_again = None
    if retry_after is not None:
        ask_again = now + min(max(timedelta(seconds=retry_after), _SOONEST), _LATEST)
    return RenewalWindow(start, end, ask_again)


def _time(value: object) -> datetime:
    """A timestamp of RFC 3339, with its zone."""
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise NoWindow from None
    if time.tzinfo is None:
        raise NoWindow
    return time
