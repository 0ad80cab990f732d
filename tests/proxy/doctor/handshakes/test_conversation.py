"""Connections of the doctor, against servers that do as they should and that do not."""

import socket
import ssl
from collections.abc import Iterator

import pytest

from proxy.doctor.handshakes import offers
from proxy.doctor.handshakes.conversation import Conversation, conversation, is_taken
from proxy.doctor.handshakes.observation import Ending, Observation
from proxy.doctor.handshakes.offers import USUAL, HelloOffer
from proxy.doctor.handshakes.stack import TlsClient
from proxy.doctor.handshakes.visits import Entrance
from tests.certificates import Authority, CertificateFiles
from tests.proxy.doctor.handshakes.tls_servers import context, raw_server, tls_server, unused_door

HYBRID = offers.hybrid_share("chat.test", USUAL)
SECONDS = 5.0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return Authority(tmp_path_factory.mktemp("conversation")).issue("chat", ("chat.test",))


def echo(tls: ssl.SSLSocket) -> None:
    while data := tls.recv(1_000):
        tls.sendall(data)


@pytest.fixture(scope="module")
def door(files: CertificateFiles) -> Iterator[Entrance]:
    with tls_server(context(files), echo) as one:
        yield one


def seen(offer: HelloOffer, door: Entrance, seconds: float = SECONDS) -> Observation:
    with conversation(TlsClient(offer), door, seconds) as attempt:
        return attempt.observation


def test_hybrid_share_takes_one_round_trip(door: Entrance) -> None:
    found = seen(HYBRID, door)
    assert (found.ending, found.retried, found.group) == (Ending.ESTABLISHED, False, "X25519MLKEM768")
    assert found.has_key_exchange
    assert not found.is_resumed
    assert len(found.chain) == 1
    assert 0 < found.seconds < SECONDS


def test_classical_share_is_sent_round_again(door: Entrance) -> None:
    found = seen(offers.classical_share("chat.test", USUAL), door)
    assert (found.ending, found.retried, found.group) == (Ending.ESTABLISHED, True, "X25519MLKEM768")


def test_classical_client(door: Entrance) -> None:
    assert seen(offers.classical_only("chat.test", USUAL), door).group == "x25519"


def test_classical_client_leaves_before_its_handshake_counts(files: CertificateFiles) -> None:
    completed: list[bool] = []

    def shake(sock: socket.socket) -> None:
        try:
            with context(files).wrap_socket(sock, server_side=True):
                completed.append(True)
        except OSError:
            completed.append(False)

    with raw_server(shake) as one:
        assert seen(offers.classical_only("chat.test", USUAL), one).is_established
        assert seen(HYBRID, one).is_established
    assert completed == [False, True]


def test_hello_arrives_in_many_small_segments(files: CertificateFiles) -> None:
    segments: list[int] = []

    def count(sock: socket.socket) -> None:
        hello = b""
        while len(hello) < 1_500:
            data = sock.recv(65_536)
            segments.append(len(data))
            hello += data
        records, position = 0, 0
        while position < len(hello):
            assert hello[position : position + 3] == b"\x16\x03\x01"
            position += 5 + int.from_bytes(hello[position + 3 : position + 5], "big")
            records += 1
        segments.append(-records)

    with raw_server(count) as one:
        found = seen(offers.in_many_segments(HYBRID), one)
    assert found.ending is Ending.CLOSED
    assert segments[-1] <= -8
    with tls_server(context(files)) as one:
        assert seen(offers.in_many_segments(HYBRID), one).is_established


def test_refusal_has_the_number_of_its_alert(files: CertificateFiles) -> None:
    with tls_server(context(files, "X25519MLKEM768")) as one:
        found = seen(offers.classical_only("chat.test", USUAL), one)
    assert (found.ending, found.alert) == (Ending.ALERT, 40)


def test_nothing_listens() -> None:
    one = unused_door()
    found = seen(HYBRID, one)
    assert (found.ending, found.detail) == (Ending.UNREACHABLE, "Connection refused")
    assert not is_taken(one)


def test_address_is_taken(door: Entrance) -> None:
    assert is_taken(door)


def test_another_protocol() -> None:
    with raw_server(lambda sock: sock.sendall(b"220 mail.test ESMTP\r\n")) as one:
        found = seen(HYBRID, one)
    assert found.ending is Ending.NOT_TLS
    assert "220 mail.test" in found.detail


def test_tls_that_the_stack_does_not_take() -> None:
    with raw_server(lambda sock: sock.sendall(b"\x16\x03\x03\x00\x04\x02\x00\x00\x00")) as one:
        assert seen(HYBRID, one).ending is Ending.CLIENT_REFUSED


