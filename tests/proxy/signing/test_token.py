"""A token on the loop: signatures, its breaker, and the probes that follow from it."""

from typing import Any

import pytest

from proxy.signing.breaker import BreakerState
from proxy.signing.executor import CrowdedOut, GivenUp, Job, JobRefusal
from proxy.signing.token import TokenPinRefused
from tests.fakes import FakeLoop
from tests.fakes_signing import HandProbe, HandToken

S = BreakerState


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def one(loop: FakeLoop) -> HandToken:
    return HandToken.make(loop)


def opened(one: HandToken) -> None:
    """Fail until the breaker opens."""
    one.token.succeeded(0.004)
    for _ in range(3):
        one.token.failed(None)
    assert one.token.state is S.OPEN


def probed(loop: FakeLoop, one: HandToken, outcome: float | BaseException, after: float = 0.0) -> None:
    """Let the next probe come, and end so."""
    one.probe.outcome = outcome
    loop.advance(after)
    one.executor.finish()


class TestSignatures:
    def test_result_comes_to_whoever_asked(self, loop: FakeLoop, one: HandToken) -> None:
        results: list[Any] = []
        job = one.token.sign(b"net", loop.now + 5, lambda: "flight", lambda job, result: results.append((job, result)))
        assert isinstance(job, Job)
        assert (job.network, job.deadline) == (b"net", loop.now + 5)
        loop.now += 0.003
        one.executor.finish()
        assert results == [(job, "flight")]
        assert one.token.counters.wait_seconds.sum == 0

    def test_one_that_never_began_has_not_waited_for_anything(self, loop: FakeLoop) -> None:
        one = HandToken.make(loop, threads=1)
        results: list[Any] = []
        for _ in range(2):
            one.token.sign(b"net", loop.now + 5, lambda: "flight", lambda _, result: results.append(result))
        one.executor.give_up_waiting()
        loop.settle()
        assert isinstance(results[0], GivenUp)
        assert sum(one.token.counters.wait_seconds.counts) == 0

    def test_refusal_is_counted(self, loop: FakeLoop, one: HandToken) -> None:
        one.executor.refuses = JobRefusal.QUEUE_FULL
        assert one.token.sign(b"net", loop.now + 5, lambda: None, lambda *_: None) is JobRefusal.QUEUE_FULL
        assert one.token.counters.refusals == 1

    def test_one_that_gives_way_counts_as_refused(self, loop: FakeLoop) -> None:
        one = HandToken.make(loop, threads=1)
        results: list[Any] = []
        for _ in range(2):
            one.token.sign(b"net", loop.now + 5, lambda: "flight", lambda _, result: results.append(result))
        one.executor.crowd_out()
        assert isinstance(results[0], CrowdedOut)
        assert one.token.counters.refusals == 1

    def test_good_one_is_remembered(self, loop: FakeLoop, one: HandToken) -> None:
        assert one.token.seconds_since_good is None
        one.token.succeeded(0.030)
        loop.now += 4
        assert one.token.seconds_since_good == 4
        assert one.token.latencies.hedge_after == 0.060
        assert one.token.counters.signing_seconds.sum == 0.030

    def test_what_is_expected_grows_with_what_waits(self, loop: FakeLoop, one: HandToken) -> None:
        assert one.token.expected_seconds == 0.0
        for _ in range(8):
            one.token.succeeded(0.030)
        assert one.token.expected_seconds == 0.030
        for _ in range(4):
            one.token.sign(b"net", loop.now + 5, lambda: "flight", lambda *_: None)
        assert one.token.expected_seconds == pytest.approx(0.090), "two threads, two that wait"


