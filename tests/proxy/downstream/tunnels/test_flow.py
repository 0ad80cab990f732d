"""Two streams, each the other's sink: who is paused when one takes no more."""

from proxy.downstream.tunnels.flow import Flow, StreamPair
from tests.fakes import FakeLoop
from tests.fakes_http import FakeStream


def test_the_sender_is_paused_until_its_sink_takes_everything() -> None:
    loop = FakeLoop()
    left, right = FakeStream(loop), FakeStream(loop)
    pair = StreamPair()
    flow = Flow(pair, left, right)
    flow.pause_writing()  # left takes no more
    assert (left.is_reading, right.is_reading) == (True, False)
    assert pair._blocked == {flow}
    flow.resume_writing()
    assert right.is_reading
    assert not pair._blocked
