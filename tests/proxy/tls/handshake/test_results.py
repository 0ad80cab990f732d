"""Results of a handshake: what follows from what is in them."""

import ssl
from dataclasses import replace

import pytest

from proxy.tls.handshake.group_choice import HandshakeOutcome
from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.handshake.results import Established, Failed, FailureReason, openssl_code, openssl_reason
from proxy.tls.openssl.context import ServerContext, build_alert_context
from proxy.tls.wire.alerts import AlertDescription
from proxy.tls.wire.client_hello import parse_client_hello
from proxy.tls.wire.groups import KNOWN
from tests.proxy.tls import hellos

CHAT = ServerIdentity("chat", frozenset({"chat.test"}), ServerContext(build_alert_context()))


def test_a_group_is_shown_by_its_name_and_one_that_nobody_knows_as_unknown() -> None:
    result = Established("chat.test", CHAT, KNOWN["x25519mlkem768"], HandshakeOutcome.HYBRID, is_resumed=False)
    assert result.group_name == "X25519MLKEM768"
    assert replace(result, group=None).group_name == "unknown"
    assert (result.signing_seconds, result.breaks_under_require) == (None, False)


def test_a_cipher_suite_is_shown_by_its_name() -> None:
    result = Established("chat.test", CHAT, None, HandshakeOutcome.HYBRID, is_resumed=False, cipher_suite=0x1303)
    assert result.cipher_name == "TLS_CHACHA20_POLY1305_SHA256"
    assert replace(result, cipher_suite=0).cipher_name == ""


def test_who_offers_nothing_that_we_have_is_turned_away_and_has_not_failed() -> None:
    refused = {reason for reason in FailureReason if Failed(reason, "", None, (), None, None).is_refusal}
    assert refused == {
        FailureReason.POLICY,
        FailureReason.NO_COMMON_GROUP,
        FailureReason.NO_COMMON_SUITE,
        FailureReason.NO_COMMON_SIGNATURE,
    }


def test_a_failure_says_what_was_known_of_the_client() -> None:
    hello = parse_client_hello(hellos.chrome_hello(b"chat.test"))
    reason = FailureReason.CLIENT_CERTIFICATE_MISSING
    known = Failed.of(hello, CHAT, reason, "none", AlertDescription.CERTIFICATE_REQUIRED)
    assert (known.server_name, known.identity) == ("chat.test", "chat")
    assert known.offered_groups == hello.supported_groups
    assert Failed.of(None, None, reason, "none", None) == Failed(reason, "none", None, (), None, None)


def test_error_of_openssl_is_an_error_unless_it_means_a_refusal() -> None:
    assert openssl_reason("NO_SHARED_CIPHER") is FailureReason.NO_COMMON_SUITE
    assert openssl_reason("NO_SUITABLE_SIGNATURE_ALGORITHM") is FailureReason.NO_COMMON_SIGNATURE
    assert openssl_reason("RECORD_LAYER_FAILURE") is FailureReason.TLS_ERROR
    assert openssl_reason(None) is FailureReason.TLS_ERROR


def test_an_error_may_have_no_code_of_openssl() -> None:
    incoming = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="chat.test")
    with pytest.raises(ssl.SSLWantReadError) as waits:
        client.do_handshake()
    assert openssl_code(waits.value) is None
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ssl.SSLError) as broken:
        client.do_handshake()
    assert openssl_code(broken.value) == "WRONG_VERSION_NUMBER"
    assert openssl_code(ssl.SSLError(ssl.SSL_ERROR_WANT_READ, "made by Python")) is None
