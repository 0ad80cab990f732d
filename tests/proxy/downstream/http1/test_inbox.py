"""The inbox cuts the same requests out of the same bytes, however they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.downstream.http1.inbox import Inbox
from proxy.http.head import HeadLimits, MalformedMessage
from tests.fakes import FakeLoop
from tests.fakes_http import FakeStream

LIMITS = HeadLimits(target_bytes=100, header_count=10, header_bytes=200)
HEAD_BYTES = 120
GET = b"GET /%d HTTP/1.1\r\nHost: chat.example.org\r\n\r\n"


def targets(inbox: Inbox, pieces: list[bytes]) -> tuple[list[bytes], int | None]:
    """The targets of all requests, and the status of the refusal that ended them."""
    found = []
    try:
        for piece in pieces:
            inbox.receive_data(piece)
            while (request := inbox.next_request(HEAD_BYTES, LIMITS)) is not None:
                found.append(request.framing.target)
    except MalformedMessage as error:
        return found, error.status
    return found, None


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        (GET % 1, ([b"/1"], None)),
        (GET % 1 + GET % 2, ([b"/1", b"/2"], None)),
        (b"\r\n\r\n" + GET % 1 + b"\r\n" + GET % 2, ([b"/1", b"/2"], None)),
        (b"\r\n\r\n\r\n" + GET % 1, ([], 400)),
        (b"\n" + GET % 1, ([], 400)),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", ([], None)),
        (b"GET /" + b"a" * 200, ([], 414)),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 200, ([], 431)),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200 + b"\r\n\r\n", ([], 431)),
    ],
)
def test_whole_and_byte_by_byte_agree(sent: bytes, outcome: tuple[list[bytes], int | None]) -> None:
    assert targets(Inbox(FakeStream(FakeLoop())), [sent]) == outcome
    assert targets(Inbox(FakeStream(FakeLoop())), [bytes([octet]) for octet in sent]) == outcome


@given(st.lists(st.integers(1, 40), max_size=30))
def test_any_cut_gives_the_same_requests(lengths: list[int]) -> None:
    sent = b"".join(GET % number for number in range(8)) + b"\r\n" + GET % 9
    pieces, rest = [], sent
    for length in lengths:
        pieces.append(rest[:length])
        rest = rest[length:]
    assert targets(Inbox(FakeStream(FakeLoop())), [*pieces, rest]) == (
        [b"/%d" % number for number in (*range(8), 9)],
        None,
    )


def test_a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    fits = start + b"y" * (HEAD_BYTES - len(start))
    for sent, status in ((fits, None), (fits + b"y", 431)):
        assert targets(Inbox(FakeStream(FakeLoop())), [bytes([octet]) for octet in sent + b"\r\n\r\n"])[1] == status
        assert targets(Inbox(FakeStream(FakeLoop())), [sent + b"\r\n\r\n"])[1] == status


def test_what_is_left_can_be_taken() -> None:
    inbox = Inbox(FakeStream(FakeLoop()))
    assert not inbox.holds_a_beginning
    inbox.receive_data(b"\r")
    assert (len(inbox.data), inbox.holds_a_beginning) == (1, False)
    inbox.receive_data(b"\nG")
    assert inbox.next_request(HEAD_BYTES, LIMITS) is None
    assert inbox.holds_a_beginning
    assert inbox.take() == b"G"
    assert len(inbox.data) == 0


def test_client_that_sends_too_much_ahead_waits_in_the_kernel() -> None:
    stream = FakeStream(FakeLoop())
    inbox = Inbox(stream)
    inbox.hold(b"abc", most=3)
    assert inbox.is_reading
    inbox.hold(b"d", most=3)
    assert (inbox.is_reading, stream.is_reading, inbox.data) == (False, False, b"abcd")
    inbox.pause()
    inbox.resume()
    assert (inbox.is_reading, stream.is_reading) == (True, True)
    inbox.resume()
    assert stream.is_reading
