"""When a token is left alone, and what it takes to be trusted again."""

import pytest

from proxy.signing.breaker import _TRANSITIONS, BACK_OFF_SECONDS, NEVER, Breaker, BreakerState, Step

S = BreakerState
NOW = 100.0


def failing(now: float = NOW) -> Breaker:
    """A breaker that has just opened, of a token that had worked."""
    breaker = Breaker()
    breaker.succeeded()
    for _ in range(3):
        breaker.failed(now)
    assert breaker.state is S.OPEN
    return breaker


def slow(limit: float = 0.02) -> Breaker:
    breaker = Breaker()
    for _ in range(5):
        breaker.outrun(NOW, limit)
    assert breaker.state is S.SLOW
    return breaker


def recovered(breaker: Breaker, now: float) -> None:
    breaker.probe_begins(now)
    breaker.probe_succeeded(now, 0.004)
    assert breaker.is_closed


class TestOpening:
    def test_new_one_is_closed_and_probes_nothing(self) -> None:
        breaker = Breaker()
        assert breaker.is_closed
        assert not breaker.is_last_resort
        assert breaker.probe_at == NEVER

    def test_three_failures_in_a_row_open_it(self) -> None:
        breaker = Breaker()
        breaker.failed(NOW)
        breaker.failed(NOW)
        breaker.succeeded()
        breaker.failed(NOW)
        breaker.failed(NOW)
        assert breaker.is_closed
        breaker.failed(NOW)
        assert breaker.state is S.OPEN
        assert not breaker.is_last_resort

    def test_every_second_one_failing_opens_it(self) -> None:
        breaker = Breaker()
        for _ in range(9):
            breaker.failed(NOW)
            breaker.succeeded()
        assert breaker.is_closed
        breaker.failed(NOW)
        assert breaker.state is S.OPEN

    def test_rare_failures_do_not(self) -> None:
        breaker = Breaker()
        for _ in range(50):
            breaker.failed(NOW)
            breaker.succeeded()
            breaker.succeeded()
        assert breaker.is_closed

    def test_races_lost_in_a_row_open_it_half_the_way(self) -> None:
        breaker = Breaker()
        for _ in range(4):
            breaker.outrun(NOW, 0.02)
        breaker.succeeded()
        for _ in range(4):
            breaker.outrun(NOW, 0.02)
        assert breaker.is_closed
        breaker.outrun(NOW, 0.02)
        assert breaker.state is S.SLOW
        assert breaker.is_last_resort

    def test_slow_token_that_fails_is_a_failing_one(self) -> None:
        breaker = slow()
        breaker.failed(NOW)
        assert breaker.state is S.OPEN

    def test_what_was_begun_before_changes_nothing(self) -> None:
        breaker = failing()
        at = breaker.probe_at
        breaker.failed(NOW + 1)
        breaker.outrun(NOW + 1, 0.02)
        breaker.suspect(NOW + 1)
        assert (breaker.state, breaker.probe_at) == (S.OPEN, at)


class TestSuspicion:
    def test_first_failure_has_it_probed_while_it_is_used(self) -> None:
        breaker = Breaker()
        breaker.failed(NOW)
        assert breaker.is_closed
        assert breaker.probe_at == NOW
        breaker.probe_begins(NOW)
        assert breaker.is_closed
        breaker.probe_succeeded(NOW, 0.004)
        assert breaker.is_closed

    def test_at_most_once_a_second(self) -> None:
        breaker = Breaker()
        breaker.failed(NOW)
        recovered(breaker, NOW)
        breaker.failed(NOW + 0.9)
        assert breaker.probe_at == NOW + 1.0, "late, but not never: somebody may wait for it"
        breaker.succeeded()
        breaker.failed(NOW + 1.5)
        assert breaker.probe_at == NOW + 1.0
        recovered(breaker, NOW + 1.5)
        breaker.failed(NOW + 3)
        assert breaker.probe_at == NOW + 3

    def test_probe_under_way_when_it_opens_counts(self) -> None:
        """What it has loaded is newer than what has failed."""
        breaker = Breaker()
        breaker.failed(NOW)
        breaker.probe_begins(NOW)
        breaker.failed(NOW)
        breaker.failed(NOW)
        assert breaker.state is S.OPEN
        breaker.probe_succeeded(NOW, 0.004)
        assert breaker.is_closed

    def test_probe_that_fails_opens_it(self) -> None:
        breaker = Breaker()
        breaker.failed(NOW)
        breaker.probe_begins(NOW)
        breaker.probe_failed(NOW)
        assert breaker.state is S.OPEN

    def test_earlier_time_stands(self) -> None:
        breaker = Breaker()
        breaker.suspect(NOW)
        breaker.suspect(NOW + 30)
        assert breaker.probe_at == NOW


