"""Why a handshake failed: the reason for the counters, what the log says, and the alert.

OpenSSL has the better alert, also for a ClientHello that our parser rejects; ours is sent if
OpenSSL has none.
"""

import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.tls.handshake.results import FailureReason, openssl_code, openssl_reason
from proxy.tls.handshake.server_step import ServerStep, server_step
from proxy.tls.openssl.driver import TlsDriver
from proxy.tls.openssl.tls_object import verified_chain
from proxy.tls.wire.alerts import AlertDescription, alert_in, alert_record
from proxy.tls.wire.client_certificate import UnusableCertificate, read_certificate, subject_of
from proxy.tls.wire.records import HelloError, HelloFailure

# OpenSSL says one of these to a hello that it can read, as the context for alerts has no
# certificate.
_SAID_FOR_WANT_OF_A_CERTIFICATE: Final = frozenset(
    {AlertDescription.HANDSHAKE_FAILURE, AlertDescription.PROTOCOL_VERSION}
)
# A client that is only too old has sent nothing wrong, and operators want to count such clients.
_REASONS: Final = {
    HelloFailure.NOT_TLS: FailureReason.NOT_TLS,
    HelloFailure.OLD_VERSION: FailureReason.OLD_VERSION,
}

_NO_CERTIFICATE: Final = "PEER_DID_NOT_RETURN_A_CERTIFICATE"
_UNTRUSTED: Final = (FailureReason.CLIENT_CERTIFICATE_UNTRUSTED, AlertDescription.UNKNOWN_CA)
_UNLISTED: Final = FailureReason.CLIENT_REVOCATIONS_UNKNOWN

# openssl/x509_vfy.h: X509_V_ERR_..., with the alert that OpenSSL sends, encrypted.
_VERDICTS: Final[Mapping[int, tuple[FailureReason, AlertDescription]]] = {
    2: _UNTRUSTED,  # UNABLE_TO_GET_ISSUER_CERT
    18: _UNTRUSTED,  # DEPTH_ZERO_SELF_SIGNED_CERT
    19: _UNTRUSTED,  # SELF_SIGNED_CERT_IN_CHAIN
    20: _UNTRUSTED,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: _UNTRUSTED,  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    22: _UNTRUSTED,  # CERT_CHAIN_TOO_LONG
    25: _UNTRUSTED,  # PATH_LENGTH_EXCEEDED
    79: _UNTRUSTED,  # INVALID_CA
    9: (FailureReason.CLIENT_CERTIFICATE_EXPIRED, AlertDescription.BAD_CERTIFICATE),  # NOT_YET_VALID
    10: (FailureReason.CLIENT_CERTIFICATE_EXPIRED, AlertDescription.CERTIFICATE_EXPIRED),
    23: (FailureReason.CLIENT_CERTIFICATE_REVOKED, AlertDescription.CERTIFICATE_REVOKED),
    3: (_UNLISTED, AlertDescription.UNKNOWN_CA),  # UNABLE_TO_GET_CRL
    11: (_UNLISTED, AlertDescription.BAD_CERTIFICATE),  # CRL_NOT_YET_VALID
    12: (_UNLISTED, AlertDescription.CERTIFICATE_EXPIRED),  # CRL_HAS_EXPIRED
    7: (FailureReason.CLIENT_CERTIFICATE_REFUSED, AlertDescription.DECRYPT_ERROR),  # CERT_SIGNATURE_FAILURE
    26: (FailureReason.CLIENT_CERTIFICATE_REFUSED, AlertDescription.UNSUPPORTED_CERTIFICATE),  # INVALID_PURPOSE
}


def reason_of(error: HelloError) -> FailureReason:
    """The reason that a hello with this error is counted under."""
    return _REASONS.get(error.reason, FailureReason.MALFORMED_HELLO)


def answer_to(wire: bytes, error: HelloError, driver: TlsDriver, context: ssl.SSLContext) -> bytes:
    """The record of an alert for the bytes on the `wire`. `context` has no certificate."""
    made = server_step(driver.server_side(context), driver, wire)
    answer = b"" if made.error is None else made.output
    openssls = alert_in(answer)
    if openssls is None or (openssls in _SAID_FOR_WANT_OF_A_CERTIFICATE and not error.is_not_tls):
        return alert_record(error.alert)
    return answer


class StepFailure(NamedTuple):
    """Why a step failed. `alert` is None if it is not known which one OpenSSL sends."""

    reason: FailureReason
    detail: str
    alert: AlertDescription | None


def step_failure(made: ServerStep, error: ssl.SSLError) -> StepFailure:
    """Explain the `error` of a step."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason, alert = _VERDICTS.get(error.verify_code, (FailureReason.CLIENT_CERTIFICATE_REFUSED, None))
        return StepFailure(reason, f"{error.verify_message}{_claimed(made)}", alert)
    code = openssl_code(error)
    if code == _NO_CERTIFICATE:
        detail = "the client showed no certificate"
        return StepFailure(FailureReason.CLIENT_CERTIFICATE_MISSING, detail, AlertDescription.CERTIFICATE_REQUIRED)
    return StepFailure(openssl_reason(code), code or str(error), alert_in(made.output))


def _claimed(made: ServerStep) -> str:
    """Whom the refused certificate names; nothing has proved it."""
    chain = verified_chain(made.tls)
    if not chain:
        return ""
    try:
        return f": {subject_of(read_certificate(chain[0]))}"
    except UnusableCertificate:
        return ""
