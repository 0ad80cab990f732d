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
from proxy.tls.handshake.server_step import server_step
from proxy.tls.openssl.driver import TlsDriver, new_driver
from proxy.tls.wire.alerts import AlertDescription, alert_record
from proxy.tls.wire.server_hello import parse_server_flight
from tests.proxy.tls import hellos
from tests.proxy.tls.drivers import is_empty

RETRIED = "X25519MLKEM768:*X25519"


def server(groups: str = "X25519MLKEM768 / X25519") -> ssl.SSLContext:
    return hellos.server_context(groups)


def finish(client: hellos.Peer, flight: Flight, driver: TlsDriver) -> bytes:
    """The client takes a flight; what follows it."""
    made = server_step(flight.tls, driver, client.answer(flight.data))
    assert made.is_finished
    return made.output


def finish_elsewhere(client: hellos.Peer, flight: Flight) -> None:
    """The client takes a flight that was made in a thread."""
    driver = new_driver()
    driver.adopt(flight.tls)
    finish(client, flight, driver)


def test_flight_of_a_first_hello_is_taken_by_its_client(driver: TlsDriver) -> None:
    client = hellos.peer(hellos.client_context("X25519MLKEM768"))
    flight = attempt(server, Transcript(client.answer(b"")), driver)
    assert flight.seconds > 0
    finish(client, flight, driver)


def test_flight_after_a_retry_comes_from_another_context(driver: TlsDriver) -> None:
    """Any number of them: the client notices nothing."""
    client = hellos.peer(hellos.client_context(RETRIED))
    first = client.answer(b"")
    retry = attempt(server, Transcript(first), driver).data
    assert parse_server_flight(retry).is_retry
    transcript = Transcript(first, retry, client.answer(retry))
    flights = [attempt(server, transcript, driver) for _ in range(3)]
    finish(client, flights[1], driver)


@pytest.mark.usefixtures("of_thread")
def test_flights_of_one_thread_go_on_elsewhere() -> None:
    """Their objects are made by one driver, and leave nothing there."""
    clients = [hellos.peer(hellos.client_context("X25519MLKEM768")) for _ in range(3)]
    context = server()
    flights = [attempt_in_thread(lambda: context, Transcript(client.answer(b""))) for client in clients]
    with pytest.raises(AttemptFailed):
        attempt_in_thread(lambda: context, Transcript(b"GET / HTTP/1.1\r\n"))
    shared = new_driver()
    for client, flight in zip(clients, flights, strict=True):
        shared.adopt(flight.tls)
        tickets = finish(client, flight, shared)
        client.incoming.write(tickets + shared.encrypt(flight.tls, b"hello", 0))
        assert client.tls.read() == b"hello"


@pytest.mark.usefixtures("of_thread")
def test_threads_do_not_share_their_drivers() -> None:
    """A thread makes its whole attempt while another attempt is in the middle of its hello."""
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
        finish_elsewhere(client, made)


def test_other_retry_than_the_one_that_was_sent(driver: TlsDriver) -> None:
    client = hellos.peer(hellos.client_context("X25519MLKEM768:secp256r1:*X25519"))
    first = client.answer(b"")
    retry = attempt(server, Transcript(first), driver).data
    transcript = Transcript(first, retry, client.answer(retry))
    with pytest.raises(RetryDiffers):
        attempt(lambda: server("secp256r1"), transcript, driver)


def test_refused_hello_has_an_alert_that_the_client_can_read(driver: TlsDriver) -> None:
    client = hellos.peer(hellos.client_context("X25519"))
    with pytest.raises(AttemptFailed) as failed:
        attempt(lambda: server("secp256r1"), Transcript(client.answer(b"")), driver)
    assert failed.value.is_refusal
    assert failed.value.alert is AlertDescription.HANDSHAKE_FAILURE
    assert is_empty(driver)


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


def test_hello_that_nothing_comes_of_is_a_failure(driver: TlsDriver) -> None:
    hello = hellos.peer(hellos.client_context("X25519MLKEM768")).answer(b"")
    with pytest.raises(AttemptFailed, match="does not answer") as caught:
        attempt(server, Transcript(hello[:-1]), driver)
    assert not caught.value.is_refusal
    assert is_empty(driver)


def test_step_leaves_the_driver_empty(driver: TlsDriver) -> None:
    client = hellos.peer(hellos.client_context("X25519MLKEM768"))
    tls = driver.server_side(server())
    assert step(tls, driver, client.answer(b"")).data
    assert is_empty(driver)
