"""What a maker reports a flight: that it is there, or why not, and whose fault that is."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from proxy.signing.executor import JobRefusal
from proxy.tls.handshake.attempt import AttemptFailed, Flight, RetryDiffers, Transcript, attempt
from proxy.tls.handshake.flight_makers import LoopMaker, ThreadMaker, TokenMaker
from proxy.tls.handshake.group_choice import SlowExchange
from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.handshake.results import ConnectionRefusal, FailureReason
from proxy.tls.tokens.signing_plan import TokenCredential
from proxy.tls.wire.alerts import AlertDescription
from tests.certificates import Authority, CertificateFiles
from tests.proxy.tls import hellos
from tests.proxy.tls.signing_world import World

A, R = AlertDescription, FailureReason
TOKEN_FAULT = AttemptFailed(ssl.SSLError(1, "[SSL] EVP lib"), b"")
HANDSHAKE_FAILURE, INTERNAL_ERROR = bytes.fromhex("15 0303 0002 02 28"), bytes.fromhex("15 0303 0002 02 50")


@dataclass
class Owner:
    """Notes what it is told."""

    flights: list[Flight] = field(default_factory=list)
    failures: list[ConnectionRefusal] = field(default_factory=list)
    crowded: int = 0

    def made(self, flight: Flight) -> None:
        self.flights.append(flight)

    def failed(self, refusal: ConnectionRefusal) -> None:
        self.failures.append(refusal)

    def crowded_out(self) -> None:
        self.crowded += 1

    @property
    def calls(self) -> int:
        return len(self.flights) + len(self.failures) + self.crowded


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return Authority(tmp_path_factory.mktemp("credentials")).issue("chat", ("chat.example.org",))


@pytest.fixture
def world(files: CertificateFiles) -> Iterator[World]:
    world = World.make(files, threads=1)
    yield world
    world.close()


@pytest.fixture
def hello() -> Transcript:
    return Transcript(hellos.peer(hellos.client_context("X25519MLKEM768")).answer(b""))


def identity_of(world: World) -> ServerIdentity:
    identity = world.policy().identities.resolve("chat.example.org")
    assert identity is not None
    return identity


def asked(world: World, transcript: Transcript, *, is_tried: bool = True) -> tuple[TokenMaker, Owner]:
    """A maker that has asked plexi."""
    identity, owner = identity_of(world), Owner()
    assert identity.plan is not None
    _, credential = identity.plan.ranked[0]
    assert isinstance(credential, TokenCredential)
    stand_in = identity.context if is_tried else None
    maker = TokenMaker(world.services(), credential, transcript, stand_in, b"net", owner)
    maker.begin(world.loop.now + 10)
    return maker, owner


class TestToken:
    def test_flight_of_the_first_one_is_made(self, world: World, hello: Transcript) -> None:
        _, owner = asked(world, hello)
        world.plexi.executor.finish()
        assert owner.calls == len(owner.flights) == 1

    def test_error_is_the_tokens_if_the_hello_is_good(self, world: World, hello: Transcript) -> None:
        _, owner = asked(world, hello)
        world.plexi.executor.finish(TOKEN_FAULT)
        world.spare.executor.finish()
        assert owner.calls == len(owner.flights) == 1
        assert world.plexi.token.counters.errors == 1

    def test_what_fails_without_a_token_too_is_the_clients_fault(self, world: World) -> None:
        _, owner = asked(world, Transcript(b"\x16\3\1\0\4\1\0\0\0"))
        world.plexi.executor.finish(TOKEN_FAULT)
        assert [failure.alert for failure in owner.failures] == [A.DECODE_ERROR]
        assert world.plexi.token.counters.errors == 0

    def test_hello_is_tried_once(self, world: World, hello: Transcript) -> None:
        maker, _ = asked(world, hello)
        assert maker.judge(TOKEN_FAULT) is None
        maker._transcript = Transcript(b"\x16\3\1\0\4\1\0\0\0")
        assert maker.judge(TOKEN_FAULT) is None, "what was good once is good"

    def test_hello_that_was_tried_before_is_not_tried(self, world: World) -> None:
        maker, _ = asked(world, Transcript(b"\x16\3\1\0\4\1\0\0\0"), is_tried=False)
        assert maker.judge(TOKEN_FAULT) is None

    def test_hello_that_openssl_refuses_needs_no_trial(self, world: World, hello: Transcript) -> None:
        maker, _ = asked(world, hello)
        refused = AttemptFailed(ssl.SSLError(), HANDSHAKE_FAILURE)
        assert maker.judge(refused) is refused
        assert maker.judge(AttemptFailed(ssl.SSLError(), INTERNAL_ERROR)) is None, "an alert about ourselves"

    @pytest.mark.parametrize(
        ("refusal", "reason"),
        [(JobRefusal.QUEUE_FULL, R.SIGNING_BUSY), (JobRefusal.NO_THREAD, R.SIGNING_UNAVAILABLE)],
    )
    def test_reason_of_a_race_that_is_lost(
        self, world: World, hello: Transcript, refusal: JobRefusal, reason: FailureReason
    ) -> None:
        for token in (world.plexi, world.spare):
            token.executor.refuses = refusal
        _, owner = asked(world, hello)
        assert [failure[:2] for failure in owner.failures] == [(reason, A.INTERNAL_ERROR)]

    def test_time_that_is_over(self, world: World, hello: Transcript) -> None:
        _, owner = asked(world, hello)
        world.loop.advance(5)
        assert [failure.reason for failure in owner.failures] == [R.SIGNING_TIMEOUT]

    def test_abandoned_one_tells_nobody(self, world: World, hello: Transcript) -> None:
        maker, owner = asked(world, hello)
        maker.abandon()
        world.plexi.executor.finish()
        assert owner.calls == 0

    def test_keys_are_used_in_turn(self, world: World, hello: Transcript) -> None:
        identity = identity_of(world)
        assert identity.plan is not None
        (_, credential), *_ = identity.plan.ranked
        assert isinstance(credential, TokenCredential)
        spread = TokenCredential(credential.keys, is_spread=True)
        for turn in (world.plexi, world.spare):
            TokenMaker(world.services(), spread, hello, None, b"net", Owner()).begin(world.loop.now + 1)
            assert len(turn.executor.running) == 1


class TestLoop:
    def begun(self, world: World, error: Exception | None = None) -> tuple[LoopMaker, Owner]:
        def work() -> Flight:
            if error is not None:
                raise error
            hello = Transcript(hellos.peer(hellos.client_context("X25519MLKEM768")).answer(b""))
            return attempt(lambda: identity_of(world).context.current, hello, world.driver)

        owner = Owner()
        maker = LoopMaker(work, owner)
        maker.begin(world.services().steps)
        return maker, owner

    def test_flight_is_made_in_its_turn(self, world: World) -> None:
        _, owner = self.begun(world)
        assert owner.calls == 0
        world.loop.settle()
        assert owner.calls == len(owner.flights) == 1

    def test_contexts_that_differ_are_our_fault(self, world: World) -> None:
        _, owner = self.begun(world, RetryDiffers())
        world.loop.settle()
        assert [failure[:2] for failure in owner.failures] == [(R.TLS_ERROR, A.INTERNAL_ERROR)]

    def test_one_that_is_abandoned_makes_nothing_and_tells_nobody(self, world: World) -> None:
        maker, owner = self.begun(world)
        maker.abandon()
        world.loop.settle()
        maker, later = self.begun(world)
        maker.step()
        maker.abandon()
        maker.stepped()
        assert owner.calls == later.calls == 0


class TestThread:
    def begun(self, world: World, hello: Transcript) -> tuple[ThreadMaker, Owner]:
        owner = Owner()
        maker = ThreadMaker(world.services(), owner)
        maker.begin(identity_of(world).context.current, hello, SlowExchange(0.05, is_avoidable=True), b"net")
        return maker, owner

    def test_flight_has_the_driver_of_the_loop(self, world: World, hello: Transcript) -> None:
        _, owner = self.begun(world, hello)
        world.thread.finish()
        assert owner.calls == len(owner.flights) == 1

    def test_queue_that_is_full(self, world: World, hello: Transcript) -> None:
        world.thread.refuses = JobRefusal.QUEUE_FULL
        _, owner = self.begun(world, hello)
        assert owner.crowded == 1

    def test_error_of_ours_is_raised(self, world: World, hello: Transcript) -> None:
        _, owner = self.begun(world, hello)
        with pytest.raises(MemoryError):
            world.thread.finish(MemoryError())
        assert owner.calls == 0

    def test_abandoned_one_gives_up_its_place_and_tells_nobody(self, world: World, hello: Transcript) -> None:
        running, first = self.begun(world, hello)
        waiting, second = self.begun(world, hello)
        assert len(world.thread.waiting) == 1
        for maker in (waiting, running):
            maker.abandon()
        assert not world.thread.waiting
        world.thread.finish()
        assert first.calls == second.calls == 0