class TestBackOff:
    def test_first_probe_comes_at_once_then_ever_later(self) -> None:
        breaker, now = failing(), NOW
        waits = []
        for _ in range(9):
            waits.append(breaker.probe_at - now)
            now = breaker.probe_at
            breaker.probe_begins(NOW)
            seen = [breaker.state]
            assert breaker.probe_at == NEVER
            breaker.probe_failed(now)
            assert [*seen, breaker.state] == [S.HALF_OPEN, S.OPEN]
        assert waits == [0, 1, 2, 4, 8, 16, 30, 30, 30]
        assert BACK_OFF_SECONDS == (0, 1, 2, 4, 8, 16, 30)

    @pytest.mark.parametrize(("opens", "probed"), [(1.5, 3.0), (2.9, 3.0), (20.0, 20.0)])
    def test_relapse_goes_on_where_it_was(self, opens: float, probed: float) -> None:
        breaker = failing()
        breaker.probe_begins(NOW)
        breaker.probe_failed(NOW)
        recovered(breaker, NOW + 1)
        for _ in range(3):
            breaker.failed(NOW + opens)
        assert breaker.probe_at == NOW + probed, "two seconds after the last probe"
        breaker.probe_begins(NOW + probed)
        breaker.probe_failed(NOW + probed)
        assert breaker.probe_at == NOW + probed + 4

    def test_relapse_found_by_a_probe_goes_on_where_it_was(self) -> None:
        breaker = failing()
        breaker.probe_begins(NOW)
        breaker.probe_failed(NOW)
        recovered(breaker, NOW + 1)
        breaker.failed(NOW + 20)
        breaker.probe_begins(NOW + 20)
        breaker.probe_failed(NOW + 25)
        assert breaker.probe_at == NOW + 27

    def test_later_fault_begins_anew(self) -> None:
        breaker = failing()
        breaker.probe_begins(NOW)
        breaker.probe_failed(NOW)
        recovered(breaker, NOW + 1)
        for _ in range(3):
            breaker.failed(NOW + 31)
        assert breaker.probe_at == NOW + 31

    @pytest.mark.parametrize("make", [failing, slow])
    def test_sign_of_life_has_it_probed_at_once(self, make: type[Breaker]) -> None:
        breaker = make()
        breaker.probe_begins(NOW)
        breaker.probe_failed(NOW)
        wait = breaker.probe_at - NOW
        breaker.alive(NOW + 0.5)
        assert breaker.probe_at == NOW + 0.5
        breaker.alive(NOW + 0.5)
        breaker.probe_begins(NOW)
        breaker.probe_failed(NOW + 0.5)
        assert breaker.probe_at == NOW + 0.5 + wait

    def test_probe_that_fails_while_it_is_closed_was_the_one_at_once(self) -> None:
        breaker = Breaker()
        breaker.failed(NOW)
        breaker.probe_begins(NOW)
        breaker.probe_failed(NOW)
        assert breaker.state is BreakerState.OPEN
        assert breaker.probe_at == NOW + 1

    def test_who_signed_well_for_a_while_is_tried_at_once_again(self) -> None:
        breaker = failing()
        breaker.probe_begins(NOW)
        breaker.probe_succeeded(NOW, 0.004)
        for _ in range(20):
            breaker.succeeded()
        for _ in range(3):
            breaker.failed(NOW + 1)
        assert breaker.probe_at == NOW + 1

    def test_first_try_is_the_one_before_any_probe_has_failed(self) -> None:
        breaker = Breaker()
        assert not breaker.is_tried_by(NOW)
        breaker.failed(NOW)
        assert breaker.is_tried_by(NOW)
        breaker.probe_begins(NOW)
        breaker.probe_failed(NOW)
        assert not breaker.is_tried_by(NOW + 1)
        breaker.probe_begins(NOW + 1)
        breaker.probe_succeeded(NOW + 1, 0.004)
        breaker.failed(NOW + 1.5)
        assert not breaker.is_tried_by(NOW + 1.9)
        assert breaker.is_tried_by(NOW + 2)

    def test_refused_clients_shorten_it_to_a_second(self) -> None:
        breaker = failing()
        for _ in range(5):
            breaker.probe_begins(NOW)
            breaker.probe_failed(NOW)
        assert breaker.probe_at == NOW + 16
        breaker.wanted(NOW + 0.2)
        assert breaker.probe_at == NOW + 1
        breaker.wanted(NOW + 0.3)
        assert breaker.probe_at == NOW + 1
        breaker.probe_begins(NOW)
        breaker.wanted(NOW + 1)
        assert breaker.probe_at == NEVER
        breaker.probe_failed(NOW + 1)
        breaker.wanted(NOW + 9)
        assert breaker.probe_at == NOW + 9

    def test_sign_of_life_during_a_probe_says_nothing_new(self) -> None:
        breaker = slow()
        breaker.probe_begins(NOW)
        breaker.alive(NOW)
        assert breaker.probe_at == NEVER

    def test_sign_of_life_of_a_closed_one_is_none(self) -> None:
        breaker = Breaker()
        breaker.alive(NOW)
        assert breaker.probe_at == NEVER


