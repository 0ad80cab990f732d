"""What a client is told whose hello our parser rejects."""

import ssl

import pytest

from proxy.tls.alerts import AlertDescription, alert_in
from proxy.tls.bio_pair import BioPair
from proxy.tls.malformed_hello import answer_to, reason_of
from proxy.tls.records import HelloError, HelloFailure
from proxy.tls.results import FailureReason


@pytest.fixture
def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def test_openssl_answers_what_it_cannot_read(context: ssl.SSLContext) -> None:
    bios = BioPair()
    error = HelloError(HelloFailure.NOT_TLS)
    answer = answer_to(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", error, bios, context)
    assert alert_in(answer) is not None
    assert not bios.incoming.pending
    assert not bios.outgoing.pending


def test_ours_is_the_answer_where_openssl_has_none(context: ssl.SSLContext) -> None:
    error = HelloError(HelloFailure.RECORD_TOO_LONG)
    assert alert_in(answer_to(b"\x16\x03\x01", error, BioPair(), context)) is AlertDescription.RECORD_OVERFLOW


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (HelloFailure.NOT_TLS, FailureReason.NOT_TLS),
        (HelloFailure.OLD_VERSION, FailureReason.OLD_VERSION),
        (HelloFailure.EMPTY_RECORD, FailureReason.MALFORMED_HELLO),
    ],
)
def test_only_damaged_hellos_count_as_malformed(failure: HelloFailure, reason: FailureReason) -> None:
    assert reason_of(HelloError(failure)) is reason