def test_server_that_hangs_up() -> None:
    with raw_server(lambda _: None) as one:
        assert seen(HYBRID, one).ending is Ending.CLOSED


def test_server_that_says_nothing() -> None:
    def listen(sock: socket.socket) -> None:
        while sock.recv(65_536):  # until the client ends
            pass

    with raw_server(listen) as one:
        found = seen(HYBRID, one, 0.2)
    assert found.ending is Ending.SILENT
    assert found.seconds >= 0.19


def test_what_goes_ahead_is_sent_first(files: CertificateFiles) -> None:
    heard: list[bytes] = []

    def listen(sock: socket.socket) -> None:
        heard.append(sock.recv(6, socket.MSG_WAITALL))
        with context(files).wrap_socket(sock, server_side=True) as tls:
            tls.recv(1)

    with raw_server(listen) as one:
        assert seen(HYBRID, Entrance(one.host, one.port, b"PROXY!")).is_established
    assert heard == [b"PROXY!"]


class TestAfterwards:
    def test_data_goes_both_ways(self, door: Entrance) -> None:
        with conversation(TlsClient(HYBRID), door, SECONDS) as attempt:
            attempt.send(b"ping")
            assert attempt.receive() == b"ping"
            attempt.send(b"again")
            assert attempt.receive() == b"again"

    def test_ticket_resumes_with_a_new_key_exchange(self, door: Entrance) -> None:
        client = TlsClient(HYBRID)
        with conversation(client, door, SECONDS) as attempt:
            assert attempt.session is None
            assert attempt.settled(SECONDS).is_established
            session = attempt.session
        assert session is not None
        with conversation(client, door, SECONDS, session) as attempt:
            assert attempt.observation.is_resumed
            assert attempt.observation.has_key_exchange

    def test_early_data_of_the_server_is_not_lost(self, files: CertificateFiles) -> None:
        made = context(files)
        made.num_tickets = 0
        with (
            tls_server(made, lambda tls: tls.sendall(b"welcome")) as one,
            conversation(TlsClient(HYBRID), one, SECONDS) as attempt,
        ):
            assert attempt.settled(SECONDS).is_established
            assert attempt.session is None
            assert attempt.receive() == b"welcome"
            assert attempt.receive() == b""

    def test_refusal_behind_the_handshake_is_seen(self, files: CertificateFiles) -> None:
        made = context(files)
        made.load_verify_locations(files.certificate)
        made.verify_mode = ssl.CERT_REQUIRED
        with tls_server(made) as one, conversation(TlsClient(HYBRID), one, SECONDS) as attempt:
            assert attempt.observation.is_established
            found = attempt.settled(SECONDS)
        assert (found.ending, found.alert) == (Ending.ALERT, 116)

    def test_server_without_a_word_has_taken_the_handshake(self, files: CertificateFiles) -> None:
        made = context(files)
        made.num_tickets = 0
        with tls_server(made, echo) as one, conversation(TlsClient(HYBRID), one, SECONDS) as attempt:
            assert attempt.settled(0.1).is_established

    def test_end_behind_the_handshake_is_seen(self, files: CertificateFiles) -> None:
        made = context(files)
        made.num_tickets = 0
        with tls_server(made) as one, conversation(TlsClient(HYBRID), one, SECONDS) as attempt:
            assert attempt.settled(SECONDS).ending is Ending.CLOSED

    def test_attempt_that_failed_stays_as_it_is(self) -> None:
        with conversation(TlsClient(HYBRID), unused_door(), SECONDS) as attempt:
            assert attempt.settled(SECONDS) is attempt.observation
            assert attempt.session is None

    def test_wait_for_data_has_the_deadline_of_the_conversation(self, door: Entrance) -> None:
        with conversation(TlsClient(HYBRID), door, 0.2) as attempt, pytest.raises(TimeoutError):
            attempt.receive()

    def test_broken_data_is_an_aborted_connection(self, files: CertificateFiles) -> None:
        def break_off(sock: socket.socket) -> None:
            with context(files).wrap_socket(sock.dup(), server_side=True) as tls:
                sock.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
                tls.recv(1)

        with (
            raw_server(break_off) as one,
            conversation(TlsClient(HYBRID), one, SECONDS) as attempt,
            pytest.raises(ConnectionAbortedError),
        ):
            attempt.receive()


def test_conversation_without_a_connection() -> None:
    attempt = Conversation(Observation(Ending.SILENT, 1.0))
    assert attempt.session is None
