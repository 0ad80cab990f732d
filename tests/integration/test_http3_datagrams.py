"""What datagrams of HTTP/3 are answered with: their number before an address is known, tokens, tickets, versions, ECN, sizes."""

import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aioquic._buffer import Buffer
from aioquic.quic.connection import QuicConnection, QuicReceiveContext
from aioquic.quic.packet import QuicFrameType, QuicTransportParameters, pull_quic_transport_parameters
from aioquic.tls import CipherSuite, SessionTicket

from proxy.quic.availability import unavailable
from tests.hostile import http3_frames as h3
from tests.hostile.client import Address
from tests.hostile.http3_client import Http3Client
from tests.hostile.quic_client import QuicClient, configuration
from tests.integration.test_http3_network import LISTENER, fields, goes_on, resumed_by
from tests.integration.udp_relay import Relay, Way
from tests.sessions_on_disk import SessionOnDisk
from tests.soak.scenes import Scene, scene
from tests.waiting import until_found

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

_NOT_ECT, _ECT_1, _ECT_0, _CE = range(4)
_INITIAL_BYTES = 1_200
_AMPLIFICATION = 3
_PATIENCE_SECONDS = 10.0
_QUIET_SECONDS = 1.2
"""Longer than the first probe timeout without a sample: 3 times the initial round trip of 333 ms (RFC 9002 section 6.2.2)."""
_KIND, _INITIAL, _RETRY = 0xF0, 0xC0, 0xF0
"""The first bits of a packet with a long header (RFC 9000 section 17.2)."""
_INVALID_TOKEN = 0x0B
_SUITE = CipherSuite.AES_256_GCM_SHA384
_SECONDS = 30
_UNACKED_BYTES = 65_536
_TAKEN_BYTES = 2_048
"""Larger datagrams are lost, so clients are told."""
_LEAVES = 'drain_timeout = "1s"\n'
"""It does not wait for clients that say nothing."""


class LongChain(Scene):
    """A certificate that is longer than three datagrams."""

    def renew(self) -> None:
        names = ("localhost", "127.0.0.1", *(f"name-{number}.of.a.long.certificate.test" for number in range(150)))
        made = self.authority.issue("localhost", names)
        made.certificate.replace(self.certificate)
        made.key.replace(self.key)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(
        tmp_path_factory.mktemp("datagrams"),
        listener=LISTENER,
        workers=1,
        kind=LongChain,
        extra=f"[listener.other]\n{LISTENER}\n[limits]\nhttp3_unacked_bytes = {_UNACKED_BYTES}\n{_LEAVES}",
    ) as running:
        until_found(lambda: len(running.events("http3_offered")) == 2)
        yield running


def address_of(running: Scene) -> Address:
    return Address(running.port, running.authority.path)


def client_socket(running: Scene) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    sock.settimeout(_PATIENCE_SECONDS)
    sock.connect(("127.0.0.1", running.port))
    return sock


def first_datagram(running: Scene) -> bytes:
    """The Initial packet of a client."""
    client = QuicConnection(configuration=configuration(address_of(running), "localhost"))
    client.connect(("127.0.0.1", running.port), now=time.monotonic())
    ((first, _),) = client.datagrams_to_send(now=time.monotonic())
    assert len(first) == _INITIAL_BYTES
    return first


# -- the number of bytes before an address is known


def bytes_until_quiet(sock: socket.socket) -> int:
    received = 0
    while True:
        try:
            received += len(sock.recv(65_536))
        except TimeoutError:
            return received
        sock.settimeout(_QUIET_SECONDS)


@pytest.mark.paced
def test_a_client_that_answers_nothing_gets_three_times_its_bytes_at_most(running: Scene) -> None:
    """RFC 9000 section 8.1: the address may be that of somebody else."""
    first = first_datagram(running)
    with client_socket(running) as sock:
        received = 0
        for sent in (1, 2):
            sock.settimeout(_PATIENCE_SECONDS)
            sock.send(first)
            received += bytes_until_quiet(sock)
            allowed = _AMPLIFICATION * sent * _INITIAL_BYTES
            assert allowed - _INITIAL_BYTES < received <= allowed, "no more, and not much less: there is more to send"


# -- versions


