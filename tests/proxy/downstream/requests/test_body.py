"""Where a body ends, how long it may be, what of it waits until a server is asked, and how it
continues."""

import sys
import time
from collections.abc import Callable

import pytest

from proxy.downstream.requests.body import BodyLimits, RequestBody, is_repeatable
from proxy.downstream.requests.request import RequestReader
from proxy.http.framing import RequestFraming
from proxy.http.head import MalformedMessage
from tests.fakes import FakeLoop
from tests.fakes_http import CHUNKS, LIMITS, octets, request

Feed = Callable[[bytes], list[bytes]]
FEEDS = pytest.mark.parametrize("feed", [lambda data: [data], octets], ids=["whole", "octets"])

LENGTH = b"Content-Length: 5"
CHUNKED = b"Transfer-Encoding: chunked"
EXPECTS = b"Expect: 100-continue"


def framing(*lines: bytes, start: bytes = b"POST / HTTP/1.1") -> RequestFraming:
    return RequestReader().read(request(*lines, start=start), LIMITS.head).framing


def body_of(*lines: bytes, limit: int = 1_000, gathered: int = 64) -> RequestBody:
    sent = framing(*lines)
    body = RequestBody(sent, sent, BodyLimits(CHUNKS, gathered), FakeLoop().time)
    body.bound(limit)
    return body


