"""The hello of a real client, relayed in every way that a network or a strange library may cut it."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from proxy.tls.openssl import libssl
from tests.hostile.segments import Segments
from tests.integration.gateway import Gateway
from tests.proxy.tls import hellos

RECORD_HEADER = 5
HANDSHAKE = 22
Cut = Callable[[bytes], list[bytes]]


def records_of(size: int, data: bytes) -> bytes:
    """The same handshake messages in records of `size` bytes; other records stay as they are."""
    out = b""
    while data:
        content_type, length = data[0], int.from_bytes(data[3:RECORD_HEADER])
        content, data = data[RECORD_HEADER : RECORD_HEADER + length], data[RECORD_HEADER + length :]
        out += (
            hellos.records(content, size) if content_type == HANDSHAKE else hellos.record(content, content_type, 0x0303)
        )
    return out


def one_byte_segments(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def one_byte_records(data: bytes) -> list[bytes]:
    return [records_of(1, data)]


def records_in_segments(data: bytes) -> list[bytes]:
    """Records of a hundred bytes, each in three segments: header, half, rest."""
    out, rest = [], records_of(100, data)
    while rest:
        length = RECORD_HEADER + int.from_bytes(rest[3:RECORD_HEADER])
        record, rest = rest[:length], rest[length:]
        out += [record[:RECORD_HEADER], record[RECORD_HEADER : length // 2], record[max(RECORD_HEADER, length // 2) :]]
    return [segment for segment in out if segment]


def across_borders(data: bytes) -> list[bytes]:
    """Segments that end within record headers."""
    rest = records_of(50, data)
    return [rest[i : i + 53] for i in range(0, len(rest), 53)]


CUTS = [one_byte_segments, one_byte_records, records_in_segments, across_borders]


class Relay:
    """A real client whose handshake is sent in pieces."""

    def __init__(self, gateway: Gateway, groups: str) -> None:
        context = ssl.create_default_context(cafile=str(gateway.trust.classical.path))
        libssl.set_groups(context, groups)
        self.sock = gateway.tcp()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="chat.test")

    def shake_hands(self, cut: Cut) -> None:
        """Go through with it."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send(cut)
                self.incoming.write(self.sock.recv(65_536))
            else:
                self._send(lambda data: [data])  # its own records are sealed by now
                return

    def _send(self, cut: Cut) -> None:
        data = self.outgoing.read()
        if data:
            with Segments(self.sock) as segments:
                segments.send(cut(data))

    def ask(self) -> bytes:
        """One request over the connection."""
        self.tls.write(b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        self.sock.sendall(self.outgoing.read())
        while True:
            try:
                return self.tls.read(1_000)
            except ssl.SSLWantReadError:
                self.incoming.write(self.sock.recv(65_536))


@contextmanager
def relay(gateway: Gateway, groups: str = "X25519MLKEM768:X25519") -> Iterator[Relay]:
    client = Relay(gateway, groups)
    try:
        yield client
    finally:
        client.sock.close()


@pytest.mark.parametrize("groups", ["X25519MLKEM768", "X25519MLKEM768:*X25519"], ids=["direct", "after_retry"])
@pytest.mark.parametrize("cut", CUTS)
def test_hello_in_pieces_is_the_same_hello(gateway: Gateway, cut: Cut, groups: str) -> None:
    with relay(gateway, groups) as client:
        client.shake_hands(cut)
        answer = client.ask()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"group": ["X25519MLKEM768"]' in answer


def test_others_are_served_while_a_hello_arrives_byte_by_byte(gateway: Gateway) -> None:
    with relay(gateway) as slow:
        with pytest.raises(ssl.SSLWantReadError):
            slow.tls.do_handshake()
        hello = slow.outgoing.read()
        with Segments(slow.sock) as segments:
            segments.send(one_byte_segments(hello[:700]))
        with relay(gateway) as quick:
            quick.shake_hands(lambda data: [data])
            assert quick.ask().startswith(b"HTTP/1.1 200 ")
        slow.sock.sendall(hello[700:])
        slow.incoming.write(slow.sock.recv(65_536))
        slow.shake_hands(lambda data: [data])
        assert slow.ask().startswith(b"HTTP/1.1 200 ")


def test_request_in_the_segment_of_the_finished_is_answered(gateway: Gateway) -> None:
    with relay(gateway) as client:
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        client.sock.sendall(client.outgoing.read())
        while True:
            client.incoming.write(client.sock.recv(65_536))
            try:
                client.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        client.tls.write(b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        client.sock.sendall(client.outgoing.read())
        data = b""
        while not data:
            try:
                data = client.tls.read(1_000)
            except ssl.SSLWantReadError:
                client.incoming.write(client.sock.recv(65_536))
    assert data.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("cut", [one_byte_segments, one_byte_records])
def test_refusals_do_not_depend_on_the_pieces(gateway: Gateway, cut: Cut) -> None:
    context = hellos.client_context("X25519")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="nobody.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with gateway.tcp() as sock:
        with Segments(sock) as segments:
            segments.send(cut(outgoing.read()))
        assert sock.recv(100) == b"\x15\x03\x03\x00\x02\x02\x70"
        assert sock.recv(100) == b""
