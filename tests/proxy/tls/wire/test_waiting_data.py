"""Bytes that wait for a slow peer: in order, some records at a time, and at the price of what they are."""

import sys
import time

import pytest

from proxy.tls.wire.waiting_data import RECORD_BYTES, SEND_BYTES, WaitingData
from tests.fakes_http import octets


def taken(waiting: WaitingData) -> list[bytes]:
    records = []
    while waiting:
        records.append(bytes(waiting.take()))
    return records


@pytest.mark.parametrize("size", [1, 100, 5_000, RECORD_BYTES, RECORD_BYTES + 1, SEND_BYTES, SEND_BYTES + 1])
def test_comes_out_in_order_in_pieces_that_are_not_too_long(size: int) -> None:
    data = bytes(number % 251 for number in range(3 * SEND_BYTES))
    waiting = WaitingData()
    for start in range(0, len(data), size):
        waiting.add(data[start : start + size])
    assert len(waiting) == len(data)
    pieces = taken(waiting)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= SEND_BYTES
    assert len(waiting) == 0
    assert not waiting


def test_small_pieces_make_full_records() -> None:
    waiting = WaitingData()
    for _ in range(2 * RECORD_BYTES // 64):
        waiting.add(bytes(64))
    assert [len(record) for record in taken(waiting)] == [RECORD_BYTES] * 2


def test_more_may_come_behind_what_was_taken_in_part() -> None:
    waiting = WaitingData()
    waiting.add(b"a" * 190_000)
    assert bytes(waiting.take()) == b"a" * SEND_BYTES
    waiting.add(b"b" * 10)
    waiting.add(b"c" * 10)
    assert len(waiting) == 190_000 - SEND_BYTES + 20
    assert taken(waiting) == [b"a" * (190_000 - SEND_BYTES), b"b" * 10 + b"c" * 10]
    waiting.add(b"d")
    assert taken(waiting) == [b"d"]


def test_large_pieces_are_not_copied() -> None:
    data = bytes(RECORD_BYTES)
    waiting = WaitingData()
    waiting.add(data)
    assert waiting.take().obj is data


def test_octets_cost_as_much_memory_as_they_are_and_linear_work() -> None:
    waiting = WaitingData()
    began = time.process_time()
    for octet in octets(bytes(262_144)):
        waiting.add(octet)
    assert time.process_time() - began < 1.0
    assert sum(map(sys.getsizeof, waiting._pieces)) < 2 * 262_144
