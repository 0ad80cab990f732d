"""Invariant: however the bytes are cut, the reader gives the same message or the same `HelloError`, never another error."""

import ssl
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.tls.wire.alerts import AlertDescription
from proxy.tls.wire.records import ClientFlight, ClientHelloReader, HelloError, HelloFailure
from tests.proxy.tls.hellos import (
    Hello,
    alpn,
    chrome_hello,
    client_context,
    extension,
    handshake,
    peer,
    record,
    records,
    server_context,
)

MESSAGE = Hello().message
CHANGE_CIPHER_SPEC = record(b"\1", 20, 0x0303)
EARLY_DATA = record(b"e" * 100, 23, 0x0303)


def read(
    data: bytes,
    piece_bytes: int,
    message_limit: int = 65_536,
    wire_limit: int = 400_000,
    flight: ClientFlight = ClientFlight.FIRST,
) -> ClientHelloReader:
    """Feed `data` in pieces."""
    reader = ClientHelloReader(message_limit, wire_limit, flight)
    for start in range(0, len(data), piece_bytes):
        reader.receive_data(data[start : start + piece_bytes])
    return reader


def verdict(
    data: bytes, piece_bytes: int, message_limit: int = 65_536, wire_limit: int = 400_000
) -> tuple[object, ...]:
    """What the reader makes of `data`: the message, or the facts of the error."""
    try:
        return (read(data, piece_bytes, message_limit, wire_limit).message,)
    except HelloError as error:
        return (error.reason, error.where, error.found, error.limit)


