"""Budgets: honest use never meets them, a flood soon does."""

from dataclasses import replace

import pytest

from proxy.http2.wire.errors import ConnectionFault, ErrorCode
from proxy.http2.wire.floods import FloodBudget, FloodBudgets, FloodReason, flood
from tests.fakes_http import LIMITS


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def spent(budget: FloodBudget, most: int = 100_000) -> int:
    """How often it can be spent."""
    for count in range(most):
        try:
            budget.spend(1)
        except ConnectionFault:
            return count
    return most


class TestFloodBudget:
    def test_the_burst_may_come_at_once_and_no_more(self) -> None:
        clock = Clock()
        budget = FloodBudget(FloodReason.PINGS, 10, 1.0, clock.now, clock)
        assert spent(budget) == 10

    def test_time_fills_it_up_to_the_burst(self) -> None:
        clock = Clock()
        budget = FloodBudget(FloodReason.PINGS, 10, 2.0, clock.now, clock)
        for _ in range(10):
            budget.spend(1)
        clock.now += 3.0
        assert spent(budget) == 6
        clock.now += 1e9
        assert spent(budget) == 10

    def test_a_steady_client_at_the_rate_is_never_ended(self) -> None:
        clock = Clock()
        budget = FloodBudget(FloodReason.RAPID_RESET, 4, 0.75, clock.now, clock)
        for _ in range(10_000):
            clock.now += 1.4
            budget.spend(1)

    def test_fractions_of_time_are_not_lost(self) -> None:
        clock = Clock()
        budget = FloodBudget(FloodReason.RAPID_RESET, 4, 1.0, clock.now, clock)
        for _ in range(1_000):
            clock.now += 1.5  # it is read at odd moments
            budget.spend(1)
        assert spent(budget) <= 4

    def test_progress_fills_it_up_to_the_burst(self) -> None:
        clock = Clock()
        budget = FloodBudget(FloodReason.PINGS, 10, 1.0, clock.now, clock)
        for _ in range(10):
            budget.spend(1)
        budget.earn(4)
        assert spent(budget) == 4
        budget.earn(1_000)
        assert spent(budget) == 10

    def test_the_fault_names_the_budget(self) -> None:
        clock = Clock()
        budget = FloodBudget(FloodReason.SETTINGS, 1, 1.0, clock.now, clock)
        with pytest.raises(ConnectionFault) as caught:
            budget.spend(2)
        assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM
        assert caught.value.reason.startswith("settings_flood: ")


class TestFloodBudgets:
    def budgets(self) -> FloodBudgets:
        return FloodBudgets(replace(LIMITS.http2, resets=5, control_frames=100), Clock())

    def test_resets_have_their_own_limit(self) -> None:
        budgets = self.budgets()
        assert [spent(budgets.resets), spent(budgets.provoked)] == [5, 5]
        assert spent(budgets.pings) == 100

    def test_settings_and_empty_data_cost_more(self) -> None:
        budgets = self.budgets()
        for _ in range(10):
            budgets.settings_frame()
        with pytest.raises(ConnectionFault, match="settings_flood"):
            budgets.settings_frame()
        for _ in range(25):
            budgets.empty_data_frame()
        with pytest.raises(ConnectionFault, match="empty_data_flood"):
            budgets.empty_data_frame()

    def test_answers_that_are_not_fetched_are_bounded(self) -> None:
        budgets = self.budgets()
        for _ in range(400):
            budgets.answer_frame()
        with pytest.raises(ConnectionFault, match="unread_frames"):
            budgets.answer_frame()
        budgets.unread = 0
        budgets.answer_frame()

    def test_requests_carry_priorities(self) -> None:
        budgets = self.budgets()
        assert [spent(budgets.priorities), spent(budgets.unknown)] == [100, 100]
        budgets.stream_opened()
        assert [spent(budgets.priorities), spent(budgets.unknown)] == [2, 1]

    def test_whole_answers_allow_resets(self) -> None:
        budgets = self.budgets()
        assert [spent(budgets.resets), spent(budgets.provoked)] == [5, 5]
        for _ in range(15):
            budgets.stream_completed()
        assert [spent(budgets.resets), spent(budgets.provoked)] == [3, 3]  # a quarter
        budgets.stream_completed()
        assert [spent(budgets.resets), spent(budgets.provoked)] == [1, 1]

    def test_each_whole_answer_allows_a_refused_stream_and_a_late_frame(self) -> None:
        budgets = self.budgets()
        assert [spent(budgets.refused), spent(budgets.late_frames)] == [100, 100]
        budgets.stream_completed()
        assert [spent(budgets.refused), spent(budgets.late_frames)] == [1, 1]

    def test_data_that_we_send_allows_window_updates_and_pings(self) -> None:
        budgets = self.budgets()
        assert [spent(budgets.window_updates), spent(budgets.pings)] == [100, 100]
        budgets.data_sent(3, 3 * 256)
        assert [spent(budgets.window_updates), spent(budgets.pings)] == [9, 3]


def test_a_flood_is_told_by_its_name() -> None:
    fault = flood(FloodReason.CONTINUATIONS, "header block without end")
    assert (fault.code, fault.reason) == (11, "continuation_flood: header block without end")
