"""The answer to a ClientHello that our parser rejects: OpenSSL's alert, or ours if it has none."""

import ssl
from typing import Final

from proxy.tls.alerts import AlertDescription, alert_in, alert_record
from proxy.tls.bio_pair import BioPair
from proxy.tls.records import HelloError, HelloFailure
from proxy.tls.results import FailureReason

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


def reason_of(error: HelloError) -> FailureReason:
    """The reason that a hello with this error is counted under."""
    return _REASONS.get(error.reason, FailureReason.MALFORMED_HELLO)


def answer_to(wire: bytes, error: HelloError, bios: BioPair, context: ssl.SSLContext) -> bytes:
    """The record of an alert for the bytes on the `wire`.

    `context` has no certificate; `bios` are empty before and after.
    """
    bios.incoming.write(wire)
    answer = b""
    try:
        context.wrap_bio(bios.incoming, bios.outgoing, server_side=True).do_handshake()
    except ssl.SSLError:
        answer = bios.outgoing.read()
    bios.clear()
    openssls = alert_in(answer)
    if openssls is None or (openssls in _SAID_FOR_WANT_OF_A_CERTIFICATE and not error.is_not_tls):
        return alert_record(error.alert)
    return answer
