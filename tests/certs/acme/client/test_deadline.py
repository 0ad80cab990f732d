"""A call ends in time, whatever it is stuck in."""

import threading

import pytest

from certs.acme.client.deadline import Overdue, within


def test_result_and_exception_come_back() -> None:
    assert within(10, lambda: 7) == 7
    assert within(10, lambda: None) is None
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 // 0)


def test_it_runs_in_a_thread_that_does_not_hold_the_exit() -> None:
    thread = within(10, threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon


def test_call_that_hangs_is_left_behind() -> None:
    never = threading.Event()
    with pytest.raises(Overdue, match=r"no answer within 0\.01 s"):
        within(0.01, never.wait)
    never.set()