def of_version(version: int, own_id: bytes, size: int = _INITIAL_BYTES) -> bytes:
    to = b"to the server"
    packet = struct.pack("!BIB", _INITIAL, version, len(to)) + to + bytes([len(own_id)]) + own_id
    return packet.ljust(size, b"\0")


def negotiation(own_id: bytes) -> bytes:
    """What follows the first byte of the answer to `of_version`: version 1 alone (RFC 9000 section 17.2.1)."""
    to = b"to the server"
    return bytes(4) + bytes([len(own_id)]) + own_id + bytes([len(to)]) + to + struct.pack("!I", 1)


@pytest.mark.parametrize("version", [0x1A2A3A4A, 0x6B3343CF], ids=["reserved", "version_2"])
def test_an_unknown_version_is_answered_with_those_that_are_spoken_but_not_in_a_short_datagram(
    running: Scene, version: int
) -> None:
    """RFC 9000 section 6.1, with a version that is reserved for this trial (section 15), and RFC 9369."""
    with client_socket(running) as sock:
        sock.send(of_version(version, b"short", _INITIAL_BYTES - 1))
        sock.send(of_version(version, b"whole"))
        answer = sock.recv(65_536)
    assert answer[0] & 0x80
    assert answer[1:] == negotiation(b"whole")


def test_an_initial_packet_in_a_short_datagram_gets_nothing(running: Scene) -> None:
    """RFC 9000 section 14.1."""
    first = first_datagram(running)
    with client_socket(running) as sock:
        sock.send(first[:-1])
        sock.send(of_version(0x1A2A3A4A, b"behind it"))
        assert sock.recv(65_536)[1:] == negotiation(b"behind it")
        sock.send(first)
        assert sock.recv(65_536)[0] & _KIND == _INITIAL


# -- the first packets


def test_the_parts_of_a_long_hello_may_come_in_any_order(running: Scene) -> None:
    """A hybrid key share takes two packets. The second one alone makes a client show its address."""
    settings = configuration(address_of(running), "localhost")
    settings.alpn_protocols = ["h3", *("x" * 200 for _ in range(6))]
    with QuicClient(address_of(running), "localhost", settings) as client:
        client.connect(("127.0.0.1", running.port), time.monotonic())
        first, second = (data for data, _ in client.datagrams_to_send(time.monotonic()))
        client.send_datagram(second)
        client.sock.settimeout(_PATIENCE_SECONDS)
        retry = client.sock.recv(65_536)
        assert retry[0] & _KIND == _RETRY
        client.send_datagram(first)
        client.receive_datagram(retry, ("127.0.0.1", running.port), time.monotonic())
        client.read_until(lambda: client.handshake is not None)


# -- tokens


def with_token_of_retry(client: QuicClient, port: int) -> bytes:
    """The packet that follows a Retry."""
    client.connect(("127.0.0.1", port), time.monotonic())
    client.send_due()
    client.sock.settimeout(_PATIENCE_SECONDS)
    retry = client.sock.recv(65_536)
    assert retry[0] & _KIND == _RETRY
    client.receive_datagram(retry, ("127.0.0.1", port), time.monotonic())
    ((packet, _),) = client.datagrams_to_send(time.monotonic())
    return packet


def test_the_token_of_a_retry_is_good_for_its_address_alone_and_that_for_later_spares_a_retry(tmp_path: Path) -> None:
    """RFC 9000 section 8.1.2 and 8.1.3."""
    limits = f"[limits]\nhandshakes_in_flight = 4\n{_LEAVES}"
    with scene(tmp_path, listener=LISTENER, workers=1, extra=limits) as running, client_socket(running) as silent:
        until_found(lambda: running.events("http3_offered"))
        silent.send(first_datagram(running))
        silent.recv(65_536)  # a quarter of the handshakes in flight are taken
        with QuicClient(address_of(running), "localhost") as client:
            packet = with_token_of_retry(client, running.port)
            client.rebind("127.0.0.2")
            client.send_datagram(packet)
            assert client.end() == _INVALID_TOKEN
        with QuicClient(address_of(running), "localhost") as client:
            client.send_datagram(with_token_of_retry(client, running.port))
            client.read_until(lambda: client.handshake is not None and client.tokens)
        settings = configuration(address_of(running), "localhost")
        settings.token = client.tokens[0]
        with QuicClient(address_of(running), "localhost", settings) as client:
            client.shake_hands()
            assert client._retry_count == 0