class TestReading:
    @FEEDS
    @pytest.mark.parametrize(("line", "data"), [(LENGTH, b"hello"), (CHUNKED, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")])
    def test_ends_where_its_framing_says(self, line: bytes, data: bytes, feed: Feed) -> None:
        body = body_of(line)
        pieces = []
        for piece in feed(data):
            assert not body.is_complete
            content, excess = body.receive_data(piece)
            assert excess == b""
            pieces.append(content)
        assert body.is_complete
        assert b"".join(pieces) == b"hello"

    @pytest.mark.parametrize(("line", "data"), [(LENGTH, b"hello"), (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n")])
    def test_what_stands_behind_it_is_given_back(self, line: bytes, data: bytes) -> None:
        assert body_of(line).receive_data(data + b"GET /") == (b"hello", b"GET /")

    def test_declared_length_is_known_to_be_too_long_at_once(self) -> None:
        assert not body_of(LENGTH).bound(4)
        assert body_of(LENGTH).bound(5)
        assert body_of(CHUNKED).bound(0)

    def test_chunks_over_the_limit_are_refused(self) -> None:
        body = body_of(CHUNKED, limit=4)
        assert body.receive_data(b"4\r\nhell") == (b"hell", b"")
        with pytest.raises(MalformedMessage) as caught:
            body.receive_data(b"\r\n1\r\no\r\n")
        assert caught.value.status == 413

    def test_broken_chunk_is_refused(self) -> None:
        with pytest.raises(MalformedMessage) as caught:
            body_of(CHUNKED).receive_data(b"x\r\n")
        assert caught.value.status == 400


class TestGathering:
    @pytest.mark.parametrize("lines", [(LENGTH,), (CHUNKED,), (LENGTH, EXPECTS)])
    def test_every_body_is_gathered_up_to_the_limit(self, lines: tuple[bytes, ...]) -> None:
        body = body_of(*lines, gathered=4)
        body.begin(streams=False, is_coded=False)
        body.gather(b"hel")
        assert not body.is_enough
        assert body.has_more
        body.gather(b"l")
        assert body.is_enough

    @pytest.mark.parametrize("lines", [(CHUNKED,), (LENGTH, EXPECTS)])
    def test_route_excepts_streams_and_those_that_wait_for_the_server(self, lines: tuple[bytes, ...]) -> None:
        body = body_of(*lines)
        body.begin(streams=True, is_coded=False)
        assert body.is_enough
        assert not body.has_more

    def test_what_has_a_length_is_gathered_on_each_route(self) -> None:
        """There is nothing to be seen before it is whole."""
        body = body_of(LENGTH)
        body.begin(streams=True, is_coded=False)
        assert not body.is_enough

    def test_without_a_limit_servers_are_asked_at_once(self) -> None:
        body = body_of(LENGTH, gathered=0)
        body.begin(streams=False, is_coded=False)
        assert body.is_enough

    @pytest.mark.parametrize("streams", [True, False])
    def test_body_that_is_complete_waits_for_nothing(self, *, streams: bool) -> None:
        body = body_of(LENGTH, EXPECTS)
        body.gather(body.receive_data(b"hello")[0])
        assert not body.begin(streams=streams, is_coded=False), "its client waits for nothing"
        assert not body.framing.expects_continue, "it needs no word of the server"
        assert body.is_enough
        assert not body.has_more
        assert body.take(is_bare=False) == b"hello"
        assert body.take(is_bare=False) == b""

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    def test_pieces_come_out_in_their_order(self, size: int) -> None:
        data = bytes(range(100))
        body = body_of(CHUNKED)
        for start in range(0, len(data), size):
            body.gather(data[start : start + size])
        assert body.take(is_bare=False) == b"64\r\n" + data + b"\r\n"

    def test_octets_cost_as_much_memory_as_they_are_and_linear_work(self) -> None:
        """A client that drips must not cost more than what it sent."""
        count = 65_536
        body = body_of(LENGTH)
        began = time.process_time()
        for octet in octets(bytes(count)):
            body.gather(octet)
        assert time.process_time() - began < 1.0, "two gigabytes are copied where each octet copies those before it"
        assert sys.getsizeof(body._gathered) < 2 * count


class TestContinue:
    """RFC 9110 section 10.1.1: who answers a client that waits for a 100 before it sends its
    body."""

    def test_server_is_left_to_answer_where_it_gets_the_body_as_it_comes(self) -> None:
        body = body_of(LENGTH, EXPECTS)
        assert not body.begin(streams=True, is_coded=False)
        assert body.framing.expects_continue
        assert body.is_held_back
        assert body.awaits_continue
        body.was_invited = True
        assert not body.is_held_back
        assert not body.awaits_continue

    @pytest.mark.parametrize(("streams", "is_coded"), [(False, False), (True, True)])
    def test_we_answer_where_the_body_is_gathered_or_decoded_first(self, *, streams: bool, is_coded: bool) -> None:
        body = body_of(LENGTH, EXPECTS)
        assert body.begin(streams=streams, is_coded=is_coded)
        assert not body.framing.expects_continue
        assert not body.is_held_back
        assert not body.awaits_continue

    def test_client_that_sends_already_is_told_nothing_by_us(self) -> None:
        body = body_of(LENGTH, EXPECTS)
        body.receive_data(b"he")
        assert not body.begin(streams=False, is_coded=False)
        assert not body.framing.expects_continue

    def test_client_that_sends_already_is_not_held_back_but_may_have_the_servers_answer(self) -> None:
        body = body_of(LENGTH, EXPECTS)
        body.receive_data(b"he")
        assert not body.begin(streams=True, is_coded=False)
        assert not body.is_held_back
        assert body.awaits_continue
        body.receive_data(b"llo")
        assert not body.awaits_continue

    def test_client_that_waits_for_none_gets_none(self) -> None:
        body = body_of(LENGTH)
        assert not body.begin(streams=False, is_coded=True)
        assert not body.is_held_back


def test_a_server_with_frames_of_its_own_gets_it_bare() -> None:
    body = body_of(CHUNKED)
    body.gather(body.receive_data(b"5\r\nhello\r\n")[0])
    assert body.take(is_bare=True) == b"hello"


@pytest.mark.parametrize(
    ("method", "expected"), [(b"GET", True), (b"PUT", True), (b"OPTIONS", True), (b"POST", False), (b"PATCH", False)]
)
def test_what_has_the_same_effect_twice_may_be_repeated(method: bytes, *, expected: bool) -> None:
    assert is_repeatable(method) is expected
