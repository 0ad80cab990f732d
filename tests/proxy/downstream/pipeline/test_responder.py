"""What all responders have in common."""

import pytest

from proxy.downstream.pipeline.responder import RequestTally, Responder
from proxy.downstream.requests.request import RequestReader
from proxy.limits.networks import EXEMPT
from tests.fakes_http import LIMITS, request


@pytest.mark.parametrize(
    ("line", "is_complete"),
    [
        (b"Accept: */*", True),
        (b"Content-Length: 0", True),
        (b"Content-Length: 1", False),
        (b"Transfer-Encoding: chunked", False),
    ],
)
def test_request_without_a_body_is_complete(line: bytes, is_complete: bool) -> None:  # noqa: FBT001 - a fact
    tally = RequestTally(b"f00-1", 0.0)
    one = Responder(RequestReader().read(request(line, start=b"POST / HTTP/1.1"), LIMITS.head), tally)
    assert one.is_request_complete is is_complete
    assert (one.tally, one.holder, one.target, one.guard) == (tally, EXEMPT, None, None)


class Waiting:
    """A guard that was not decided yet."""

    is_abandoned = False

    def abandon(self) -> None:
        self.is_abandoned = True


def test_its_guard_is_abandoned_with_it() -> None:
    one = Responder(RequestReader().read(request(), LIMITS.head), RequestTally(b"f00-1", 0.0))
    one.abandon()
    one.guard = guard = Waiting()
    one.abandon()
    assert guard.is_abandoned


def test_request_that_was_never_answered_has_one_time() -> None:
    tally = RequestTally(b"id", started=10.0)
    assert tally.seconds(12.5) == (2.5, 2.5)
    assert (tally.request_id, tally.status, tally.server, tally.route) == (b"id", 0, None, None)


def test_first_byte_has_a_time_of_its_own() -> None:
    tally = RequestTally(b"id", started=10.0)
    tally.first_byte = 11.0
    assert tally.seconds(12.5) == (1.0, 2.5)
