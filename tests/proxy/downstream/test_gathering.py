"""What is kept of a body before a server is asked."""

import sys
import time

import pytest

from proxy.downstream.gathering import GatheredBody, bytes_to_gather
from proxy.downstream.requests import RequestReader
from proxy.http.framing import RequestFraming
from tests.fakes_http import LIMITS, octets, request

LENGTH = (b"Content-Length: 5",)
CHUNKED = (b"Transfer-Encoding: chunked",)
EXPECTS = (b"Content-Length: 5", b"Expect: 100-continue")


def framing(*lines: bytes) -> RequestFraming:
    return RequestReader().read(request(*lines, start=b"POST / HTTP/1.1"), LIMITS.head).framing


@pytest.mark.parametrize("lines", [LENGTH, CHUNKED, EXPECTS])
def test_every_body_is_gathered_up_to_the_limit(lines: tuple[bytes, ...]) -> None:
    assert bytes_to_gather(framing(*lines), 64, streams=False) == 64
    assert bytes_to_gather(framing(*lines), 0, streams=False) == 0


def test_route_excepts_streams_and_those_that_wait_for_the_server() -> None:
    assert bytes_to_gather(framing(*CHUNKED), 64, streams=True) == 0
    assert bytes_to_gather(framing(*EXPECTS), 64, streams=True) == 0
    assert bytes_to_gather(framing(*LENGTH), 64, streams=True) == 64, "there is nothing to be seen before it is whole"


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pieces_come_out_in_their_order(size: int) -> None:
    data = bytes(range(100))
    gathered = GatheredBody()
    for start in range(0, len(data), size):
        gathered.receive_data(data[start : start + size])
    assert len(gathered) == len(data)
    assert gathered.take() == data
    assert (len(gathered), gathered.take()) == (0, b"")


def test_octets_cost_as_much_memory_as_they_are_and_linear_work() -> None:
    """A client that drips must not cost more than what it sent."""
    count = 65_536
    gathered = GatheredBody()
    began = time.process_time()
    for octet in octets(bytes(count)):
        gathered.receive_data(octet)
    assert time.process_time() - began < 1.0, "two gigabytes are copied where each octet copies those before it"
    assert sys.getsizeof(gathered._data) < 2 * count
