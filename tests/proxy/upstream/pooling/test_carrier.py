"""What both kinds of carriers share."""

import pytest

from proxy.upstream.pooling.carrier import Carrier
from tests.fakes_http import RecordingExchange, request_head
from tests.proxy.upstream.http1.test_connection import BODY


@pytest.mark.parametrize("has_frames", [True, False])
def test_it_says_how_bodies_are_given(*, has_frames: bool) -> None:
    carrier = Carrier(has_frames=has_frames)
    assert (carrier.has_frames, carrier.is_request_complete) == (has_frames, False)


def test_each_protocol_does_its_own() -> None:
    carrier = Carrier(has_frames=False)
    carrier.begin(RecordingExchange(), request_head(), None, b"")
    for step in (carrier.await_request, carrier.pause_reading, carrier.resume_reading, carrier.abandon):
        step()
    with pytest.raises(NotImplementedError):
        carrier.write_body(BODY, b"")
