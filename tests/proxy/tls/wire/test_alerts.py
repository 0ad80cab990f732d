"""Alerts as OpenSSL writes and understands them."""

import ssl

import pytest

from proxy.tls.wire.alerts import AlertDescription, alert_in, alert_record
from tests.proxy.tls.hellos import client_context, peer, record, server_context


def test_a_fatal_alert_is_one_plaintext_record_of_seven_bytes() -> None:
    assert alert_record(AlertDescription.HANDSHAKE_FAILURE) == bytes.fromhex("15 03 03 00 02 02 28")


STANDARD_LIBRARY = {known.name.removeprefix("ALERT_DESCRIPTION_"): known.value for known in ssl.AlertDescription}


@pytest.mark.parametrize("description", [one for one in AlertDescription if one.name in STANDARD_LIBRARY])
def test_a_number_is_that_of_the_standard_library(description: AlertDescription) -> None:
    assert description.value == STANDARD_LIBRARY[description.name]


def test_numbers_that_the_standard_library_lacks_are_those_of_rfc_8446() -> None:
    assert {one.name: one.value for one in AlertDescription if one.name not in STANDARD_LIBRARY} == {
        "INAPPROPRIATE_FALLBACK": 86,
        "USER_CANCELED": 90,
        "MISSING_EXTENSION": 109,
        "CERTIFICATE_REQUIRED": 116,
        "NO_APPLICATION_PROTOCOL": 120,
    }


@pytest.mark.parametrize("description", [AlertDescription.CLOSE_NOTIFY, AlertDescription.USER_CANCELED])
def test_a_closure_alert_is_a_warning(description: AlertDescription) -> None:
    assert alert_record(description) == bytes((21, 3, 3, 0, 2, 1, description))


@pytest.mark.parametrize(
    ("description", "words"),
    [
        (AlertDescription.NO_APPLICATION_PROTOCOL, "no application protocol"),
        (AlertDescription.UNRECOGNIZED_NAME, "unrecognized name"),
        (AlertDescription.HANDSHAKE_FAILURE, "handshake failure"),
        (AlertDescription.DECODE_ERROR, "decode error"),
        (AlertDescription.MISSING_EXTENSION, "missing extension"),
    ],
)
def test_a_client_that_awaits_the_server_hello_understands_our_alert(description: AlertDescription, words: str) -> None:
    client = peer(client_context("X25519"))
    client.answer(b"")
    with pytest.raises(ssl.SSLError, match=words):
        client.answer(alert_record(description))


def test_our_alert_equals_the_one_of_openssl() -> None:
    server = peer(server_context("X25519"))
    with pytest.raises(ssl.SSLError):
        server.answer(record(b"\1\0\0\0"))
    assert server.outgoing.read() == alert_record(AlertDescription.DECODE_ERROR)


@pytest.mark.parametrize("description", AlertDescription)
def test_alert_is_read_back(description: AlertDescription) -> None:
    assert alert_in(alert_record(description)) is description


@pytest.mark.parametrize(
    "records", [b"", alert_record(AlertDescription.DECODE_ERROR) * 2, b"\x17\3\3\0\2\2\x28", b"\x15\3\3\0\2\2\xff"]
)
def test_nothing_else_is_an_alert(records: bytes) -> None:
    assert alert_in(records) is None
