"""The bytes of a handshake: records cut small, and the ServerHello in an answer."""

import pytest

from proxy.doctor.handshakes.flights import in_small_records, is_tls, pieces, server_hellos

RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
CHANGE_CIPHER_SPEC = bytes.fromhex("14 0303 0001 01")
ENCRYPTED = bytes.fromhex("17 0303 0004 deadbeef")
ALERT = bytes.fromhex("15 0303 0002 0228")


def record(message: bytes) -> bytes:
    return b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message


def hello(group: int, *, random: bytes = bytes(32), share: bytes = b"") -> bytes:
    """A ServerHello with a key share; a HelloRetryRequest has the group alone in it."""
    body = group.to_bytes(2, "big") + (len(share).to_bytes(2, "big") + share if share else b"")
    extension = b"\x00\x33" + len(body).to_bytes(2, "big") + body
    content = b"\x03\x03" + random + b"\x00" + b"\x13\x02\x00" + len(extension).to_bytes(2, "big") + extension
    return record(b"\x02" + len(content).to_bytes(3, "big") + content)


SERVER_HELLO = hello(0x11EC, share=b"key")
RETRY = hello(0x11EC, random=RETRY_RANDOM)


class TestServerHellos:
    def test_hello_alone(self) -> None:
        seen = server_hellos(SERVER_HELLO + CHANGE_CIPHER_SPEC + ENCRYPTED)
        assert seen.retry is None
        assert seen.hello is not None
        assert seen.hello.group == 0x11EC

    @pytest.mark.parametrize("between", [b"", CHANGE_CIPHER_SPEC])
    def test_retry_request_is_known_by_its_random(self, between: bytes) -> None:
        seen = server_hellos(RETRY + between + SERVER_HELLO + ENCRYPTED)
        assert seen.retry is not None
        assert seen.retry.group == 0x11EC
        assert seen.hello is not None
        assert not seen.hello.is_retry

    @pytest.mark.parametrize("between", [b"", CHANGE_CIPHER_SPEC])
    def test_every_beginning_has_what_is_whole_in_it(self, between: bytes) -> None:
        wire = RETRY + between + SERVER_HELLO
        for length in range(len(wire) + 1):
            seen = server_hellos(wire[:length])
            assert (seen.retry is not None) == (length >= len(RETRY))
            assert (seen.hello is not None) == (length == len(wire))

    def test_random_that_differs_in_one_bit_is_no_retry_request(self) -> None:
        other = bytes([RETRY_RANDOM[0] ^ 1]) + RETRY_RANDOM[1:]
        assert server_hellos(hello(0x11EC, random=other)).retry is None

    @pytest.mark.parametrize("wire", [b"", ALERT, b"HTTP/1.1 400 Bad Request\r\n\r\n", ENCRYPTED])
    def test_anything_else_has_none(self, wire: bytes) -> None:
        seen = server_hellos(wire)
        assert seen.retry is None
        assert seen.hello is None


@pytest.mark.parametrize(
    ("wire", "found"), [(b"\x15", True), (ALERT, True), (b"HTTP/1.1", False), (b"\x16\x02", False)]
)
def test_tls_is_known_by_its_first_bytes(wire: bytes, found: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_tls(wire) is found


def test_hello_in_small_records_is_the_same_message() -> None:
    message = bytes(range(256)) * 3
    wire = in_small_records(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message, 200)
    joined, lengths = b"", []
    while wire:
        assert wire[:3] == b"\x16\x03\x01"
        length = int.from_bytes(wire[3:5], "big")
        joined, wire = joined + wire[5 : 5 + length], wire[5 + length :]
        lengths.append(length)
    assert joined == message
    assert lengths == [200, 200, 200, 168]


def test_pieces_have_a_size_at_most() -> None:
    assert list(pieces(b"abcdefg", 3)) == [b"abc", b"def", b"g"]
    assert list(pieces(b"", 3)) == []
