"""Dials that fail, in what the pools of HTTP/1.1 connections have in common."""

import ssl

from proxy.upstream.pooling.failures import UpstreamFault
from tests.proxy.upstream.http1.test_pool import place


def test_every_borrower_hears_of_its_own_failure() -> None:
    with place(connections=1, waiting=3) as pool:
        pool.refuse()
        guests = [pool.acquire() for _ in range(4)]
        pool.settle()
        for _ in range(4):
            pool.settle()
        assert [guest.failures for guest in guests] == [[UpstreamFault.UNREACHABLE]] * 4
        assert pool.numbers() == {"open": 0, "idle": 0, "dialling": 0, "waiting": 0}


def test_error_that_nobody_expected_costs_neither_a_place_nor_an_answer() -> None:
    with place(connections=1, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as pool:
        left, *guests = [pool.acquire() for _ in range(3)]
        left.leave()
        for _ in range(3):
            pool.settle()
        assert [guest.failures for guest in (left, *guests)] == [[], *[[UpstreamFault.UNREACHABLE]] * 2]
        assert pool.numbers() == {"open": 0, "idle": 0, "dialling": 0, "waiting": 0}
        assert len(pool.errors) == 3
        assert all(isinstance(error, ValueError) for error in pool.errors)


def test_borrower_that_left_does_not_hear_of_it() -> None:
    with place() as pool:
        pool.refuse()
        guest = pool.acquire()
        guest.leave()
        pool.settle()
        assert guest.calls == 0