class TestClosing:
    def test_good_probe_closes_it(self) -> None:
        recovered(failing(), NOW)

    def test_slow_one_must_be_quick_again(self) -> None:
        breaker = slow(limit=0.02)
        breaker.probe_begins(NOW)
        assert breaker.is_last_resort
        breaker.probe_succeeded(NOW, 0.5)
        assert breaker.state is S.SLOW
        assert breaker.probe_at == NOW + 1
        breaker.probe_begins(NOW)
        breaker.probe_succeeded(NOW + 1, 0.02)
        assert breaker.is_closed

    def test_not_against_the_parent(self) -> None:
        breaker = failing()
        breaker.parent_says(NOW, ok=False)
        breaker.probe_begins(NOW)
        breaker.probe_succeeded(NOW, 0.004)
        assert breaker.state is S.PROVED
        breaker.parent_says(NOW + 5, ok=False)
        assert breaker.state is S.PROVED
        breaker.parent_says(NOW + 10, ok=True)
        assert breaker.is_closed

    def test_proof_of_long_ago_is_none(self) -> None:
        breaker = failing()
        breaker.parent_says(NOW, ok=False)
        breaker.probe_begins(NOW)
        breaker.probe_succeeded(NOW, 0.004)
        breaker.parent_says(NOW + 10.1, ok=True)
        assert breaker.state is S.PROVED
        assert breaker.probe_at == NOW + 10.1
        recovered(breaker, NOW + 10.1)

    def test_slow_one_waits_for_the_parent_too(self) -> None:
        breaker = slow()
        breaker.parent_says(NOW, ok=False)
        breaker.probe_begins(NOW)
        breaker.probe_succeeded(NOW, 0.001)
        assert breaker.state is S.PROVED

    def test_parent_that_finds_it_well_again_has_it_probed_at_once(self) -> None:
        breaker = failing()
        for now in (NOW, NOW + 1):
            breaker.probe_begins(NOW)
            breaker.probe_failed(now)
        breaker.parent_says(NOW + 1, ok=False)
        breaker.parent_says(NOW + 2, ok=True)
        assert breaker.probe_at == NOW + 2
        breaker.probe_begins(NOW)
        breaker.probe_failed(NOW + 2)
        at = breaker.probe_at
        breaker.parent_says(NOW + 3, ok=True)  # which is not a news
        assert breaker.probe_at == at

    def test_parent_says_nothing_to_a_probe_under_way(self) -> None:
        breaker = failing()
        breaker.probe_begins(NOW)
        breaker.parent_says(NOW, ok=True)
        assert breaker.state is S.HALF_OPEN

    def test_parent_opens_nothing(self) -> None:
        breaker = Breaker()
        breaker.parent_says(NOW, ok=False)
        assert breaker.is_closed


class TestParentThatFollows:
    """One of which it is known that it will say something."""

    def opened(self) -> Breaker:
        breaker = Breaker(has_parent=True)
        breaker.begin_open(NOW)
        breaker.probe_begins(NOW)
        return breaker

    def test_its_word_is_awaited(self) -> None:
        breaker = self.opened()
        breaker.probe_succeeded(NOW, 0.004)
        assert breaker.state is S.PROVED
        breaker.parent_says(NOW + 1, ok=False)
        assert breaker.state is S.PROVED
        breaker.parent_says(NOW + 2, ok=True)
        assert breaker.is_closed
        assert breaker.probe_at == NEVER

    def test_it_is_a_last_resort_until_then(self) -> None:
        breaker = self.opened()
        assert not breaker.is_last_resort
        breaker.probe_succeeded(NOW, 0.004)
        assert breaker.is_last_resort
        breaker.parent_says(NOW + 1, ok=False)
        assert not breaker.is_last_resort

    def test_its_word_may_come_first(self) -> None:
        breaker = self.opened()
        breaker.parent_says(NOW, ok=True)
        breaker.probe_succeeded(NOW, 0.004)
        assert breaker.is_closed

    def test_one_that_stays_silent_holds_nobody_up_for_long(self) -> None:
        breaker = self.opened()
        breaker.probe_succeeded(NOW, 0.004)
        assert breaker.probe_at == NOW + 5
        breaker.probe_begins(NOW)
        breaker.probe_succeeded(NOW + 5, 0.004)
        assert breaker.is_closed

    def test_its_good_word_shortens_no_relapse(self) -> None:
        breaker = Breaker(has_parent=True)
        for now, due in ((NOW, NOW), (NOW + 2, NOW + 6)):
            for _ in range(3):
                breaker.failed(now)
            breaker.probe_begins(now)
            breaker.probe_failed(now)
            breaker.parent_says(now, ok=True)
            assert breaker.probe_at == due, "at once the first time alone"
            breaker.probe_begins(now + 1)
            breaker.probe_succeeded(now + 1, 0.004)
            assert breaker.is_closed

    def test_its_word_of_before_is_forgotten(self) -> None:
        breaker = Breaker(has_parent=True)
        breaker.parent_says(NOW, ok=True)
        breaker.begin_open(NOW)
        breaker.probe_begins(NOW)
        breaker.probe_succeeded(NOW, 0.004)
        assert breaker.state is S.PROVED

    def test_slowness_is_none_of_its_business(self) -> None:
        breaker = Breaker(has_parent=True)
        for _ in range(5):
            breaker.outrun(NOW, 0.02)
        assert breaker.is_last_resort
        breaker.probe_begins(NOW)
        breaker.probe_succeeded(NOW, 0.001)
        assert breaker.is_closed


