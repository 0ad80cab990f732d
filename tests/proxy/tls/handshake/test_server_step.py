"""One step of OpenSSL: what goes out, what is left over, what went wrong; the driver is empty behind it."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from proxy.tls.handshake.server_step import ServerStep, ServerSteps, server_step
from proxy.tls.openssl.driver import TlsDriver
from proxy.tls.openssl.step_queue import StepQueue
from tests.certificates import Authority
from tests.proxy.tls import hellos
from tests.proxy.tls.drivers import is_empty


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server and of a client that trusts it."""
    authority = Authority(tmp_path_factory.mktemp("step"))
    return authority.issue("localhost").server_context(), authority.client_context()


def test_a_handshake_takes_two_and_what_comes_behind_it_is_left(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], driver: TlsDriver
) -> None:
    server, client = contexts
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls, asked = driver.server_side(server), client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        asked.do_handshake()
    first = server_step(tls, driver, outgoing.read())
    assert (first.is_finished, first.rest, first.error) == (False, b"", None)
    assert first.output
    assert first.seconds > 0
    incoming.write(first.output)
    asked.do_handshake()
    finished = outgoing.read()
    nothing = server_step(tls, driver, finished[:10])
    assert (nothing.is_finished, nothing.output, nothing.error) == (False, b"", None)
    last = server_step(tls, driver, finished[10:] + b"behind it")
    assert (last.is_finished, last.rest, last.error) == (True, b"behind it", None)
    assert is_empty(driver)


def test_an_error_has_its_alert_and_leaves_nothing_behind(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], driver: TlsDriver
) -> None:
    failed = server_step(driver.server_side(contexts[0]), driver, b"\x16\x03\x01\x00\x05" + bytes(5) + b"more")
    assert failed.error is not None
    assert failed.output[:1] == b"\x15"
    assert is_empty(driver)


@dataclass
class Owner:
    """Keeps what it is told."""

    made: list[ServerStep] = field(default_factory=list)

    def stepped(self, made: ServerStep) -> None:
        """Keep it."""
        self.made.append(made)


@dataclass
class Turns:
    """A loop that does what it is asked for when the test says so."""

    called: list[Callable[[], None]] = field(default_factory=list)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Keep it for the next turn."""
        self.called.append(callback)

    def turn(self) -> None:
        """Do what was asked for before."""
        called, self.called = self.called, []
        for callback in called:
            callback()


class TestStepsInTheQueue:
    def test_are_made_in_a_later_turn_with_all_that_came_before_it(
        self, contexts: tuple[ssl.SSLContext, ssl.SSLContext], driver: TlsDriver
    ) -> None:
        turns, owner, client = Turns(), Owner(), hellos.peer(hellos.client_context("X25519MLKEM768"))
        hello = client.answer(b"")
        steps = ServerSteps(contexts[0], driver, StepQueue(turns.call_soon), owner)
        assert not steps.has_waiting
        for piece in (hello[:20], hello[20:]):
            steps.receive_data(piece)
            assert steps.has_waiting
            assert owner.made == []
        turns.turn()
        assert not steps.has_waiting
        steps.receive_data(client.answer(owner.made[0].output))
        turns.turn()
        first, last = owner.made
        assert (first.is_finished, last.is_finished) == (False, True)
        assert first.tls is last.tls

    def test_go_on_with_an_object_that_has_made_steps(
        self, contexts: tuple[ssl.SSLContext, ssl.SSLContext], driver: TlsDriver
    ) -> None:
        turns, owner, client = Turns(), Owner(), hellos.peer(hellos.client_context("X25519MLKEM768"))
        tls = driver.server_side(contexts[0])
        flight = server_step(tls, driver, client.answer(b""))
        steps = ServerSteps(tls, driver, StepQueue(turns.call_soon), owner)
        steps.receive_data(client.answer(flight.output))
        turns.turn()
        assert [(made.tls, made.is_finished) for made in owner.made] == [(tls, True)]

    @pytest.mark.parametrize("is_stepped", [False, True])
    def test_are_for_no_one_once_they_are_abandoned(
        self,
        contexts: tuple[ssl.SSLContext, ssl.SSLContext],
        driver: TlsDriver,
        is_stepped: bool,  # noqa: FBT001 - a parameter
    ) -> None:
        turns, owner = Turns(), Owner()
        steps = ServerSteps(contexts[0], driver, StepQueue(turns.call_soon), owner)
        steps.receive_data(hellos.peer(hellos.client_context("X25519MLKEM768")).answer(b""))
        if is_stepped:
            steps.step()
        steps.abandon()
        turns.turn()
        assert owner.made == []
        assert is_empty(driver)
