"""Why OpenSSL ended a handshake: the reason for the counters, and what the log says. Pure but for
the question whom the client claimed to be.
"""

import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.tls.alerts import AlertDescription, alert_in
from proxy.tls.client_certificate import UnusableCertificate, read_certificate, subject_of
from proxy.tls.results import FailureReason, openssl_code, openssl_reason
from proxy.tls.server_step import ServerStep
from proxy.tls.tls_object import verified_chain

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