# -- resets


def reset_of(running: Scene, listener: str, connection_id: bytes) -> bytes:
    """The token in the answer of a listener to a packet for a connection that it does not know; empty without one."""
    port = int(running.running.ready[listener][0].rpartition(":")[2])
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        sock.sendto(b"\x40" + connection_id + bytes(60), ("127.0.0.1", port))
        with suppress(TimeoutError):
            return sock.recv(2_048)[-16:]
    return b""


def test_the_reset_of_a_connection_that_lives_is_not_to_be_had(running: Scene) -> None:
    """RFC 9000 section 21.11: another listener of the process knows the key, and not the connection."""
    with Http3Client(QuicClient(address_of(running), "localhost")).open() as client:
        goes_on(client, b"/lives")
        own = client.quic._peer_cid
        told = until_found(lambda: reset_of(running, "other", own.cid))
        assert told != own.stateless_reset_token
        goes_on(client, b"/still")
    until_found(lambda: reset_of(running, "public", own.cid) == own.stateless_reset_token)


# -- tickets


def by_tcp(running: Scene, *arguments: str) -> str:
    """What `s_client` says of a connection."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", "-servername", "localhost", "-ign_eof"]
    command += ["-CAfile", str(running.authority.path), "-ciphersuites", "TLS_AES_256_GCM_SHA384", *arguments]
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    done = subprocess.run(command, input=request, capture_output=True, timeout=_SECONDS, check=True)
    return done.stdout.decode()


def ticket_of_quic(running: Scene) -> SessionTicket:
    settings = configuration(address_of(running), "localhost")
    settings.cipher_suites = [_SUITE]
    with Http3Client(QuicClient(address_of(running), "localhost", settings)).open() as client:
        client.read_until(lambda: client.quic.tickets)
        return client.quic.tickets[0]


def is_resumed_by_quic(running: Scene, ticket: SessionTicket) -> bool:
    with resumed_by(running, ticket) as client:
        goes_on(client, b"/resumed")
        assert client.quic.handshake is not None
        return client.quic.handshake.session_resumed


def test_a_ticket_is_good_for_its_transport_alone(running: Scene, tmp_path: Path) -> None:
    """Both come from the same listener and identity, and each resumes where it was given out."""
    file = tmp_path / "session"
    assert "New, TLSv1.3" in by_tcp(running, "-sess_out", str(file))
    assert "Reused, TLSv1.3" in by_tcp(running, "-sess_in", str(file))
    of_tcp, of_quic = SessionOnDisk.read(file), ticket_of_quic(running)
    assert is_resumed_by_quic(running, of_quic)

    now = datetime.now(UTC)  # noqa: TID251 - aioquic compares with the clock
    told = SessionTicket(
        age_add=of_tcp.age_add,
        cipher_suite=CipherSuite(of_tcp.suite),
        not_valid_after=now + timedelta(hours=1),
        not_valid_before=now,
        resumption_secret=of_tcp.secret,
        server_name="localhost",
        ticket=of_tcp.ticket,
    )
    assert not is_resumed_by_quic(running, told)

    of_tcp.replace(of_quic.cipher_suite, of_quic.resumption_secret, of_quic.ticket)
    of_tcp.write(file)
    assert "New, TLSv1.3" in by_tcp(running, "-sess_in", str(file))


# -- ECN


class MarkingClient(QuicClient):
    """One that reads what the proxy says of its marks."""

    counted = (0, 0, 0)
    """Of ECT(0), ECT(1) and CE."""

    def mark(self, bits: int) -> None:
        """Send with these from now on."""
        self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, bits)

    def _handle_ack_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        begin = buf.tell()
        super()._handle_ack_frame(context, frame_type, buf)
        end = buf.tell()
        if frame_type == QuicFrameType.ACK_ECN:
            buf.seek(begin)
            numbers = []
            while buf.tell() < end:
                numbers.append(buf.pull_uint_var())
            self.counted = (numbers[-3], numbers[-2], numbers[-1])


def test_marks_of_a_client_are_counted_and_told(running: Scene) -> None:
    """RFC 9000 section 13.4.1 and 19.3.2."""
    quic = MarkingClient(address_of(running), "localhost")
    with Http3Client(quic).open() as client:
        quic.sync()
        assert quic.counted == (0, 0, 0)
        for bits, place in ((_ECT_0, 0), (_CE, 2), (_ECT_1, 1)):
            quic.mark(bits)
            before, sent = quic.counted, quic._packet_number
            quic.sync()
            quic.mark(_NOT_ECT)
            sent = quic._packet_number - sent
            quic.sync()
            grown = [now - then for now, then in zip(quic.counted, before, strict=True)]
            assert grown == [sent if one == place else 0 for one in range(3)]
        goes_on(client, b"/marked")


def test_packets_are_marked_for_congestion_notification(running: Scene) -> None:
    """RFC 9000 section 13.4.2: a server marks its first packets ECT(0)."""
    with client_socket(running) as sock:
        sock.send(first_datagram(running))
        _, control, _, _ = sock.recvmsg(65_536, socket.CMSG_SPACE(4))
    assert [(kind, data[0] & 3) for _, kind, data in control] == [(socket.IP_TOS, _ECT_0)]


# -- sizes


class MeasuringClient(QuicClient):
    """One that knows the largest datagram that came."""

    largest = 0
    parameters: QuicTransportParameters

    def _parse_transport_parameters(self, data: bytes, from_session_ticket: bool = False) -> None:  # noqa: FBT001, FBT002
        self.parameters = pull_quic_transport_parameters(Buffer(data=data))
        super()._parse_transport_parameters(data, from_session_ticket)

    def receive_datagram(self, data: bytes, addr: tuple[str, int], now: float) -> None:
        self.largest = max(self.largest, len(data))
        super().receive_datagram(data, addr, now)


@pytest.mark.parametrize(("most", "largest"), [(1_452, 1_444), (1_300, 1_232)], ids=["ethernet", "tunnel"])
def test_datagrams_grow_to_what_the_way_takes(running: Scene, most: int, largest: int) -> None:
    """RFC 9000 section 14.3. A probe that is lost costs nothing but itself. ngtcp2 tries four sizes."""
    with Relay(running.port, Way(most_bytes=most)) as relay:
        quic = MeasuringClient(address_of(running), "localhost", relay=relay.address)
        with Http3Client(quic).open() as client:
            client.read_until(lambda: quic.largest == largest)
            answer = client.ask(h3.headers(fields(b"/large/1000000")))
            assert (answer.status, len(answer.body)) == (200, 1_000_000)
        assert (relay.happened["lost"] > 0) is (largest == 1_232)
    assert quic.largest == largest
    assert quic.parameters.max_udp_payload_size == _TAKEN_BYTES


@pytest.mark.paced
def test_a_client_that_acknowledges_nothing_is_sent_no_more_than_the_limit(running: Scene) -> None:
    """Its congestion window is larger, as it has taken a large answer before. The answers are small, as what the proxy has
    read at once goes out as a whole.
    """
    with Http3Client(QuicClient(address_of(running), "localhost")).open() as client:
        answer = client.ask(h3.headers(fields(b"/large/3000000")))
        assert len(answer.body) == 3_000_000
        client.quic.sync()
        streams = [client.begin(h3.headers(fields(b"/large/8000")), ends=True) for _ in range(60)]
        client.quic.send_due()
        client.quic.sock.settimeout(_PATIENCE_SECONDS)
        came = [client.quic.sock.recv(65_536)]
        quiet = time.monotonic() + _QUIET_SECONDS
        client.quic.sock.settimeout(0.1)
        while time.monotonic() < quiet:
            with suppress(TimeoutError):
                came.append(client.quic.sock.recv(65_536))
        for data in came:
            client.quic.receive_datagram(data, ("127.0.0.1", running.port), time.monotonic())
        client.quic.take_events()
        whole = sum(len(client.streams[one].body) for one in streams if one in client.streams)
        received = whole + sum(len(client._received.get(one, b"")) for one in streams)
        assert 0 < received < 1.25 * _UNACKED_BYTES