class TestOdds:
    """The parent finds the token well, and this process does not."""

    def fail(self, breaker: Breaker, times: int, now: float = NOW) -> None:
        for _ in range(times):
            breaker.probe_begins(now)
            breaker.probe_failed(now)

    def test_what_failed_before_the_parent_found_it_well_says_nothing_of_this_process(self) -> None:
        breaker = failing()
        self.fail(breaker, 5)
        breaker.parent_says(NOW, ok=True)
        assert not breaker.is_at_odds
        assert breaker.probe_at == NOW, "it has come back: it is looked at"
        self.fail(breaker, 1)
        assert breaker.is_at_odds
        assert breaker.probe_at == NOW + 1, "and not after the pauses that the token has earned"

    def test_after_three_it_is_for_the_parent_to_decide(self) -> None:
        breaker = failing()
        breaker.parent_says(NOW, ok=True)
        for seconds in (1, 2, 4):
            self.fail(breaker, 1)
            assert breaker.is_at_odds
            assert breaker.probe_at == NOW + seconds
        self.fail(breaker, 1)
        assert not breaker.is_at_odds

    def test_not_while_the_parent_finds_it_bad_too(self) -> None:
        breaker = failing()
        breaker.parent_says(NOW, ok=True)
        self.fail(breaker, 1)
        breaker.parent_says(NOW, ok=False)
        assert not breaker.is_at_odds
        self.fail(breaker, 1)
        assert not breaker.is_at_odds

    def test_what_the_parent_said_before_does_not_count(self) -> None:
        breaker = Breaker()
        breaker.parent_says(NOW, ok=True)
        for _ in range(3):
            breaker.failed(NOW)
        self.fail(breaker, 3)
        assert not breaker.is_at_odds

    def test_not_once_it_works_again(self) -> None:
        breaker = failing()
        breaker.parent_says(NOW, ok=True)
        self.fail(breaker, 1)
        recovered(breaker, NOW)
        assert not breaker.is_at_odds


class TestPin:
    def test_refused_one_is_never_tried_again(self) -> None:
        breaker = failing()
        breaker.probe_begins(NOW)
        breaker.stop()
        assert breaker.state is S.STOPPED
        breaker.probe_failed(NOW)
        breaker.parent_says(NOW, ok=True)
        breaker.alive(NOW)
        assert (breaker.state, breaker.probe_at) == (S.STOPPED, NEVER)

    def test_another_one_is_tried_at_once(self) -> None:
        breaker = failing()
        breaker.probe_begins(NOW)
        breaker.stop()
        breaker.resume(NOW + 5)
        assert (breaker.state, breaker.probe_at) == (S.OPEN, NOW + 5)
        recovered(breaker, NOW + 5)

    def test_only_a_stopped_one_resumes(self) -> None:
        breaker = Breaker()
        breaker.resume(NOW)
        assert breaker.is_closed


class TestTransitions:
    def test_every_state_is_reached_and_left(self) -> None:
        assert {state for state, _ in _TRANSITIONS} == set(BreakerState) == set(_TRANSITIONS.values())

    def test_a_refused_pin_stops_it_in_every_state_and_only_another_pin_resumes_it(self) -> None:
        steps = {(state, Step.STOP) for state in BreakerState}
        assert {_TRANSITIONS[step] for step in steps} == {BreakerState.STOPPED}
        leaving = [after for (state, _), after in _TRANSITIONS.items() if state is BreakerState.STOPPED]
        assert leaving == [BreakerState.STOPPED, BreakerState.OPEN]

    def test_it_closes_by_a_good_probe_alone(self) -> None:
        closing = {step for (_, step), after in _TRANSITIONS.items() if after is BreakerState.CLOSED}
        assert closing == {Step.TRUST}
