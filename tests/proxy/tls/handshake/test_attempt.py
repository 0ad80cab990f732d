"""One attempt: recorded bytes in, a flight out, and whose fault it is if not."""

import ssl
import threading

import pytest

from proxy.tls.handshake.attempt import (
    AttemptFailed,
    Flight,
    RetryDiffers,
    Transcript,
    attempt,
    attempt_in_thread,
    step,
)
from proxy.tls.openssl.bio_pair import BioPair
from proxy.tls.wire.alerts import AlertDescription, alert_record
from proxy.tls.wire.server_hello import parse_server_flight
from tests.proxy.tls import hellos

RETRIED = "X25519MLKEM768:*X25519"


def server(groups: str = "X25519MLKEM768 / X25519") -> ssl.SSLContext:
    return hellos.server_context(groups)


class BrokenStep:
    """A TLS object that breaks when it has written a part of its flight, and has read nothing."""

    def __init__(self, outgoing: ssl.MemoryBIO) -> None:
        self.outgoing = outgoing

    def do_handshake(self) -> None:
        self.outgoing.write(b"\x16\3\3\0\x7a\2\0")
        raise MemoryError


class BrokenContext(ssl.SSLContext):
    """A context whose objects break in their first step."""

    def _wrap_bio(self, _incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_side: bool) -> BrokenStep:
        assert server_side
        return BrokenStep(outgoing)


def finish(client: hellos.Peer, flight: Flight) -> None:
    """The client takes a flight that was made in a thread."""
    bios = BioPair()
    bios.adopt(flight.tls)
    bios.incoming.write(client.answer(flight.data))
    flight.tls.do_handshake()


def test_flight_of_a_first_hello_is_taken_by_its_client() -> None:
    client = hellos.peer(hellos.client_context("X25519MLKEM768"))
    bios = BioPair()
    flight = attempt(server, Transcript(client.answer(b"")), bios)
    assert flight.seconds > 0
    bios.incoming.write(client.answer(flight.data))
    flight.tls.do_handshake()


def test_flight_after_a_retry_comes_from_another_context() -> None:
    """Any number of them: the client notices nothing."""
    client = hellos.peer(hellos.client_context(RETRIED))
    first = client.answer(b"")
    retry = attempt(server, Transcript(first), BioPair()).data
    assert parse_server_flight(retry).is_retry
    transcript = Transcript(first, retry, client.answer(retry))
    bios = [BioPair(), BioPair(), BioPair()]
    flights = [attempt(server, transcript, own) for own in bios]
    bios[1].incoming.write(client.answer(flights[1].data))
    flights[1].tls.do_handshake()


def test_flights_of_one_thread_go_on_elsewhere() -> None:
    """Their objects are made on one pair of BIOs, and leave nothing there."""
    clients = [hellos.peer(hellos.client_context("X25519MLKEM768")) for _ in range(3)]
    context = server()
    flights = [attempt_in_thread(lambda: context, Transcript(client.answer(b""))) for client in clients]
    with pytest.raises(AttemptFailed):
        attempt_in_thread(lambda: context, Transcript(b"GET / HTTP/1.1\r\n"))
    shared = BioPair()
    for client, flight in zip(clients, flights, strict=True):
        shared.adopt(flight.tls)
        shared.incoming.write(client.answer(flight.data))
        flight.tls.do_handshake()
        assert not shared.incoming.pending
        flight.tls.write(b"hello")
        client.incoming.write(shared.outgoing.read())
        assert client.tls.read() == b"hello"


def test_what_breaks_in_the_middle_leaves_nothing_for_the_next_one() -> None:
    client = hellos.peer(hellos.client_context("X25519MLKEM768"))
    hello, context, broken = client.answer(b""), server(), BrokenContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(MemoryError):
        attempt_in_thread(lambda: broken, Transcript(hello))
    finish(client, attempt_in_thread(lambda: context, Transcript(hello)))


def test_threads_do_not_share_their_bios() -> None:
    """A thread makes its whole attempt while half the hello of another attempt is in the other BIOs."""
    clients = [hellos.peer(hellos.client_context("X25519MLKEM768")) for _ in range(2)]
    first, second = (client.answer(b"") for client in clients)
    in_halves = hellos.records(first[5:], len(first) // 2)
    context, interrupted = server(), server()
    flights: list[Flight] = []
    thread = threading.Thread(target=lambda: flights.append(attempt_in_thread(lambda: context, Transcript(second))))

    def interrupt(*_: object) -> None:
        if not flights:
            thread.start()
            thread.join()

    interrupted._msg_callback = interrupt  # type: ignore[attr-defined]  # called for each record that is read
    flight = attempt_in_thread(lambda: interrupted, Transcript(in_halves))
    for client, made in zip(clients, (flight, *flights), strict=True):
        finish(client, made)


def test_other_retry_than_the_one_that_was_sent() -> None:
    client = hellos.peer(hellos.client_context("X25519MLKEM768:secp256r1:*X25519"))
    first = client.answer(b"")
    retry = attempt(server, Transcript(first), BioPair()).data
    transcript = Transcript(first, retry, client.answer(retry))
    with pytest.raises(RetryDiffers):
        attempt(lambda: server("secp256r1"), transcript, BioPair())


def test_refused_hello_has_an_alert_that_the_client_can_read() -> None:
    client = hellos.peer(hellos.client_context("X25519"))
    bios = BioPair()
    with pytest.raises(AttemptFailed) as failed:
        attempt(lambda: server("secp256r1"), Transcript(client.answer(b"")), bios)
    assert failed.value.is_refusal
    assert failed.value.alert is AlertDescription.HANDSHAKE_FAILURE
    assert not bios.incoming.pending
    assert not bios.outgoing.pending


@pytest.mark.parametrize(
    ("output", "is_refusal"),
    [
        (alert_record(AlertDescription.DECODE_ERROR), True),
        (alert_record(AlertDescription.INTERNAL_ERROR), False),
        (b"", False),
        (hellos.record(b"\2" + bytes(80), version=0x0303) + bytes(24), False),
    ],
)
def test_only_what_comes_before_a_server_hello_is_a_refusal(output: bytes, is_refusal: bool) -> None:  # noqa: FBT001 - a parameter
    """A token fails when the ServerHello is written already."""
    assert AttemptFailed(ssl.SSLError(), output).is_refusal is is_refusal


def test_hello_that_nothing_comes_of_is_a_failure() -> None:
    hello = hellos.peer(hellos.client_context("X25519MLKEM768")).answer(b"")
    bios = BioPair()
    with pytest.raises(AttemptFailed, match="does not answer") as caught:
        attempt(server, Transcript(hello[:-1]), bios)
    assert not caught.value.is_refusal
    assert not bios.incoming.pending


def test_step_leaves_both_bios_empty() -> None:
    client = hellos.peer(hellos.client_context("X25519MLKEM768"))
    bios = BioPair()
    tls = bios.server_side(server())
    assert step(tls, bios, client.answer(b"")).data
    assert not bios.incoming.pending
    assert not bios.outgoing.pending