@pytest.fixture(params=[1, 2, 7, 1_000_000], ids=["byte by byte", "two bytes", "seven bytes", "whole"])
def piece_bytes(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


class TestFragmentation:
    """5.1. Record Layer: a message may be cut into any number of records, and these into any number of segments."""

    @pytest.mark.parametrize("fragment_bytes", [1, 3, 4, 5, len(MESSAGE) - 1, len(MESSAGE), 16_384])
    def test_a_hello_is_joined_from_its_records(self, fragment_bytes: int, piece_bytes: int) -> None:
        wire = records(MESSAGE, fragment_bytes)
        reader = read(wire, piece_bytes)
        assert reader.message == MESSAGE
        assert reader.wire == wire

    def test_there_is_no_message_before_its_last_byte(self, piece_bytes: int) -> None:
        wire = records(MESSAGE, 40)
        reader = read(wire[:-1], piece_bytes)
        assert reader.message is None
        reader.receive_data(wire[-1:])
        assert reader.message == MESSAGE

    def test_a_hello_longer_than_a_record_is_joined(self, piece_bytes: int) -> None:
        message = Hello().with_extensions(extension(99, b"z" * 40_000)).message
        assert read(records(message, 16_384), piece_bytes).message == message

    def test_the_hello_of_a_browser_is_read(self, piece_bytes: int) -> None:
        assert read(record(chrome_hello()), piece_bytes).message == chrome_hello()

    def test_the_hello_of_openssl_is_read(self, piece_bytes: int) -> None:
        wire = peer(client_context("X25519MLKEM768:X25519")).answer(b"")
        assert read(wire, piece_bytes).message == wire[5:]

    def test_the_minor_version_of_a_record_means_nothing(self, piece_bytes: int) -> None:
        assert read(record(MESSAGE, version=0x03FF), piece_bytes).message == MESSAGE

    def test_nothing_received_is_nothing_decided(self) -> None:
        reader = ClientHelloReader(65_536, 400_000)
        reader.receive_data(b"")
        assert (reader.message, reader.wire) == (None, b"")

    def test_a_view_of_the_callers_buffer_is_copied(self) -> None:
        buffer = bytearray(record(MESSAGE))
        reader = ClientHelloReader(65_536, 400_000)
        reader.receive_data(memoryview(buffer)[:20])
        reader.receive_data(memoryview(buffer)[20:])
        buffer[:] = bytes(len(buffer))
        assert reader.message == MESSAGE
        assert reader.wire == record(MESSAGE)

    @given(
        cuts=st.lists(st.integers(1, 300), min_size=1, max_size=20), pieces=st.lists(st.integers(1, 300), min_size=1)
    )
    def test_any_cut_gives_the_same_message(self, cuts: list[int], pieces: list[int]) -> None:
        message = Hello().with_extensions(extension(99, b"z" * 500)).message
        wire, position = b"", 0
        for cut in (*cuts, len(message)):
            wire += record(message[position : position + cut]) if position < len(message) else b""
            position += cut
        reader, position = ClientHelloReader(65_536, 400_000), 0
        for piece in (*pieces, len(wire)):
            reader.receive_data(wire[position : position + piece])
            position += piece
        assert reader.message == message
        assert reader.wire == wire


class TestBytesBehindTheHello:
    """What comes behind the hello is OpenSSL's, unless it stands in the hello's own record."""

    def test_records_behind_the_hello_are_kept(self, piece_bytes: int) -> None:
        rest = CHANGE_CIPHER_SPEC + EARLY_DATA + b"\xff"
        reader = read(record(MESSAGE) + rest, piece_bytes)
        assert reader.message == MESSAGE
        assert (reader.wire, reader.rest) == (record(MESSAGE) + rest, rest)

    def test_there_may_be_none(self, piece_bytes: int) -> None:
        assert read(record(MESSAGE), piece_bytes).rest == b""

    def test_a_message_in_the_same_record_is_refused(self, piece_bytes: int) -> None:
        assert verdict(record(MESSAGE + MESSAGE), piece_bytes) == (
            HelloFailure.BYTES_AFTER_HELLO,
            "",
            2 * len(MESSAGE),
            len(MESSAGE),
        )

    def test_a_byte_in_the_last_of_many_records_is_refused(self, piece_bytes: int) -> None:
        wire = records(MESSAGE[:-10], 7) + record(MESSAGE[-10:] + b"\0")
        assert verdict(wire, piece_bytes)[0] is HelloFailure.BYTES_AFTER_HELLO


class TestRecordsThatAreRefused:
    """5.1. Record Layer: what must not stand before or within a ClientHello."""

    @pytest.mark.parametrize(
        ("wire", "reason"),
        [
            (record(b""), HelloFailure.EMPTY_RECORD),
            (record(MESSAGE[:9]) + record(b"") + record(MESSAGE[9:]), HelloFailure.EMPTY_RECORD),
            (b"\x16\3\1\x40\1" + bytes(16_385), HelloFailure.RECORD_TOO_LONG),
            (b"\x16\3\1\xff\xff", HelloFailure.RECORD_TOO_LONG),
            (CHANGE_CIPHER_SPEC + record(MESSAGE), HelloFailure.UNEXPECTED_RECORD),
            (record(MESSAGE[:9]) + CHANGE_CIPHER_SPEC + record(MESSAGE[9:]), HelloFailure.UNEXPECTED_RECORD),
            (EARLY_DATA, HelloFailure.UNEXPECTED_RECORD),
            (record(b"\1\0\0", 24), HelloFailure.UNEXPECTED_RECORD),
            (record(MESSAGE[:9]) + b"GET / HTTP/1.1\r\n", HelloFailure.UNEXPECTED_RECORD),
            (record(MESSAGE[:9]) + record(MESSAGE[9:], version=0x0401), HelloFailure.UNEXPECTED_RECORD),
            (record(b"\2\x28", 21), HelloFailure.CLIENT_ALERT),
            (record(MESSAGE[:9]) + record(b"\2\x5a", 21), HelloFailure.CLIENT_ALERT),
            (record(handshake(2, MESSAGE[4:])), HelloFailure.NOT_A_CLIENT_HELLO),
            (record(b"\0\0\0\0"), HelloFailure.NOT_A_CLIENT_HELLO),
        ],
    )
    def test_the_reason_says_which_rule_was_broken(self, wire: bytes, reason: HelloFailure, piece_bytes: int) -> None:
        assert verdict(wire, piece_bytes)[0] is reason

    def test_another_message_is_named_by_its_type(self) -> None:
        assert verdict(record(handshake(2, MESSAGE[4:])), 1_000)[1] == "handshake type 2"

    def test_rejected_bytes_are_kept_for_openssl(self) -> None:
        reader = ClientHelloReader(65_536, 400_000)
        wire = record(MESSAGE[:9]) + CHANGE_CIPHER_SPEC
        with pytest.raises(HelloError):
            reader.receive_data(wire)
        assert reader.wire == wire

    @pytest.mark.parametrize(
        "wire",
        [
            CHANGE_CIPHER_SPEC + record(MESSAGE),
            EARLY_DATA,
            b"\x16\3\1\x40\1" + bytes(16_385),
            record(MESSAGE + b"\0"),
            record(handshake(2, MESSAGE[4:])),
            record(Hello().with_extensions(alpn()).message + bytes(1)),
        ],
    )
    def test_openssl_answers_with_the_same_alert(self, wire: bytes) -> None:
        server = peer(server_context("X25519"))
        with pytest.raises(ssl.SSLError):
            server.answer(wire)
        with pytest.raises(HelloError) as caught:
            read(wire, len(wire))
        assert server.outgoing.read()[-1] == caught.value.alert


class TestOtherProtocols:
    """A client that does not speak TLS may be waiting for us: it is recognised by its first bytes."""

    @pytest.mark.parametrize(
        "wire",
        [
            b"GET / HTTP/1.1\r\nHost: chat.example.org\r\n\r\n",
            b"SSH-2.0-scanner\r\n",
            b"\r\n",
            b"G",
            bytes.fromhex("802e 01 0002 0015 0000 0010"),  # SSL 2.0
            b"\0",
            b"\x16\4",
            b"\x16\0\0\0\1",
            b"\x19\3\1\0\1",
        ],
    )
    def test_it_is_not_tls(self, wire: bytes, piece_bytes: int) -> None:
        with pytest.raises(HelloError, match="does not speak TLS") as caught:
            read(wire, piece_bytes)
        assert caught.value.is_not_tls
        assert caught.value.where == f"first byte 0x{wire[0]:02x}"

    def test_the_beginning_of_a_record_is_awaited(self) -> None:
        for length in range(5):
            assert read(record(MESSAGE)[:length], 1).message is None

    def test_a_broken_hello_is_not_another_protocol(self) -> None:
        assert not HelloError(HelloFailure.MALFORMED).is_not_tls


class TestLimits:
    """Both limits hold however the hello was cut."""

    def test_a_message_of_exactly_the_limit_is_read(self, piece_bytes: int) -> None:
        assert verdict(record(MESSAGE), piece_bytes, message_limit=len(MESSAGE)) == (MESSAGE,)

    @pytest.mark.parametrize("fragment_bytes", [100, 16_384])
    def test_the_default_counts_the_message_and_no_headers_of_records(
        self, piece_bytes: int, fragment_bytes: int
    ) -> None:
        """65,556 bytes in four records, as `example.toml` says, are a message of 65,536."""
        most = handshake(1, bytes(65_532))
        wire = records(most, fragment_bytes)
        assert len(wire) == len(most) + 5 * -(-len(most) // fragment_bytes)
        assert verdict(wire, max(piece_bytes, 1_000)) == (most,)
        assert verdict(records(handshake(1, bytes(65_533)), fragment_bytes), 1_000)[2:] == (65_537, 65_536)

    def test_a_longer_message_is_refused_by_its_header(self, piece_bytes: int) -> None:
        assert verdict(records(MESSAGE[:4], 1), piece_bytes, message_limit=len(MESSAGE) - 1) == (
            HelloFailure.MESSAGE_LIMIT,
            "",
            len(MESSAGE),
            len(MESSAGE) - 1,
        )

    def test_a_length_takes_all_its_three_bytes(self) -> None:
        assert verdict(record(b"\1\1\0\0"), 1)[2] == 4 + 65_536

    def test_a_hello_of_exactly_the_wire_limit_is_read(self, piece_bytes: int) -> None:
        wire = records(MESSAGE, 1)
        assert verdict(wire + EARLY_DATA, piece_bytes, wire_limit=len(wire)) == (MESSAGE,)

    def test_a_hello_that_takes_more_wire_bytes_is_refused(self, piece_bytes: int) -> None:
        wire = records(MESSAGE, 1)
        assert verdict(wire, piece_bytes, wire_limit=len(wire) - 1) == (
            HelloFailure.WIRE_LIMIT,
            "",
            len(wire),
            len(wire) - 1,
        )

    @pytest.mark.at_length
    def test_the_work_is_linear_in_the_bytes(self) -> None:
        """Records of one byte, fed byte by byte: no step may copy or search what came before."""

        def seconds(padding: int) -> float:
            message = Hello().with_extensions(extension(99, b"z" * padding)).message
            wire = records(message, 1)
            start = process_time()
            assert read(wire, 1).message == message
            return process_time() - start

        small = min(seconds(8_000) for _ in range(3))
        assert seconds(64_000) < 24 * small  # 8 if linear, 64 if quadratic


class TestSecondHello:
    """D.4. and 4.2.10: what a client sends between our HelloRetryRequest and its second ClientHello."""

    @pytest.mark.parametrize(
        "before", [b"", CHANGE_CIPHER_SPEC, record(b"e", 23), EARLY_DATA + CHANGE_CIPHER_SPEC + EARLY_DATA]
    )
    def test_records_before_it_are_skipped_and_kept(self, before: bytes, piece_bytes: int) -> None:
        wire = before + records(MESSAGE, 50)
        reader = read(wire, piece_bytes, flight=ClientFlight.AFTER_RETRY)
        assert reader.message == MESSAGE
        assert reader.wire == wire

    def test_skipped_records_count_against_the_wire_limit(self) -> None:
        with pytest.raises(HelloError, match="too many bytes on the wire"):
            read(EARLY_DATA * 10, 64, wire_limit=1_000, flight=ClientFlight.AFTER_RETRY)

    @pytest.mark.parametrize(
        ("wire", "reason"),
        [
            (record(b"\1\1", 20), HelloFailure.UNEXPECTED_RECORD),
            (record(b"", 23), HelloFailure.UNEXPECTED_RECORD),
            (record(bytes(16_641), 23), HelloFailure.UNEXPECTED_RECORD),
            (record(b"\1", 24), HelloFailure.UNEXPECTED_RECORD),
            (b"GET /", HelloFailure.UNEXPECTED_RECORD),
            (record(MESSAGE[:9]) + CHANGE_CIPHER_SPEC, HelloFailure.UNEXPECTED_RECORD),
            (record(MESSAGE[:9]) + EARLY_DATA, HelloFailure.UNEXPECTED_RECORD),
            (record(b"\2\x28", 21), HelloFailure.CLIENT_ALERT),
        ],
    )
    def test_other_records_are_refused(self, wire: bytes, reason: HelloFailure, piece_bytes: int) -> None:
        with pytest.raises(HelloError) as caught:
            read(wire, piece_bytes, flight=ClientFlight.AFTER_RETRY)
        assert caught.value.reason is reason

    def test_the_second_flight_of_openssl_is_read(self, piece_bytes: int) -> None:
        client = peer(client_context("X25519:X25519MLKEM768"))
        server = peer(server_context("X25519MLKEM768 / X25519"))
        second = client.answer(server.answer(client.answer(b"")))
        assert second.startswith(CHANGE_CIPHER_SPEC)
        reader = read(second, piece_bytes, flight=ClientFlight.AFTER_RETRY)
        assert reader.message == second[len(CHANGE_CIPHER_SPEC) + 5 :]


class TestErrors:
    """An error carries facts and makes a sentence of them."""

    @pytest.mark.parametrize("reason", HelloFailure)
    def test_every_reason_has_an_alert_and_a_sentence(self, reason: HelloFailure) -> None:
        error = HelloError(reason)
        assert isinstance(error.alert, AlertDescription)
        assert str(error)

    def test_the_sentence_holds_all_facts(self) -> None:
        error = HelloError(HelloFailure.MESSAGE_LIMIT, "somewhere", found=70_000, limit=65_536)
        sentence = "the ClientHello is too long, counted as a message without headers of records"
        assert str(error) == f"{sentence} (somewhere): 70000, at most 65536 allowed"

    @pytest.mark.parametrize(
        ("reason", "alert"),
        [
            (HelloFailure.CLIENT_ALERT, AlertDescription.CLOSE_NOTIFY),
            (HelloFailure.WIRE_LIMIT, AlertDescription.RECORD_OVERFLOW),
            (HelloFailure.MESSAGE_LIMIT, AlertDescription.DECODE_ERROR),
            (HelloFailure.EMPTY_RECORD, AlertDescription.UNEXPECTED_MESSAGE),
            (HelloFailure.MALFORMED, AlertDescription.DECODE_ERROR),
        ],
    )
    def test_the_reason_decides_the_alert(self, reason: HelloFailure, alert: AlertDescription) -> None:
        assert HelloError(reason).alert is alert


PLAUSIBLE = st.lists(
    st.one_of(
        st.builds(record, st.binary(max_size=40), st.sampled_from([20, 21, 22, 22, 22, 23, 24]), st.just(0x0303)),
        st.builds(record, st.just(MESSAGE)),
        st.builds(records, st.just(MESSAGE), st.integers(1, 60)),
        st.binary(max_size=12),
    ),
    max_size=4,
).map(b"".join)


@given(data=PLAUSIBLE, message_limit=st.integers(4, 200), wire_limit=st.integers(5, 600))
def test_whole_and_byte_by_byte_agree_on_any_bytes(data: bytes, message_limit: int, wire_limit: int) -> None:
    whole = verdict(data, len(data) or 1, message_limit=message_limit, wire_limit=wire_limit)
    assert whole == verdict(data, 1, message_limit=message_limit, wire_limit=wire_limit)


@pytest.mark.parametrize("piece_bytes", [1, 5, 10_000])
def test_all_that_came_is_kept_as_it_was(piece_bytes: int) -> None:
    data = records(MESSAGE, 100) + b"behind"
    reader = read(data, piece_bytes)
    assert reader.wire == data
