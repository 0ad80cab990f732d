"""The ServerHello is read from what OpenSSL itself wrote."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.tls.wire.alerts import AlertDescription, alert_record
from proxy.tls.wire.server_hello import ServerFlightError, ServerHello, parse_server_flight
from tests.proxy.tls.hellos import (
    client_context,
    code_points,
    converse,
    extension,
    handshake,
    peer,
    record,
    records,
    server_context,
    vector,
)

SUPPORTED_VERSION = extension(43, b"\3\4")


def server_hello(*extensions: bytes, random: bytes = b"r" * 32, session_id: bytes = b"s" * 32) -> bytes:
    """A ServerHello with TLS_AES_256_GCM_SHA384."""
    body = b"\3\3" + random + vector(session_id, 1) + b"\x13\2\0" + vector(b"".join(extensions), 2)
    return handshake(2, body)


class TestOpenSsl:
    """What OpenSSL writes for what its clients offer."""

    @pytest.mark.parametrize(
        ("group", "code_point"),
        [
            ("X25519MLKEM768", 0x11EC),
            ("SecP256r1MLKEM768", 0x11EB),
            ("SecP384r1MLKEM1024", 0x11ED),
            ("MLKEM1024", 0x0202),
            ("X25519", 0x001D),
            ("P-256", 0x0017),
        ],
    )
    def test_the_negotiated_group_is_read_back(self, group: str, code_point: int) -> None:
        flight = peer(server_context(group)).answer(peer(client_context(group)).answer(b""))
        hello = parse_server_flight(flight)
        assert hello == ServerHello(
            is_retry=False, group=code_point, cipher_suite=0x1302, psk_selected=False, wire_length=hello.wire_length
        )
        assert flight[hello.wire_length :].startswith(record(b"\1", 20, 0x0303))

    def test_a_retry_asks_for_a_group_and_the_next_flight_has_it(self) -> None:
        client = peer(client_context("X25519:X25519MLKEM768"))
        server = peer(server_context("X25519MLKEM768 / X25519"))
        converse(client, server)
        retry, hello = parse_server_flight(server.sent[0]), parse_server_flight(server.sent[1])
        assert (retry.is_retry, retry.group) == (True, 0x11EC)
        assert (hello.is_retry, hello.group) == (False, 0x11EC)

    def test_a_resumption_selects_the_pre_shared_key(self) -> None:
        client, server = client_context("X25519"), server_context("X25519")
        first = peer(client)
        converse(first, peer(server))
        again = peer(server).answer(peer(client, first.tls.session).answer(b""))
        assert parse_server_flight(again).psk_selected

    def test_a_server_hello_in_many_records_is_joined(self) -> None:
        flight = peer(server_context("X25519MLKEM768")).answer(peer(client_context("X25519MLKEM768")).answer(b""))
        whole = parse_server_flight(flight)
        cut = records(flight[5 : whole.wire_length], 100)
        hello = parse_server_flight(cut + flight[whole.wire_length :])
        assert hello.group == 0x11EC
        assert hello.wire_length == len(cut)


class TestByHand:
    """Forms that OpenSSL was not made to write here."""

    def test_a_pre_shared_key_alone_has_no_group(self) -> None:
        flight = record(server_hello(SUPPORTED_VERSION, extension(41, code_points([0]))))
        assert parse_server_flight(flight) == ServerHello(
            is_retry=False, group=None, cipher_suite=0x1302, psk_selected=True, wire_length=len(flight)
        )

    def test_an_empty_session_id_is_echoed(self) -> None:
        share = extension(51, pack(">H", 29) + vector(b"k" * 32, 2))
        assert parse_server_flight(record(server_hello(SUPPORTED_VERSION, share, session_id=b""))).group == 29

    @pytest.mark.parametrize("fragment_bytes", [1, 3, 4, 5, 50])
    def test_any_fragmentation_gives_the_same(self, fragment_bytes: int) -> None:
        message = server_hello(SUPPORTED_VERSION, extension(51, b"\0\x1d"))
        assert parse_server_flight(records(message, fragment_bytes)).group == 29

    def test_a_message_longer_than_64_kb_is_read_whole(self) -> None:
        message = server_hello(extension(99, b"z" * 65_000), extension(51, b"\0\x1d"), session_id=b"s" * 255)
        long_message = handshake(2, message[4:] + bytes(600))
        flight = records(long_message, 16_000)
        assert len(long_message) > 65_540
        assert parse_server_flight(flight + b"\x17").wire_length == len(flight)

    @pytest.mark.parametrize(
        "flight",
        [
            b"",
            alert_record(AlertDescription.HANDSHAKE_FAILURE),
            record(b"encrypted", 23, 0x0303),
            record(server_hello(SUPPORTED_VERSION), 23),
            record(handshake(11, b"certificate" * 10)),
            record(server_hello(SUPPORTED_VERSION))[:-1],
            record(server_hello(SUPPORTED_VERSION)[:20]),
            record(server_hello(SUPPORTED_VERSION)[:20]) + record(b"encrypted", 23, 0x0303),
            record(handshake(2, b"\3\3")),
            record(handshake(2, b"\3\3" + b"r" * 32 + b"\0\x13")),
            record(handshake(2, b"\3\3" + b"r" * 32 + b"\0\x13\2\0\0\4\0\x2b")),
        ],
    )
    def test_what_does_not_begin_with_a_server_hello_is_an_error(self, flight: bytes) -> None:
        with pytest.raises(ServerFlightError) as caught:
            parse_server_flight(flight)
        assert caught.value.flight == flight[:9]

    def test_the_error_shows_what_came_instead(self) -> None:
        alert = alert_record(AlertDescription.HANDSHAKE_FAILURE)
        assert str(ServerFlightError(alert)).endswith("begin with a ServerHello but with 15 03 03 00 02 02 28")
        assert str(ServerFlightError(b"")).endswith("with nothing")


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda body: record(handshake(2, body)))))
def test_any_bytes_are_decoded_or_refused(flight: bytes) -> None:
    try:
        hello = parse_server_flight(flight)
    except ServerFlightError:
        pass
    else:
        assert hello.wire_length <= len(flight)