class TestBreaker:
    def test_who_waits_is_sent_elsewhere_when_it_opens(self, loop: FakeLoop) -> None:
        one = HandToken.make(loop, threads=1)
        results: list[Any] = []
        for _ in range(2):
            one.token.sign(b"net", loop.now + 5, lambda: "flight", lambda _, result: results.append(result))
        opened(one)
        loop.settle()
        assert isinstance(results[0], GivenUp)
        assert one.watcher.states == [("plexi", S.OPEN)]
        assert one.token.counters.errors == 3

    def test_first_failure_brings_a_probe_and_nothing_else(self, loop: FakeLoop, one: HandToken) -> None:
        one.token.failed(None)
        probed(loop, one, 0.004)
        assert one.probe.calls == 1
        assert one.token.is_closed
        assert one.watcher.states == []

    def test_open_one_is_probed_at_once_and_closes(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        probed(loop, one, 0.004)
        assert one.watcher.states == [("plexi", S.OPEN), ("plexi", S.HALF_OPEN), ("plexi", S.CLOSED)]
        assert (one.token.counters.probes, one.token.counters.probes_failed) == (1, 0)

    def test_probes_back_off(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        probed(loop, one, OSError())
        loop.advance(0.9)
        assert one.probe.calls == 1
        probed(loop, one, OSError(), after=0.1)
        assert one.probe.calls == 2
        loop.advance(1.9)
        assert not one.executor.running
        probed(loop, one, 0.004, after=0.1)
        assert one.token.is_closed
        assert one.token.counters.probes_failed == 2

    def test_slow_one_is_the_last_resort(self, loop: FakeLoop, one: HandToken) -> None:
        for _ in range(5):
            one.token.outrun(0.02)
        assert one.token.is_last_resort
        assert not one.token.is_closed
        probed(loop, one, 0.004)
        assert one.token.is_closed

    def test_late_signature_brings_a_probe(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        probed(loop, one, OSError())
        one.token.came_late()
        probed(loop, one, 0.004)
        assert one.token.is_closed


class TestProbes:
    def test_hanging_one_fails_in_time_and_keeps_others_away(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        loop.advance(0)
        loop.advance(5)
        assert one.watcher.states == [("plexi", S.OPEN), ("plexi", S.HALF_OPEN), ("plexi", S.OPEN)]
        loop.advance(1)
        assert one.token.counters.probes == 2
        assert len(one.executor.running) == 1
        assert one.token.state is S.OPEN

    def test_hanging_one_that_comes_back_is_a_sign_of_life(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        loop.advance(20)
        one.executor.finish()
        probed(loop, one, 0.004)
        assert one.probe.calls == 2
        assert one.token.is_closed

    def test_hanging_one_that_fails_after_all_is_none(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        loop.advance(5)
        one.executor.finish(OSError())
        assert not one.executor.running
        assert one.token.state is S.OPEN

    def test_without_a_thread_it_fails(self, loop: FakeLoop, one: HandToken) -> None:
        one.executor.refuses = JobRefusal.NO_THREAD
        opened(one)
        loop.advance(0)
        assert one.token.state is S.OPEN
        assert one.token.counters.probes_failed == 1

    def test_refused_pin_is_the_last_try(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        probed(loop, one, TokenPinRefused())
        loop.advance(100)
        one.token.use(one.probe)  # a reload that changes nothing
        loop.advance(100)
        assert one.token.state is S.STOPPED
        assert one.token.counters.probes == 1

    def test_other_pin_is_tried(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        probed(loop, one, TokenPinRefused())
        one.token.use(HandProbe())
        loop.advance(0)
        one.executor.finish()
        assert one.token.is_closed

    def test_missing_key_is_looked_for_at_once_and_again(self, loop: FakeLoop, one: HandToken) -> None:
        one.probe.missing = frozenset({"pkcs11:a"})
        one.token.use(one.probe)
        assert one.watcher.missing == [frozenset()], (
            "of before: it is not known to be lost before the token has said so"
        )
        probed(loop, one, 0.004)
        assert one.token.is_closed
        loop.advance(29)
        assert one.probe.calls == 1
        assert one.watcher.missing[1:] == [frozenset({"pkcs11:a"})]
        one.probe.missing = frozenset()
        probed(loop, one, 0.004, after=1)
        assert one.watcher.missing[2:] == [frozenset()]
        loop.advance(100)
        assert one.probe.calls == 2

    def test_key_that_comes_during_a_probe_is_tried_right_after_it(self, loop: FakeLoop, one: HandToken) -> None:
        one.token.failed(None)
        loop.advance(0)
        later = HandProbe()
        later.missing = frozenset({"pkcs11:b"})
        one.token.use(later)
        one.executor.finish()
        assert one.token.is_closed
        loop.advance(0)
        one.executor.finish()
        assert (one.probe.calls, later.calls) == (1, 1)


class TestParent:
    def test_its_verdict_is_needed(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        one.token.parent_says(ok=False)
        probed(loop, one, 0.004)
        assert one.token.state is S.PROVED
        one.token.parent_says(ok=True)
        assert one.token.is_closed

    @pytest.mark.parametrize("is_well", [False, True])
    def test_a_key_that_comes_after_the_proof_is_tried_at_once(
        self,
        loop: FakeLoop,
        one: HandToken,
        is_well: bool,  # noqa: FBT001
    ) -> None:
        """Else a token that has no loaded key would be taken for well: each rotation brings another key."""
        opened(one)
        one.token.parent_says(ok=False)
        probed(loop, one, 0.004)
        later = HandProbe()
        later.missing = frozenset({"pkcs11:b"})
        one.token.use(later)
        if is_well:
            one.token.parent_says(ok=True)
            assert one.token.is_closed
        loop.advance(0)
        one.executor.finish()
        assert later.calls == 1

    def test_where_it_finds_the_token_well_three_probes_load_the_module_anew(
        self, loop: FakeLoop, one: HandToken
    ) -> None:
        opened(one)
        one.token.parent_says(ok=True)
        for after, anew in ((0, 0), (1, 1), (2, 2), (4, 3), (8, 3)):
            probed(loop, one, OSError(), after=after)
            assert one.probe.calls_anew == anew
        probed(loop, one, 0.004, after=16)
        assert one.token.is_closed

    def test_a_probe_that_was_begun_by_another_configuration_says_nothing_of_this_one(
        self, loop: FakeLoop, one: HandToken
    ) -> None:
        opened(one)
        one.token.parent_says(ok=True)
        probed(loop, one, OSError())
        loop.advance(1)
        one.token.use(HandProbe())
        one.probe.outcome = TokenPinRefused()
        one.executor.finish()
        assert one.probe.calls_anew == 1
        assert one.token.state is S.OPEN, "there may be another PIN"


def test_closed_one_probes_no_more(loop: FakeLoop, one: HandToken) -> None:
    opened(one)
    one.token.close()
    loop.advance(100)
    assert one.probe.calls == 0
    assert one.executor.is_closed
    one.token.close()


class TestIdle:
    """A token that handshakes do not use is tried now and then, by what is loaded."""

    def test_signature_that_is_good_costs_no_new_keys(self, one: HandToken) -> None:
        one.token.check_if_idle()
        one.executor.finish()
        assert one.token.seconds_since_good == 0
        assert one.token.counters.probes == 0
        assert one.probe.calls == 1

    def test_failure_is_one_of_the_token(self, loop: FakeLoop, one: HandToken) -> None:
        one.token.check_if_idle()
        one.executor.finish(OSError())
        assert one.token.counters.errors == 1
        probed(loop, one, 0.004)
        assert one.token.counters.probes == 1
        assert one.token.is_closed

    def test_who_has_signed_lately_is_left_alone(self, loop: FakeLoop, one: HandToken) -> None:
        one.token.succeeded(0.004)
        one.token.check_if_idle()
        assert not one.executor.running
        loop.now += 10
        one.token.check_if_idle()
        assert one.executor.running

    def test_each_key_of_one_that_is_used_all_the_time_signs_once_a_minute(
        self, loop: FakeLoop, one: HandToken
    ) -> None:
        def check_after(seconds: float) -> bool:
            loop.now += seconds
            one.token.succeeded(0.004)
            one.token.check_if_idle()
            return bool(one.executor.running)

        assert not check_after(59)
        assert check_after(1)
        one.executor.finish()
        assert not check_after(59)
        assert check_after(1)

    def test_one_at_a_time(self, one: HandToken) -> None:
        one.token.check_if_idle()
        one.token.check_if_idle()
        assert len(one.executor.running) == 1

    def test_open_one_is_left_to_its_probes(self, one: HandToken) -> None:
        opened(one)
        one.token.check_if_idle()
        assert not one.executor.running

    def test_nothing_is_said_when_it_was_not_begun(self, one: HandToken) -> None:
        one.executor.refuses = JobRefusal.NO_THREAD
        one.token.check_if_idle()
        one.executor.refuses = None
        one.token.check_if_idle()
        one.executor.finish(GivenUp())
        assert one.token.counters.errors == 0


class TestPinsOfTheParent:
    def test_a_refused_one_is_not_tried_here(self, loop: FakeLoop) -> None:
        one = HandToken.make(loop)
        probe = HandProbe()
        probe.missing = frozenset({"pkcs11:a"})
        one.token.use(probe, is_refused=True)
        loop.advance(60.0)
        assert one.token.state is S.STOPPED
        assert one.token.counters.probes == 0
        one.token.pin_may_be_tried()
        loop.advance(0.0)
        assert one.token.counters.probes == 1

    def test_one_that_was_refused_elsewhere_is_not_tried_any_more(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        one.token.pin_refused()
        loop.advance(60.0)
        assert (one.token.state, one.token.counters.probes) == (S.STOPPED, 0)

    def test_a_token_that_was_left_alone_is_probed_before_it_is_used(self, loop: FakeLoop, one: HandToken) -> None:
        one.token.begin_open()
        one.token.use(one.probe)
        assert one.token.state is S.OPEN
        probed(loop, one, 0.004)
        assert one.token.is_closed


class TestRecovery:
    """Whoever waits for a token hears when it has been tried, and whether it is healthy."""

    def told(self, loop: FakeLoop, one: HandToken) -> list[bool]:
        said: list[bool] = []
        assert one.token.await_recovery(loop.now, loop.now, lambda: said.append(one.token.is_well))
        return said

    def test_of_the_probe(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        said = self.told(loop, one)
        probed(loop, one, 0.004)
        assert said == [True]

    def test_of_its_failure(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        said = self.told(loop, one)
        probed(loop, one, OSError())
        assert said == [False]
        assert not one.token.await_recovery(loop.now, loop.now, said.clear)

    def test_does_not_wait_for_the_word_of_the_parent(self, loop: FakeLoop) -> None:
        one = HandToken.make(loop, has_parent=True)
        opened(one)
        early = self.told(loop, one)
        probed(loop, one, 0.004)
        assert not one.token.is_closed
        late = self.told(loop, one)
        loop.settle()
        assert early == late == [True]

    def test_obeys_a_parent_that_has_said_no(self, loop: FakeLoop) -> None:
        one = HandToken.make(loop, has_parent=True)
        opened(one)
        said = self.told(loop, one)
        one.token.parent_says(ok=False)
        probed(loop, one, 0.004)
        assert said == [False]

    def test_of_a_probe_that_is_due_soon(self, loop: FakeLoop, one: HandToken) -> None:
        one.token.failed(None)
        probed(loop, one, 0.004)
        loop.advance(0.5)
        one.token.failed(None)
        assert not one.token.await_recovery(loop.now, loop.now + 0.4, lambda: None)
        said: list[bool] = []
        assert one.token.await_recovery(loop.now, loop.now + 0.5, lambda: said.append(one.token.is_well))
        probed(loop, one, 0.004, after=0.5)
        assert said == [True]

    def test_is_not_undone_by_what_began_before_it(self, loop: FakeLoop, one: HandToken) -> None:
        began = loop.now
        one.token.failed(began)
        loop.advance(0.001)
        probed(loop, one, 0.004)
        for _ in range(5):
            one.token.failed(began)
        assert one.token.is_closed
        assert one.token.counters.errors == 6, "they are counted anyway"
        for _ in range(3):
            one.token.failed(loop.now)
        assert one.token.state is S.OPEN

    def test_comes_to_nobody_while_threads_hang(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        one.executor.lost = 1
        assert not one.token.await_recovery(loop.now, loop.now, lambda: None)

    def test_ends_with_the_token(self, loop: FakeLoop, one: HandToken) -> None:
        opened(one)
        said = self.told(loop, one)
        one.token.close()
        assert said == [False]
