"""Which token is asked for a signature, and when another one is: the order of events, moved by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from proxy.signing.executor import JobRefusal
from proxy.signing.race import RaceLoss, SigningRace, SigningServices
from proxy.signing.token import SigningToken
from tests.fakes import FakeLoop
from tests.fakes_signing import HandToken

TOKEN_FAULT = OSError("no signature")
UNKNOWN_LIMIT = 0.2
"""When a token is late that has not signed yet."""


class ClientFault(Exception):
    """What a client did wrong."""


@dataclass(frozen=True)
class Key:
    token: str
    is_loaded: bool = True
    location: str = "pkcs11:object=chat"


@dataclass(frozen=True)
class Signature:
    key: Key
    seconds: float = 0.004


@dataclass
class Owner:
    """Notes how it ended."""

    signatures: list[Signature] = field(default_factory=list)
    lost: list[RaceLoss] = field(default_factory=list)
    refused: list[ClientFault] = field(default_factory=list)
    verdict: ClientFault | None = None
    judged: list[BaseException] = field(default_factory=list)

    def race_won(self, result: Signature) -> None:
        self.signatures.append(result)

    def race_lost(self, loss: RaceLoss) -> None:
        self.lost.append(loss)

    def race_refused(self, fault: ClientFault) -> None:
        self.refused.append(fault)

    def judge(self, error: BaseException) -> ClientFault | None:
        self.judged.append(error)
        return self.verdict

    @property
    def calls(self) -> int:
        return len(self.signatures) + len(self.lost) + len(self.refused)


@dataclass
class World:
    """One key in each of the tokens plexi and spare."""

    loop: FakeLoop
    plexi: HandToken
    spare: HandToken
    tokens: Mapping[str, SigningToken]
    keys: Sequence[Key] = (Key("plexi"), Key("spare"))


Race = SigningRace[Key, Signature, ClientFault]


@pytest.fixture
def world() -> World:
    loop = FakeLoop()
    plexi, spare = HandToken.make(loop, "plexi", 1), HandToken.make(loop, "spare", 1)
    return World(loop, plexi, spare, {"plexi": plexi.token, "spare": spare.token})


def raced(world: World, seconds: float = 10.0, turn: int = 0) -> tuple[Race, Owner]:
    """A race that has begun."""
    owner = Owner()
    services = SigningServices(world.loop, world.loop.time, world.tokens)
    race: Race = SigningRace(services, world.keys, turn, Signature, b"net", owner)
    race.begin(world.loop.now + seconds)
    return race, owner


def running(token: HandToken) -> int:
    return len(token.executor.running)


def probes(world: World, outcome: float | BaseException) -> None:
    """Let the probes that are due come to this end."""
    for token in (world.plexi, world.spare):
        token.probe.outcome = outcome
        world.loop.advance(0)
        if token.executor.running:
            token.executor.finish()


class TestWanted:
    """A client that is sent away has a token tried soon, whatever its back-off says."""

    @pytest.fixture
    def dead(self, world: World) -> HandToken:
        """The spare one, in a long back-off."""
        world.spare.token.begin_open()
        world.spare.probe.outcome = OSError()
        world.spare.token.use(world.spare.probe)
        for seconds in (0.0, 1.0, 2.0, 4.0):
            world.loop.advance(seconds)
            world.spare.executor.finish()
        return world.spare

    def tried_within_a_second(self, world: World, dead: HandToken) -> bool:
        before = dead.probe.calls
        world.loop.advance(1.0)
        if dead.executor.running:
            dead.executor.finish()
        return dead.probe.calls == before + 1

    def test_without_a_client_it_is_not(self, world: World, dead: HandToken) -> None:
        assert not self.tried_within_a_second(world, dead)

    def test_although_its_key_was_never_there(self, world: World, dead: HandToken) -> None:
        world.keys = (Key("plexi"), Key("spare", is_loaded=False))
        world.plexi.executor.refuses = JobRefusal.NO_THREAD
        _, owner = raced(world)
        assert owner.lost == [RaceLoss.UNAVAILABLE]
        assert self.tried_within_a_second(world, dead)

    def test_although_another_one_is_only_busy(self, world: World, dead: HandToken) -> None:
        world.plexi.executor.refuses = JobRefusal.QUEUE_FULL
        _, owner = raced(world)
        assert owner.lost == [RaceLoss.BUSY]
        assert self.tried_within_a_second(world, dead)


class TestRecovery:
    """All have failed, and the probe that follows the first failure is not over: sessions that were lost."""

    def both_failed(self, world: World, seconds: float = 10.0) -> tuple[Race, Owner]:
        race, owner = raced(world, seconds)
        world.plexi.executor.finish(TOKEN_FAULT)
        world.spare.executor.finish(TOKEN_FAULT)
        assert owner.calls == 0
        return race, owner

    def test_token_that_is_well_again_is_asked_again(self, world: World) -> None:
        _, owner = self.both_failed(world)
        world.loop.advance(0)
        world.plexi.executor.finish()
        world.plexi.executor.finish()
        assert len(owner.signatures) == 1
        world.spare.executor.finish()
        assert owner.calls == 1

    def test_next_one_is_asked_when_that_fails_too(self, world: World) -> None:
        _, owner = self.both_failed(world)
        probes(world, 0.004)
        world.plexi.executor.finish(TOKEN_FAULT)
        world.spare.executor.finish()
        assert len(owner.signatures) == 1

    def test_each_is_asked_a_second_time_only(self, world: World) -> None:
        _, owner = self.both_failed(world)
        probes(world, 0.004)
        world.plexi.executor.finish(TOKEN_FAULT)
        world.spare.executor.finish(TOKEN_FAULT)
        assert owner.lost == [RaceLoss.UNAVAILABLE]

    def test_probe_that_was_over_before_the_failure_came(self, world: World) -> None:
        """Two signatures fail for one lost session: the second one comes when it is healed."""
        world.plexi.executor.threads = 2
        _, owner = raced(world)
        world.plexi.token.failed(None)
        world.loop.advance(0)
        world.plexi.executor.finish(place=1)
        world.spare.executor.refuses = JobRefusal.NO_THREAD
        world.plexi.executor.finish(TOKEN_FAULT)
        assert owner.calls == 0
        world.plexi.executor.finish()
        assert len(owner.signatures) == 1

    def test_one_that_fails_while_the_other_one_is_still_tried(self, world: World) -> None:
        _, owner = self.both_failed(world)
        world.loop.advance(0)
        world.plexi.executor.finish(TOKEN_FAULT)
        assert owner.calls == 0
        world.spare.executor.finish()
        world.spare.executor.finish()
        assert len(owner.signatures) == 1

    def test_it_waits_for_a_second_only(self, world: World) -> None:
        _, owner = self.both_failed(world)
        world.loop.advance(0.9)
        assert owner.calls == 0
        world.loop.advance(0.2)
        assert owner.lost == [RaceLoss.UNAVAILABLE]
        world.plexi.executor.finish()
        assert owner.calls == 1

    def test_one_that_comes_after_that_takes_nothing_from_another_one(self, world: World) -> None:
        _, owner = raced(world)
        world.plexi.executor.finish(TOKEN_FAULT)
        world.loop.advance(1.2)  # no probe of plexi came within its second, and spare is still at work
        world.plexi.executor.finish()  # now it comes
        world.loop.advance(0.2)
        world.spare.executor.finish(TOKEN_FAULT)
        world.plexi.executor.finish(TOKEN_FAULT)
        assert owner.calls == 0, "the probe of spare is awaited"
        world.loop.advance(0)
        world.spare.executor.finish()  # the probe
        world.spare.executor.finish()
        assert len(owner.signatures) == 1

    def test_deadline_comes_first(self, world: World) -> None:
        _, owner = self.both_failed(world, seconds=0.5)
        world.loop.advance(0.6)
        assert owner.lost == [RaceLoss.TIMEOUT]

    def test_client_that_leaves(self, world: World) -> None:
        race, owner = self.both_failed(world)
        race.abandon()
        probes(world, 0.004)
        assert owner.calls == running(world.plexi) == 0

    def test_one_that_hangs_keeps_nobody_from_the_one_that_is_healed(self, world: World) -> None:
        _, owner = raced(world)
        world.loop.advance(0.2)  # plexi is late
        world.spare.executor.finish(TOKEN_FAULT)
        world.loop.advance(0)
        world.spare.executor.finish()  # the probe
        assert running(world.spare) == 0, "plexi may still be in time"
        world.loop.advance(0.2)
        world.spare.executor.finish()
        assert len(owner.signatures) == 1
        assert running(world.plexi) == 1

    def test_one_that_is_busy_keeps_nobody_from_it_either(self, world: World) -> None:
        world.plexi.executor.refuses = JobRefusal.QUEUE_FULL
        _, owner = raced(world)
        world.spare.executor.finish(TOKEN_FAULT)
        assert owner.calls == 0
        world.loop.advance(0)
        world.spare.executor.finish()  # the probe
        world.spare.executor.finish()
        assert len(owner.signatures) == 1

    def test_last_resort_that_hangs_keeps_nobody_from_it_either(self, world: World) -> None:
        world.plexi.executor.threads = 2
        for _ in range(5):
            world.plexi.token.outrun(0.02)
        world.loop.advance(0)  # its probe hangs as well
        _, owner = raced(world)
        world.spare.executor.finish(TOKEN_FAULT)
        assert running(world.plexi) == 2
        world.loop.advance(0)
        world.spare.executor.finish()  # the probe
        world.loop.advance(0.2)
        world.spare.executor.finish()
        assert len(owner.signatures) == 1

    def test_one_that_was_probed_a_moment_ago_is_waited_for(self, world: World) -> None:
        world.spare.token.failed(None)
        probes(world, 0.004)
        world.loop.advance(0.5)
        _, owner = self.both_failed(world)
        probes(world, OSError())
        assert not world.plexi.token.is_closed
        assert owner.calls == 0
        world.loop.advance(0.5)
        probes(world, 0.004)
        world.spare.executor.finish()
        assert len(owner.signatures) == 1

    def test_who_comes_while_it_lasts_waits_too(self, world: World) -> None:
        for token in (world.plexi, world.spare):
            for _ in range(3):
                token.token.failed(None)
        _, owner = raced(world)
        assert owner.calls == 0
        probes(world, 0.004)
        world.plexi.executor.finish()
        assert len(owner.signatures) == 1

    def test_whoever_comes_later_is_refused_at_once(self, world: World) -> None:
        self.both_failed(world)
        probes(world, TOKEN_FAULT)
        _, owner = raced(world)
        assert owner.lost == [RaceLoss.UNAVAILABLE]

    def test_refused_clients_have_it_tried_every_second(self, world: World) -> None:
        self.both_failed(world)
        for _ in range(6):
            probes(world, TOKEN_FAULT)
            raced(world)
            world.loop.advance(1)
        assert world.plexi.probe.calls == 6

    def test_token_that_is_gone_meanwhile(self, world: World) -> None:
        """A reload has taken it away."""
        tokens = dict(world.tokens)
        world.tokens = tokens
        _, owner = raced(world)
        del tokens["spare"]
        world.plexi.executor.finish(TOKEN_FAULT)
        probes(world, TOKEN_FAULT)
        assert owner.lost == [RaceLoss.UNAVAILABLE]


class TestFirst:
    def test_one_is_asked_and_wins(self, world: World) -> None:
        _, owner = raced(world)
        assert (running(world.plexi), running(world.spare)) == (1, 0)
        world.plexi.executor.finish()
        assert len(owner.signatures) == 1
        world.loop.advance(20)
        assert owner.calls == 1
        assert not world.loop.timers

    def test_open_breaker_is_passed_over(self, world: World) -> None:
        for _ in range(3):
            world.plexi.token.failed(None)
        raced(world)
        assert running(world.spare) == 1

    def test_one_that_was_passed_over_is_asked_when_it_is_well_by_now(self, world: World) -> None:
        for _ in range(3):
            world.spare.token.failed(None)
        _, owner = raced(world)
        world.loop.advance(0)
        world.spare.executor.finish()  # the probe
        world.loop.advance(0.2)  # plexi is late
        world.spare.executor.finish()
        assert len(owner.signatures) == 1

    def test_one_that_was_passed_over_is_asked_when_the_other_one_fails(self, world: World) -> None:
        for _ in range(3):
            world.spare.token.failed(None)
        _, owner = raced(world)
        world.loop.advance(0)
        world.spare.executor.finish()  # the probe
        world.plexi.executor.finish(TOKEN_FAULT)
        world.spare.executor.finish()
        assert len(owner.signatures) == 1

    def test_slow_token_is_asked_where_there_is_no_other(self, world: World) -> None:
        for _ in range(5):
            world.plexi.token.outrun(0.02)
        for _ in range(3):
            world.spare.token.failed(None)
        _, owner = raced(world)
        world.plexi.executor.finish()
        assert len(owner.signatures) == 1

    def test_token_that_takes_nothing_is_passed_over(self, world: World) -> None:
        world.plexi.executor.refuses = JobRefusal.QUEUE_FULL
        raced(world)
        assert running(world.spare) == 1

    @pytest.mark.parametrize(
        ("refusal", "loss"),
        [
            (JobRefusal.QUEUE_FULL, RaceLoss.BUSY),
            (JobRefusal.NETWORK_SHARE, RaceLoss.BUSY),
            (JobRefusal.TOO_LATE, RaceLoss.BUSY),
            (JobRefusal.NO_THREAD, RaceLoss.UNAVAILABLE),
        ],
    )
    def test_nobody_takes_it(self, world: World, refusal: JobRefusal, loss: RaceLoss) -> None:
        for token in (world.plexi, world.spare):
            token.executor.refuses = refusal
        _, owner = raced(world)
        assert owner.lost == [loss]
        assert not world.loop.timers

    def test_one_that_gives_way_to_another_client_is_told_that_the_token_is_busy(self, world: World) -> None:
        raced(world)
        world.spare.executor.refuses = JobRefusal.NO_THREAD
        _, owner = raced(world)
        world.plexi.executor.crowd_out()
        assert owner.lost == [RaceLoss.BUSY]

    def test_key_of_a_token_that_is_not_used_any_more(self, world: World) -> None:
        """A reload has taken it out of the configuration while the handshake went on."""
        world.keys = (Key("gone"), Key("spare"))
        raced(world)
        assert running(world.spare) == 1

    def test_key_that_is_not_loaded_is_none(self, world: World) -> None:
        world.keys = (Key("plexi", is_loaded=False), Key("spare"))
        raced(world)
        assert running(world.spare) == 1


class TestFailover:
    def test_error_goes_to_the_next_one_and_to_the_breaker(self, world: World) -> None:
        _, owner = raced(world)
        world.plexi.executor.finish(TOKEN_FAULT)
        assert running(world.spare) == 1
        world.spare.executor.finish()
        assert owner.calls == len(owner.signatures) == 1
        assert world.plexi.token.counters.errors == 1
        assert world.plexi.token.counters.failovers == 1

    def test_error_that_is_the_clients_fault_ends_the_race(self, world: World) -> None:
        _, owner = raced(world)
        owner.verdict = ClientFault()
        world.plexi.executor.finish(TOKEN_FAULT)
        assert owner.refused == [owner.verdict]
        assert world.plexi.token.counters.errors == 0
        assert running(world.spare) == 0

    def test_who_waits_for_a_token_that_opens_goes_on_at_once(self, world: World) -> None:
        _, first = raced(world)
        _, second = raced(world)
        assert len(world.plexi.executor.waiting) == 1
        for _ in range(3):
            world.plexi.token.failed(None)
        world.loop.settle()
        assert running(world.spare) == 1
        world.spare.executor.finish()
        assert len(second.signatures) == 1
        assert second.judged == []
        assert first.calls == 0
        assert world.plexi.token.counters.errors == 3  # of those who failed, not of who was sent away


class TestHedge:
    def test_late_token_gets_company(self, world: World) -> None:
        raced(world)
        world.loop.advance(UNKNOWN_LIMIT - 0.01)
        assert running(world.spare) == 0
        world.loop.advance(0.01)
        assert (running(world.plexi), running(world.spare)) == (1, 1)
        assert world.plexi.token.counters.hedges == 1

    def test_idle_token_that_takes_no_job_sends_nobody_to_a_busy_one(self, world: World) -> None:
        """Its refusal changes nothing: it is asked like any other one when the first has failed."""
        _, owner = raced(world)
        world.spare.executor.refuses = JobRefusal.NETWORK_SHARE
        world.loop.advance(UNKNOWN_LIMIT)
        assert world.plexi.token.counters.hedges == 0
        world.spare.executor.refuses = None
        world.plexi.executor.finish(TOKEN_FAULT)
        world.spare.executor.finish()
        assert len(owner.signatures) == 1

    def test_first_one_may_still_win(self, world: World) -> None:
        _, owner = raced(world)
        world.loop.advance(UNKNOWN_LIMIT)
        world.plexi.executor.finish()
        assert len(owner.signatures) == 1
        world.spare.executor.finish()
        assert owner.calls == 1
        assert world.spare.token.counters.hedges_won == 0
        assert sum(world.spare.token.counters.signing_seconds.counts) == 0, "nobody used its signature"

    def test_races_lost_again_and_again_open_the_breaker_half_the_way(self, world: World) -> None:
        for _ in range(5):
            _, owner = raced(world)
            world.loop.advance(world.plexi.token.latencies.hedge_after)
            world.spare.executor.finish()
            assert len(owner.signatures) == 1
            world.plexi.executor.threads += 1  # the other one hangs
        assert world.plexi.token.is_last_resort
        assert world.spare.token.counters.hedges_won == 5
        raced(world)
        assert running(world.spare) == 1

    def test_late_answer_of_who_lost_only_tells_of_the_token(self, world: World) -> None:
        _, owner = raced(world)
        world.loop.advance(UNKNOWN_LIMIT)
        world.spare.executor.finish()
        world.plexi.executor.finish(TOKEN_FAULT)
        assert owner.calls == 1
        assert world.plexi.token.counters.errors == 1

    def test_no_company_by_who_is_busy(self, world: World) -> None:
        """Two tokens with queues would only make them longer for each other."""
        world.spare.token.sign(b"other", world.loop.now + 5, lambda: None, lambda *_: None)
        _, owner = raced(world)
        world.loop.advance(UNKNOWN_LIMIT)
        assert len(world.spare.executor.waiting) == 0
        world.spare.executor.finish()
        world.loop.advance(UNKNOWN_LIMIT)
        assert running(world.spare) == 1
        world.spare.executor.finish()
        assert len(owner.signatures) == 1

    def test_company_that_refuses_is_none(self, world: World) -> None:
        raced(world)
        world.spare.executor.refuses = JobRefusal.TOO_LATE
        world.loop.advance(UNKNOWN_LIMIT)
        assert running(world.plexi) == 1

    def test_who_still_waits_in_the_queue_is_not_slow(self, world: World) -> None:
        world.plexi.token.sign(b"other", world.loop.now + 5, lambda: None, lambda *_: None)
        for _ in range(5):
            _, owner = raced(world)
            world.loop.advance(world.plexi.token.latencies.hedge_after)
            world.spare.executor.finish()
            assert len(owner.signatures) == 1
        assert not world.plexi.executor.waiting
        assert world.plexi.token.is_closed

    def test_error_of_one_leaves_the_other(self, world: World) -> None:
        _, owner = raced(world)
        world.loop.advance(UNKNOWN_LIMIT)
        world.plexi.executor.finish(TOKEN_FAULT)
        assert owner.calls == 0
        world.spare.executor.finish()
        assert len(owner.signatures) == 1


class TestEnds:
    def test_out_of_time(self, world: World) -> None:
        _, owner = raced(world)
        world.loop.advance(5)
        assert owner.lost == [RaceLoss.TIMEOUT]
        assert world.plexi.token.counters.errors == 1
        assert world.spare.token.counters.errors == 1

    def test_deadline_of_the_handshake_comes_first_if_it_is_earlier(self, world: World) -> None:
        _, owner = raced(world, seconds=0.1)
        world.loop.advance(0.1)
        assert owner.lost == [RaceLoss.TIMEOUT]

    def test_who_waited_in_the_queue_is_no_fault_of_the_token(self, world: World) -> None:
        world.spare.executor.refuses = JobRefusal.NO_THREAD
        world.plexi.token.sign(b"other", world.loop.now + 20, lambda: None, lambda *_: None)
        _, owner = raced(world)
        world.loop.advance(5)
        assert owner.lost == [RaceLoss.TIMEOUT]
        assert world.plexi.token.counters.errors == 0
        assert not world.plexi.executor.waiting

    def test_signature_that_comes_too_late_is_a_sign_of_life(self, world: World) -> None:
        world.plexi.executor.threads = 2
        _, owner = raced(world, seconds=0.5)
        for _ in range(3):
            world.plexi.token.failed(None)
        world.loop.advance(0)
        world.plexi.executor.finish(TOKEN_FAULT, place=1)  # the probe: the next one would come in a second
        world.loop.advance(0.5)
        assert owner.lost == [RaceLoss.TIMEOUT]
        world.plexi.executor.finish()
        assert owner.calls == 1
        world.loop.advance(0)
        world.plexi.executor.finish()
        assert world.plexi.token.is_closed

    def test_abandoned_one_tells_nobody(self, world: World) -> None:
        race, owner = raced(world)
        race.abandon()
        world.plexi.executor.finish(TOKEN_FAULT)
        world.loop.advance(20)
        assert owner.calls == 0
        race.abandon()

    def test_error_for_a_client_that_has_left_is_the_tokens_if_its_hello_was_good(self, world: World) -> None:
        for verdict, errors in ((ClientFault(), 0), (None, 1)):
            race, owner = raced(world)
            owner.verdict = verdict
            race.abandon()
            world.plexi.executor.finish(TOKEN_FAULT)
            assert owner.judged == [TOKEN_FAULT]
            assert world.plexi.token.counters.errors == errors

    def test_error_of_the_other_one_is_the_clients_too_once_it_was_refused(self, world: World) -> None:
        _, owner = raced(world)
        world.loop.advance(UNKNOWN_LIMIT)
        owner.verdict = ClientFault()
        world.plexi.executor.finish(TOKEN_FAULT)
        assert len(owner.refused) == 1
        world.spare.executor.finish(TOKEN_FAULT)
        assert world.spare.token.counters.errors == world.plexi.token.counters.errors == 0

    def test_token_that_had_no_fair_time_is_not_to_blame(self, world: World) -> None:
        """A client that shows up at the end of its time."""
        for seconds, errors in ((UNKNOWN_LIMIT * 0.9, 0), (UNKNOWN_LIMIT * 1.1, 1)):
            world.spare.executor.refuses = JobRefusal.NO_THREAD
            _, owner = raced(world, seconds=seconds)
            world.loop.advance(seconds)
            assert owner.lost == [RaceLoss.TIMEOUT]
            assert world.plexi.token.counters.errors == errors
            world.plexi.executor.finish()

    def test_signature_for_a_client_that_has_left_is_a_good_one(self, world: World) -> None:
        race, owner = raced(world)
        race.abandon()
        world.plexi.executor.finish()
        assert owner.calls == 0
        assert sum(world.plexi.token.counters.signing_seconds.counts) == 1
        assert all(timer.cancelled() for timer in world.loop.timers)
        world.loop.advance(20)
        assert world.plexi.token.counters.errors == 0

    def test_token_that_hangs_is_found_out_by_clients_that_do_not_wait(self, world: World) -> None:
        world.plexi.executor.threads = 3
        for _ in range(3):
            race, _ = raced(world)
            race.abandon()
        world.loop.advance(4.9)
        assert world.plexi.token.is_closed
        world.loop.advance(0.2)
        assert world.plexi.token.counters.errors == 3
        assert not world.plexi.token.is_closed

    def test_client_that_leaves_gives_up_its_place_in_the_queue(self, world: World) -> None:
        raced(world)
        race, _ = raced(world)
        assert len(world.plexi.executor.waiting) == 1
        race.abandon()
        assert not world.plexi.executor.waiting


def test_turn_says_who_is_first(world: World) -> None:
    asked = []
    for turn in range(4):
        raced(world, turn=turn)
        asked.append((running(world.plexi), running(world.spare)))
        for token in (world.plexi, world.spare):
            if token.executor.running:
                token.executor.finish()
    assert asked == [(1, 0), (0, 1), (1, 0), (0, 1)]
